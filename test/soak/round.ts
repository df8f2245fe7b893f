// One round of the soak: a random cluster on real nodes, its traffic, and for a while edits, replaced pods, kills and foreign
// changes at random moments; then everything must be as if nothing had happened.
//
// **Invariant:** one edit is one state, written down in the timeline before it can be read; what is judged is judged by
// the oracle, which knows nothing of the agent.
import type { PodAttachment } from '../../src/lab/testbed.ts'
import { judge as ask, passes } from '../support/oracle.ts'
import type { RawCluster, RawPod } from '../support/manifests.ts'
import { RealCluster } from '../support/real-cluster.ts'
import type { PlainObject, RealPod } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import { OUTSIDE } from '../support/states.ts'
import { withoutTraces } from '../support/table-text.ts'
import { Fleet, type Sample } from './fleet.ts'
import { planFlows, slotEnd, type End } from './flows.ts'
import { disturbTable } from './foreign.ts'
import { Judge } from './judge.ts'
import { Lives } from './lives.ts'
import { REPAIR_MS, Timeline } from './timeline.ts'
import { Traffic } from './traffic.ts'
import { LAB_PORT, SLOTS, World, type Edit, type Slot } from './world.ts'

export interface RoundOptions {
  readonly seed: number
  readonly attachment: PodAttachment
  readonly ms: number
  /** Between two datagrams of a flow. */
  readonly intervalMs: number
  /** Of every agent. */
  readonly flags: readonly string[]
  readonly onProgress: (text: string) => void
}

export interface RoundResult {
  readonly seed: number
  readonly attachment: PodAttachment
  readonly judge: Judge
  readonly edits: number
  readonly replaced: number
  readonly restarts: number
  readonly foreign: number
  readonly longestRepairMs: number
  readonly longestStartMs: number
  readonly longestHoldMs: number
  /** Of the agent that nobody stopped. */
  readonly samples: readonly Sample[]
  /** The first ones told in full; `wrong` counts all. */
  readonly faults: readonly string[]
  readonly wrong: number
}

const NODES = ['n1', 'n2'] as const
const SAMPLE_MS = 2_000
/** Of what goes along with an edit. */
const CHANCES = { foreign: 0.2, replaced: 0.1, burst: 0.15, kill: 0.15 } as const
const FAULTS_ENOUGH = 20
/** With what happened around them. */
const TOLD_WRONGS = 4

export async function runRound(options: RoundOptions): Promise<RoundResult> {
  const lab = await RealCluster.open({ nodes: NODES.length, namespaces: {}, pods: [], attachment: options.attachment, outsideAddresses: OUTSIDE, agents: false })
  const round = new Round(lab, options)
  try {
    await round.begin()
    await round.disturb()
    await round.end()
    return round.result()
  } finally {
    round.close()
    await lab.close()
  }
}

class Round {
  readonly #lab: RealCluster
  readonly #options: RoundOptions
  readonly #world: World
  readonly #timeline = new Timeline()
  readonly #states: RawCluster[] = []
  readonly #lives = new Lives()
  readonly #fleet: Fleet
  readonly #ends: readonly End[]
  readonly #traffic: Traffic
  readonly #judge: Judge
  readonly #faults: string[] = []
  readonly #story: { readonly at: number; readonly what: string }[] = []
  readonly #background = new Set<Promise<void>>()
  /** The one whose agent is killed; the other's memory is watched. */
  readonly #victim: string
  #edits = 0
  #replaced = 0
  #foreign = 0
  #longestRepair = 0
  #kills = 0
  #timer: NodeJS.Timeout | undefined

  constructor(lab: RealCluster, options: RoundOptions) {
    this.#lab = lab
    this.#options = options
    this.#world = new World(options.seed, lab.testbed.nodes)
    this.#victim = NODES[options.seed % 2] as string
    const fail = (why: string): void => void this.#fault(why)
    this.#fleet = new Fleet(lab, options.flags, this.#timeline, fail)
    const hosts = lab.testbed.nodes.map(({ name, addresses }) => ({ name, node: name, addresses }))
    const outside = { name: 'outside', node: 'outside', addresses: [OUTSIDE[0], OUTSIDE[2]] }
    const flows = planFlows(options.seed, hosts, outside)
    this.#ends = [...SLOTS.map(({ number }) => slotEnd(number)), ...hosts, outside]
    this.#judge = new Judge(this.#timeline, this.#states, flows, this.#lives)
    this.#traffic = new Traffic(flows, options.intervalMs, (told) => this.#judge.take(told), fail)
  }

