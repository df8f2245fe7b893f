// Clients that stay with an endpoint (sessionAffinity: ClientIP): forgotten in the kernel when their endpoint leaves its list.
//
//   a list lost an endpoint, or its clients -> the kernel holds that -> its entries are gone through, and those that lead to none of
//   its endpoints are taken out; a second later once more, for what was written by packets that were on their way
//
// In commits of their own, in which an entry that has just expired is no error. A start goes through all that others left. Numbers of
// lists that are gone are not given out before that is done.
// **Invariant:** what is taken out leads to no endpoint of its list in the newest plan; what fails is tried again.
import type { ClientSweep, Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { RetryPause } from '../lib/retry-pause.ts'
import type { Revision } from '../model/changes.ts'
import { bytesOf, FAMILIES, toBits, type Family } from '../model/ip.ts'
import { PROTOCOLS, type Protocol } from '../model/objects.ts'
import type { EndpointList, ListId, NatDelta } from '../nat/plan.ts'
import type { ServicePlan } from '../nat/step.ts'
import { targetKey } from '../nat/targets.ts'
import { listMark, type MarkLayout } from '../ruleset/marks.ts'
import { affinityMap, affinityPorts } from '../ruleset/names.ts'
import { TABLE } from '../ruleset/skeleton.ts'

export interface ClientsOptions {
  readonly kernel: Pick<Kernel, 'sweepClients'>
  readonly clock: Clock
  readonly plan: Pick<ServicePlan, 'withClients' | 'rested'>
  readonly layout: MarkLayout
  /** How many clients a pass has forgotten, where there were any. */
  readonly onForgotten: (count: number) => void
  /** What keeps them from being forgotten; empty when that is over. */
  readonly onProblems: (problems: readonly Problem[]) => void
}

interface Due {
  readonly revision: Revision
  /** Of its list; null: any. */
  readonly protocol: Protocol | null
  readonly isHeld: boolean
  readonly passes: number
  readonly notBefore: number
}

/** Stands for whatever there is. */
const EVERY: ListId = 0
const PASSES = 2
const PAUSE_MS = 1_000
const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 30_000
/** Between two passes there is so many times what the last one took: it holds up commits. */
const REST_SHARE = 3
/** Written down for the worker in a millisecond or two. */
const LISTS_AT_ONCE = 50

export class RememberedClients {
  readonly #options: ClientsOptions
  /** Of the newest plan, those whose clients stay. */
  readonly #lists = new Map<ListId, EndpointList>()
  readonly #due = new Map<ListId, Due>()
  /** Changed since the pass that is running began. */
  readonly #touched = new Set<ListId>()
  #started = false
  #running: Promise<void> | null = null
  #timer: (() => void) | null = null
  #notBefore = -Infinity
  readonly #retry = new RetryPause(FIRST_RETRY_MS, LAST_RETRY_MS)
  #closed = false

  constructor(options: ClientsOptions) {
    this.#options = options
  }

  /** At the end of each turn. */
  planned(revision: Revision, services: NatDelta['services']): void {
    const before = [...services.values()].flatMap((change) => staying(change.before?.lists))
    const after = [...services.values()].flatMap((change) => staying(change.after?.lists))
    for (const { id } of before) this.#lists.delete(id)
    for (const list of after) this.#lists.set(list.id, list)
    for (const { id } of after) this.#touched.add(id)
    if (!this.#started) for (const id of [EVERY, ...this.#options.plan.withClients]) this.#add(id, revision, null)
    this.#started = true
    for (const list of before) if (losesAny(list, this.#lists.get(list.id))) this.#add(list.id, revision, list.protocol)
  }

  /** The kernel holds that revision. */
  held(revision: Revision): void {
    for (const [id, due] of this.#due) if (!due.isHeld && due.revision <= revision) this.#due.set(id, { ...due, isHeld: true })
    this.#wake()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.()
    await this.#running
  }

  #add(id: ListId, revision: Revision, protocol: Protocol | null): void {
    const known = this.#due.get(id)
    this.#due.set(id, { revision, protocol: known === undefined || known.protocol === protocol ? protocol : null, isHeld: false, passes: 0, notBefore: -Infinity })
  }

  #wake(): void {
    if (this.#closed || this.#running !== null) return
    this.#timer?.()
    this.#timer = null
    const next = Math.min(...[...this.#due.values()].map(({ isHeld, notBefore }) => (isHeld ? notBefore : Infinity)))
    if (next === Infinity) return
    const wait = Math.max(next, this.#notBefore) - this.#options.clock.now()
    if (wait > 0) {
      this.#timer = this.#options.clock.after(wait, () => this.#wake())
      return
    }
    // Later: whoever is asked may tell of what is new at once.
    this.#running = Promise.resolve().then(() => this.#round()).finally(() => {
      this.#running = null
      this.#wake()
    })
  }

  async #round(): Promise<void> {
    const { clock, plan, onForgotten, onProblems } = this.#options
    const start = clock.now()
    const round = [...this.#due].filter(([, { isHeld, notBefore }]) => isHeld && notBefore <= start)
    const { forgotten, trouble } = await this.#pass(new Map(round))
    if (this.#closed) return
    const now = clock.now()
    this.#notBefore = now + REST_SHARE * (now - start)
    if (forgotten > 0) onForgotten(forgotten)
    onProblems(trouble === null ? [] : [notForgotten(trouble)])
    const over: ListId[] = []
    const pause = trouble === null ? PAUSE_MS : this.#retry.next()
    if (trouble === null) this.#retry.reset()
    for (const [id, due] of round) {
      // What became due anew meanwhile begins anew.
      if (this.#due.get(id) !== due) continue
      const passes = due.passes + 1
      if (trouble !== null) this.#due.set(id, { ...due, notBefore: now + pause })
      else if (passes < PASSES) this.#due.set(id, { ...due, passes, notBefore: now + pause })
      else {
        this.#due.delete(id)
        if (id !== EVERY && !this.#lists.has(id)) over.push(id)
      }
    }
    plan.rested(over)
  }

  async #pass(due: ReadonlyMap<ListId, Due>): Promise<{ readonly forgotten: number; readonly trouble: string | null }> {
    const isEvery = due.has(EVERY)
    const judged = isEvery ? [...this.#lists.keys()] : [...due.keys()]
    const protocols = new Set([...due.values()].flatMap(({ protocol }) => protocol ?? PROTOCOLS))
    const maps = [...protocols].flatMap((protocol) => FAMILIES.map((family) => ({ protocol, family, valid: [] as Uint8Array[] })))
    this.#touched.clear()
    for (let next = 0; next < judged.length; next += LISTS_AT_ONCE) {
      if (next > 0) await new Promise((resolve) => setImmediate(resolve))
      this.#write(judged.slice(next, next + LISTS_AT_ONCE), maps)
    }
    if (this.#closed) return { forgotten: 0, trouble: null }
    // What the kernel takes before this is in the newest plan: so what changed while it was written down is valid as it is now, too.
    this.#write(this.#touched, maps)
    const marks = isEvery ? null : judged.map((id) => listMark(this.#options.layout, id))
    // All at once: the kernel has them in turn.
    const outcomes = await Promise.all(maps.map(({ protocol, family, valid }) => this.#options.kernel.sweepClients(TABLE, sweepOf(protocol, family, marks, valid))))
    return {
      forgotten: outcomes.reduce((sum, outcome) => sum + (outcome.kind === 'done' ? outcome.forgotten : 0), 0),
      trouble: outcomes.find((outcome) => outcome.kind === 'failed')?.message ?? null,
    }
  }

  #write(ids: Iterable<ListId>, maps: readonly { readonly protocol: Protocol; readonly family: Family; readonly valid: Uint8Array[] }[]): void {
    const lists = [...ids].flatMap((id) => this.#lists.get(id) ?? [])
    for (const { protocol, family, valid } of maps) valid.push(endsOf(lists.filter((list) => list.protocol === protocol), this.#options.layout, family))
  }
}

function sweepOf(protocol: Protocol, family: Family, judged: readonly number[] | null, valid: readonly Uint8Array[]): ClientSweep {
  return {
    map: affinityMap(protocol, family),
    ports: family === 4 ? null : affinityPorts(protocol),
    addressLength: family === 4 ? 4 : 16,
    judged,
    valid: Buffer.concat(valid),
  }
}

function staying(lists: readonly EndpointList[] | undefined): readonly EndpointList[] {
  return (lists ?? []).filter(({ affinity }) => affinity !== null)
}

function losesAny(before: EndpointList, after: EndpointList | undefined): boolean {
  if (after === undefined || after.protocol !== before.protocol) return true
  return FAMILIES.some((family) => {
    if (before.slots[family] === after.slots[family]) return false
    const kept = new Set(after.slots[family].map(targetKey))
    return before.slots[family].some((target) => !kept.has(targetKey(target)))
  })
}

/** As ClientSweep.valid has them. */
function endsOf(lists: readonly EndpointList[], layout: MarkLayout, family: Family): Uint8Array {
  const width = family === 4 ? 10 : 22
  const bytes = Buffer.alloc(width * lists.reduce((sum, { slots }) => sum + slots[family].length, 0))
  let at = 0
  for (const { id, slots } of lists) {
    for (const { address, port } of slots[family]) {
      bytes.writeUInt32LE(listMark(layout, id), at)
      bytes.set(bytesOf(family, toBits(address)), at + 4)
      bytes.writeUInt16BE(port, at + width - 2)
      at += width
    }
  }
  return bytes
}

function notForgotten(message: string): Problem {
  return {
    code: 'NotForgotten',
    severity: 'error',
    object: 'clients of Services with sessionAffinity',
    message: `those of endpoints that are gone could not be forgotten: ${message}; they may still be led there, until it succeeds; it is tried again`,
  }
}
