// A tale through the agent's own committer, containment and repair, with something going wrong between its events.
//
// After each commit that reached the kernel, each probe is judged as in walk-tale.ts; from somebody else's change until
// its repair there is nothing to judge. **Invariant:** what goes wrong follows from the seed; however it went, the table
// ends as the same cluster compiled from nothing.
import assert from 'node:assert/strict'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { AgentWorld } from './agent-world.ts'
import { canonical } from './canonical.ts'
import { compiled } from './check-cluster.ts'
import { interfaceEvents, sourceEvent } from './events.ts'
import { NOTHING, windows, type Flush, type Moment, type Tale } from './expanders.ts'
import { FakeClock } from './fake-clock.ts'
import { FAULTS, FaultyKernel } from './faulty-kernel.ts'
import { changeTable } from './foreign-changes.ts'
import { randomFrom } from './random.ts'
import { objectsOf } from './manifests.ts'
import { ownerOf } from './oracle.ts'
import { eventsBetween } from './states.ts'
import { checkCommits } from './walk-tale.ts'

/** So long somebody's commit may go unheard, and unnoticed. */
const UNHEARD_MS = 3_000
/** Longer than any back-off. */
const ALL_RETRIED_MS = 130_000
const LONGEST_ROW = 4
/** Texts of what policies of the stories make. */
const REFUSED = ['tcp . 80 ', 'tcp . 81 ', '10.1.2.', '@pods']

export interface Disturbed {
  readonly checks: number
  /** What went wrong -> how often. */
  readonly went: ReadonlyMap<string, number>
}

export async function walkDisturbed(told: Tale, node: string, flush: Flush, seed: number, every: number): Promise<Disturbed> {
  const walk = new DisturbedWalk(node, seed, every)
  await walk.begin()
  for (const beats of windows(told, flush)) await walk.window(beats.map(({ event }) => event), beats.map(({ after }) => after))
  return walk.end()
}

class DisturbedWalk {
  readonly #node: string
  readonly #every: number
  readonly #random: () => number
  readonly #seed: number
  readonly #kernel = new FaultyKernel()
  readonly #went = new Map<string, number>()
  #world!: AgentWorld
  #clock!: FakeClock
  /** From what the kernel holds to the newest. */
  #moments: readonly Moment[] = [NOTHING]
  #checks = 0

  constructor(node: string, seed: number, every: number) {
    this.#node = node
    this.#every = every
    this.#seed = seed
    this.#random = randomFrom(seed)
  }

  async begin(): Promise<void> {
    await this.#kernel.watch(TABLE, (change) => this.#world.committer.check(change))
    await this.#start()
  }

  /** A new agent, that hears everything as it now is; the one before is never heard of again. */
  async #start(): Promise<void> {
    const now = this.#moments.at(-1) as Moment
    this.#clock = new FakeClock()
    this.#world = new AgentWorld(this.#kernel, this.#clock, this.#node)
    for (const raw of eventsBetween(new Map(), now.cluster)) this.#world.turns.inbox.push(sourceEvent(raw))
    for (const event of interfaceEvents(new Map(), now.interfaces)) this.#world.turns.inbox.push(event)
    this.#world.turn()
    await this.#clock.advance(0)
  }

  async window(events: readonly Parameters<AgentWorld['turns']['inbox']['push']>[0][], after: readonly Moment[]): Promise<void> {
    this.#moments = [this.#moments.at(-1) as Moment, ...after]
    this.#kernel.seen.length = 0
    const choice = Math.floor(this.#random() * 10)
    const closes = choice === 8
    if (closes) this.#refuseSomething()
    const fault = FAULTS[choice] ?? null
    this.#kernel.plan(fault, Math.floor(this.#random() * LONGEST_ROW))
    for (const event of events) this.#world.turns.inbox.push(event)
    this.#world.turn()
    await this.#clock.advance(0)
    if (fault !== null && this.#kernel.struck) this.#note(fault)
    if (choice === 5 || (this.#kernel.struck && fault?.startsWith('killed') === true)) {
      this.#note('restarted')
      await this.#start()
    }
    if (choice === 6 || choice === 7) return this.#foreign()
    await this.#settle()
    this.#judge(closes)
    if (!closes) return
    this.#kernel.refusedContent = null
    await this.#settle()
    this.#kernel.seen.splice(0, Infinity, this.#kernel.text(TABLE))
    this.#judge(false)
  }

  #note(what: string): void {
    this.#went.set(what, (this.#went.get(what) ?? 0) + 1)
  }

  /** For a while the kernel takes nothing new that says this; whichever policies say it, one or several, are at fault. */
  #refuseSomething(): void {
    this.#kernel.refusedContent = REFUSED[Math.floor(this.#random() * REFUSED.length)] ?? null
    this.#note('refused content')
  }

  /** Somebody else changes the table, with or without a notification; what is judged is its end. */
  async #foreign(): Promise<void> {
    await this.#settle()
    this.#judge(false)
    this.#kernel.deaf = this.#random() < 0.3
    changeTable(this.#kernel, Math.floor(this.#random() * 0x7fffffff))
    if (this.#kernel.deaf) {
      // The timer's reading comes first, and may take what it finds for what was written.
      this.#world.committer.check(null)
      await this.#clock.advance(UNHEARD_MS)
      this.#kernel.hear(UNHEARD_MS)
    }
    await this.#settle()
    this.#note('changed by somebody else')
    this.#kernel.seen.splice(0, Infinity, this.#kernel.text(TABLE))
    this.#judge(false)
  }

  async #settle(): Promise<void> {
    await this.#clock.advance(ALL_RETRIED_MS)
    assert.equal(this.#world.committer.held, this.#world.turns.revision, JSON.stringify(this.#world.problems))
  }

  /** `closes`: policies may be in quarantine, which closes pods of their namespaces and nobody else. */
  #judge(closes: boolean): void {
    const isClosed = (address: string, { cluster }: Moment): boolean => {
      const pod = ownerOf(cluster, address)
      return closes && pod !== null && objectsOf(cluster, 'NetworkPolicy').some((one) => one.metadata.namespace === pod.metadata.namespace)
    }
    this.#checks += checkCommits(this.#kernel.seen, this.#moments, this.#node, this.#seed, this.#every, ({ asked }, moment) => isClosed(asked.source, moment) || isClosed(asked.destination, moment))
    this.#kernel.seen.length = 0
    this.#moments = this.#moments.slice(-1)
  }

  async end(): Promise<Disturbed> {
    await this.#settle()
    const { cluster } = this.#moments.at(-1) as Moment
    assert.deepEqual(this.#world.problems, [])
    assert.equal(canonical(this.#kernel.text(TABLE)), canonical(compiled(cluster, this.#node).text()), 'the end differs from the same state compiled from nothing')
    await this.#world.close()
    return { checks: this.#checks, went: this.#went }
  }
}