  async begin(): Promise<void> {
    this.#options.onProgress(`seed ${this.#options.seed}, pods on ${this.#options.attachment}: a cluster of two nodes`)
    await Promise.all(SLOTS.map((slot) => this.#lab.runPod(this.#place(slot, this.#world.podOf(slot) as RawPod))))
    this.#lab.put(...(this.#world.objects as readonly unknown[] as readonly PlainObject[]))
    await this.#write()
    for (const node of NODES) await this.#fleet.start(node)
    await this.#fleet.settled()
    for (const { name } of this.#ends) this.#lives.gone(name, 0)
    await Promise.all(this.#ends.map((end) => this.#traffic.start(end.name, this.#netnsOf(end))))
    for (const { name } of this.#ends) this.#lives.there(name, Date.now())
    this.#timer = setInterval(() => {
      this.#fleet.sample()
      this.#judge.settle(Date.now())
    }, SAMPLE_MS)
  }

  async disturb(): Promise<void> {
    const { random } = this.#world
    const until = Date.now() + this.#options.ms
    let told = Date.now()
    while (Date.now() < until && this.#count() < FAULTS_ENOUGH) {
      await pause(100 + random() * 1_200)
      if (random() < CHANCES.foreign) this.#behind(this.#change(NODES[Math.floor(random() * NODES.length)] as string))
      if (random() < CHANCES.replaced) await this.#replace(SLOTS[Math.floor(random() * SLOTS.length)] as Slot)
      for (let burst = random() < CHANCES.burst ? 3 : 1; burst > 0; burst--) {
        await this.#commit(this.#world.edit())
        await pause(random() * 40)
      }
      if (random() < CHANCES.kill) this.#behind(this.#kill(this.#victim))
      await this.#fleet.settled()
      if (Date.now() - told < 10_000) continue
      told = Date.now()
      this.#options.onProgress(`${Math.ceil((until - told) / 1000)} s to go: ${this.#judge.packets} packets, ${this.#edits} edits, ${this.#fleet.restarts} kills, ${this.#foreign} foreign changes, ${this.#count()} wrong`)
    }
    await Promise.all(this.#background)
    await this.#fleet.settled()
    await pause(2_000)
  }

  /** Stops the traffic, judges the rest, then looks at what is left. */
  async end(): Promise<void> {
    this.#kills = this.#fleet.restarts
    this.#traffic.stop()
    await pause(2_000)
    this.#judge.settle(Infinity)
    this.#traffic.close()
    await this.#reachability()
    for (const node of NODES) await this.#fresh(node)
  }

  result(): RoundResult {
    const other = NODES.find((node) => node !== this.#victim) as string
    const story = (at: number): string => this.#story.filter((one) => one.at > at - 5_000 && one.at < at + 1_000).map((one) => `\n    ${one.at} ${one.what.slice(0, 400)}`).join('')
    const wrong = this.#judge.wrong.slice(0, TOLD_WRONGS).map(({ at, what }) => `${what}${story(at)}`)
    return {
      seed: this.#options.seed,
      attachment: this.#options.attachment,
      judge: this.#judge,
      edits: this.#edits,
      replaced: this.#replaced,
      restarts: this.#kills,
      foreign: this.#foreign,
      longestRepairMs: this.#longestRepair,
      longestStartMs: this.#fleet.longestStartMs,
      longestHoldMs: this.#fleet.longestHoldMs,
      samples: this.#samples ?? this.#fleet.samples(other),
      faults: [...this.#faults, ...wrong],
      wrong: this.#count(),
    }
  }
  #samples: readonly Sample[] | null = null

  close(): void {
    clearInterval(this.#timer)
    this.#traffic.close()
    this.#fleet.close()
  }

  #count(): number {
    return this.#faults.length + this.#judge.wrong.length
  }

  #fault(why: string): void {
    this.#story.push({ at: Date.now(), what: why })
    this.#faults.push(why)
  }

  #behind(what: Promise<void>): void {
    const one = what.catch((error: unknown) => this.#fault(String(error))).finally(() => this.#background.delete(one))
    this.#background.add(one)
  }

  /** Writes the world as it is now; the number of the state. */
  async #write(): Promise<number> {
    this.#states.push(this.#world.cluster())
    const state = this.#timeline.wrote(Date.now())
    this.#fleet.wrote(state, await this.#lab.write())
    return state
  }

  #commit({ what, object, gone }: Edit): Promise<number> {
    this.#edits++
    this.#story.push({ at: Date.now(), what: `state ${this.#states.length}: ${what}` })
    const { namespace, name } = object.metadata
    if (gone) this.#lab.drop(`${object.kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`)
    else this.#lab.put(object as unknown as PlainObject)
    return this.#write()
  }

  /** A pod ends, and another one takes its place and its addresses. */
  async #replace(slot: Slot): Promise<void> {
    const pod = this.#world.podOf(slot)
    if (pod === null) return
    const end = `slot-${slot.number}`
    const { random } = this.#world
    await this.#commit(this.#world.terminate(pod))
    await pause(random() * 300)
    this.#lives.gone(end, Date.now())
    this.#traffic.end(end)
    await this.#lab.endPod(keyOf(pod))
    await this.#commit(this.#world.remove(pod))
    await pause(random() * 300)
    const next = this.#world.newPod(slot)
    await this.#lab.runPod(this.#place(slot, next))
    const state = await this.#commit(this.#world.add(next))
    await this.#traffic.start(end, this.#netnsOf(slotEnd(slot.number)))
    this.#replaced++
    this.#behind(this.#fleet.holds(slot.node, state).then(() => this.#lives.there(end, Date.now())))
  }

  /** At any moment of what is being committed; for a while nobody is there. */
  #kill(node: string): Promise<void> {
    const { random } = this.#world
    return this.#fleet.disturb(node, async () => {
      await pause(random() * 60)
      const signal = random() < 0.7 ? 'SIGKILL' : 'SIGTERM'
      this.#story.push({ at: Date.now(), what: `${signal} to the agent of ${node}` })
      await this.#fleet.kill(node, signal)
      await pause(random() * 3_000)
      await this.#fleet.start(node)
      this.#story.push({ at: Date.now(), what: `the agent of ${node} starts` })
      await this.#fleet.holds(node, this.#states.length - 1)
    })
  }

  #change(node: string): Promise<void> {
    const { random } = this.#world
    return this.#fleet.disturb(node, async () => {
      if (!this.#fleet.runs(node)) return
      const table = this.#options.attachment === 'bridge' && random() < 0.3 ? 'bridge picket' : 'inet picket'
      const before = await this.#fleet.repairs(node)
      const at = Date.now()
      this.#timeline.foreign(node, at)
      const what = disturbTable(this.#lab, node, table, random)
      this.#story.push({ at, what: `on ${node}, somebody else: ${what ?? 'nothing'}` })
      if (what !== null) {
        while ((await this.#fleet.repairs(node)) === before) {
          if (Date.now() - at > REPAIR_MS + 1_000) return this.#fault(`on ${node} nobody put right within ${REPAIR_MS} ms: ${what}`)
          await pause(20)
        }
        this.#foreign++
        this.#longestRepair = Math.max(this.#longestRepair, Date.now() - at)
      }
      this.#timeline.repaired(node, Date.now() + 1)
    })
  }

  /** Every pod to every pod, over every protocol, as the oracle says. */
  async #reachability(): Promise<void> {
    const cluster = this.#world.cluster()
    const pods = SLOTS.flatMap((slot) => this.#world.podOf(slot) ?? [])
    const lines = { allowed: [] as string[], denied: [] as string[] }
    for (const from of pods) {
      for (const to of pods) {
        for (const [family, protocol] of [[0, 'TCP'], [1, 'TCP'], [0, 'UDP'], [1, 'UDP'], [0, 'SCTP'], [1, 'SCTP']] as const) {
          const ends = { source: from.status.podIPs?.[family]?.ip as string, destination: to.status.podIPs?.[family]?.ip as string }
          const reaches = passes(ask(cluster, { ...ends, protocol, port: LAB_PORT }))
          lines[reaches ? 'allowed' : 'denied'].push(`${keyOf(from)} -> ${keyOf(to)} ${LAB_PORT}/${protocol} v${family === 0 ? 4 : 6}`)
        }
      }
    }
    await this.#lab.check(lines).catch((error: unknown) => this.#fault(`at the end: ${String(error)}`))
  }

  /** The tables must be those that an agent makes that finds none. */
  async #fresh(node: string): Promise<void> {
    this.#samples ??= this.#fleet.samples(NODES.find((one) => one !== this.#victim) as string).slice()
    const tables = ['inet picket', ...(this.#options.attachment === 'bridge' ? ['bridge picket'] : [])]
    const list = (): string => tables.map((table) => withoutTraces(this.#lab.listing(node, table))).join('').split('\n').sort().join('\n')
    const grown = list()
    await this.#fleet.kill(node, 'SIGTERM')
    for (const table of tables) this.#lab.nft(node, `delete table ${table}`)
    await this.#fleet.start(node)
    await this.#fleet.holds(node, this.#states.length - 1)
    await pause(500)
    const fresh = list()
    if (grown === fresh) return
    const differences = [...missing(grown, fresh, '- '), ...missing(fresh, grown, '+ ')]
    this.#fault(`the table of ${node} is not what a start makes of it (- grown, + fresh), ${differences.length} lines:\n${differences.slice(0, 30).join('\n')}`)
  }

  #place(slot: Slot, pod: RawPod): RealPod {
    const ports = (['TCP', 'UDP', 'SCTP'] as const).map((protocol) => ({ protocol, port: LAB_PORT }))
    return { key: keyOf(pod), node: slot.node, addresses: slot.addresses, ports, labels: null, uid: pod.metadata.uid }
  }

  #netnsOf(end: End): string {
    const slot = SLOTS.find(({ number }) => end.name === `slot-${number}`)
    return this.#lab.testbed.netnsOf(this.#lab.source(slot === undefined ? end.name : keyOf(this.#world.podOf(slot) as RawPod)))
  }
}

function keyOf({ metadata }: RawPod): string {
  return `${metadata.namespace}/${metadata.name}`
}

function missing(text: string, from: string, mark: string): readonly string[] {
  const lines = new Set(from.split('\n'))
  return text.split('\n').flatMap((line) => (lines.has(line) ? [] : [`${mark}${line.trim()}`]))
}
