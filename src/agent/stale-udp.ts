// Deletes conntrack's entries of UDP that lead past the endpoints of a Service, so that their clients come to who serves.
//
//   turn: ports to be looked at, by revision -> the kernel holds that revision -> one pass over conntrack for all of them ->
//   what policy denies of the entries found goes into cut-flows -> those entries are deleted; a second later once more
//
// The order matters: with its entry gone, the old server's next packet makes a new one in reverse, and a client that is denied
// would pass as the one who answers (decisions/0015). Passes keep a distance of a second: each reads all that conntrack has of UDP.
// **Invariant:** no entry is deleted before its connection was judged and, where it is denied, cut (with establishedConnections:
// keep nothing is); none that leads to who is kept by a newer plan.
import type { FlowKey } from '../kernel/conntrack-flows.ts'
import type { StaleEntries } from '../kernel/conntrack.ts'
import type { ServedPort } from '../kernel/served-ports.ts'
import { selectStale, staleCount, staleFlowAt } from '../kernel/stale-entries.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { RetryPause } from '../lib/retry-pause.ts'
import type { Revision } from '../model/changes.ts'
import { bytesOf, familyOf, toBits, type Address } from '../model/ip.ts'
import type { KeptPort, UdpChange } from '../nat/stale.ts'
import { targetKey, type Target } from '../nat/targets.ts'
import { AddressTexts, flowOf } from './cut-flows.ts'
import { UntilHeld } from './until-held.ts'

export interface StaleUdpOptions {
  readonly clock: Clock
  readonly entries: StaleEntries
  /** Judges, and cuts what is denied; null, or what stood in the way (Cutter.cutDenied). */
  readonly cutDenied: (keys: readonly FlowKey[]) => Promise<string | null>
  readonly onDeleted: (report: StaleReport) => void
  /** What keeps entries from being deleted; empty when that is over. */
  readonly onProblems: (problems: readonly Problem[]) => void
}

export interface StaleReport {
  readonly deleted: number
  /** Service addresses and ports that were looked at. */
  readonly ports: number
  readonly ms: number
}

interface Done {
  readonly deleted: number
  /** What was left alone for a newer plan's sake. */
  readonly left: number
  readonly trouble: string | null
}

interface Due {
  readonly port: KeptPort
  /** Whether it is looked at once more: a packet that was on its way at the commit may make its entry behind the pass. */
  readonly again: boolean
}

const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 30_000
const PASS_EVERY_MS = 1_000
/** So many ports are written down for the worker in a millisecond or two. */
const PORTS_AT_ONCE = 200

export class StaleUdp {
  readonly #options: StaleUdpOptions
  readonly #planned = new UntilHeld<readonly UdpChange[]>()
  /** What it holds and nobody looked at yet, by address and port. */
  #due = new Map<string, Due>()
  /** What it holds since the round that is running began. */
  #meanwhile = new Map<string, KeptPort>()
  #running: Promise<void> | null = null
  #timer: (() => void) | null = null
  #notBefore = -Infinity
  readonly #retry = new RetryPause(FIRST_RETRY_MS, LAST_RETRY_MS)
  #closed = false

  constructor(options: StaleUdpOptions) {
    this.#options = options
  }

  /** At the end of a turn: all that changed, due or not. */
  planned(revision: Revision, changes: readonly UdpChange[]): void {
    if (changes.length > 0) this.#planned.planned(revision, changes)
  }

  /** The kernel holds that revision. */
  held(revision: Revision): void {
    for (const port of this.#planned.held(revision).flat()) {
      const key = targetKey(port)
      const due = this.#due.get(key)
      if (port.isDue || due !== undefined) this.#due.set(key, { port, again: port.isDue || due?.again === true })
      this.#meanwhile.set(key, port)
    }
    this.#wake()
  }

  /** These ports once more: something else than a change of theirs led clients past who serves them. */
  again(ports: readonly KeptPort[]): void {
    for (const port of ports) {
      const key = targetKey(port)
      if (!this.#due.has(key)) this.#due.set(key, { port: this.#meanwhile.get(key) ?? port, again: false })
    }
    this.#wake()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.()
    await this.#running
  }

  #wake(): void {
    if (this.#closed || this.#running !== null || this.#timer !== null || this.#due.size === 0) return
    const wait = this.#notBefore - this.#options.clock.now()
    if (wait > 0) {
      this.#timer = this.#options.clock.after(wait, () => {
        this.#timer = null
        this.#wake()
      })
      return
    }
    this.#running = this.#round().finally(() => {
      this.#running = null
      this.#wake()
    })
  }

  async #round(): Promise<void> {
    const { clock, onDeleted, onProblems } = this.#options
    const due = this.#due
    this.#due = new Map()
    this.#meanwhile = new Map()
    const start = clock.now()
    const { deleted, left, trouble } = await this.#pass([...due.values()].map(({ port }) => port))
    if (this.#closed) return
    if (deleted > 0) onDeleted({ deleted, ports: due.size, ms: clock.now() - start })
    onProblems(trouble === null ? [] : [notDeleted(trouble)])
    for (const [key, { port, again }] of due) {
      const isOver = trouble === null && left === 0
      if ((!isOver || again) && !this.#due.has(key)) this.#due.set(key, { port: this.#meanwhile.get(key) ?? port, again: trouble !== null && again })
    }
    this.#notBefore = trouble === null ? start + PASS_EVERY_MS : clock.now() + this.#retry.next()
    if (trouble === null) this.#retry.reset()
  }

  async #pass(due: readonly KeptPort[]): Promise<Done> {
    const parts: Buffer[] = []
    const ports = await this.#portsOf(due)
    const end = await this.#options.entries.findStale(ports, (entries) => parts.push(Buffer.from(entries.buffer, entries.byteOffset, entries.length)))
    let [deleted, left] = [0, 0]
    let trouble = end.kind === 'failed' ? `conntrack could not be read: ${end.message}` : null
    // What was found before it failed is stale all the same.
    for (const part of parts) {
      const done = await this.#delete(part)
      deleted += done.deleted
      left += done.left
      trouble ??= done.trouble
    }
    return { deleted, left, trouble }
  }

  async #delete(part: Buffer): Promise<Done> {
    const { entries, cutDenied } = this.#options
    const texts = new AddressTexts()
    const keys = Array.from({ length: staleCount(part) }, (_, i) => staleFlowAt(part, i))
    const found = this.#withoutKept([...keys.keys()], keys, texts)
    const noneDeleted = { deleted: 0, left: keys.length - found.length, trouble: null }
    if (found.length === 0) return noneDeleted
    const denied = await cutDenied(found.map((i) => keys[i] as FlowKey))
    if (denied !== null) return { ...noneDeleted, trouble: `their connections could not be judged and cut first: ${denied}` }
    if (this.#closed) return noneDeleted
    // Judging gives way to turns: a plan of meanwhile may keep some of them.
    const indexes = this.#withoutKept(found, keys, texts)
    const left = keys.length - indexes.length
    if (indexes.length === 0) return { ...noneDeleted, left }
    const end = await entries.deleteStale(selectStale(part, indexes))
    return end.kind === 'done' ? { deleted: end.deleted, left, trouble: null } : { deleted: 0, left, trouble: end.message }
  }

  /** A commit that the kernel took meanwhile, or takes just now, may have led an entry to somebody whom this pass does not know. */
  #withoutKept(indexes: readonly number[], keys: readonly FlowKey[], texts: AddressTexts): readonly number[] {
    const newer = [...this.#meanwhile.values(), ...this.#planned.waiting().flat()]
    const kept = new Set(newer.flatMap(({ keeps }) => keeps.map(targetKey)))
    return kept.size === 0 ? indexes : indexes.filter((i) => !kept.has(serverOf(keys[i] as FlowKey, texts)))
  }

  async #portsOf(due: readonly KeptPort[]): Promise<readonly ServedPort[]> {
    const bytes = new Map<Address, Uint8Array>()
    const at = ({ address, port }: Target): { readonly address: Uint8Array; readonly port: number } => {
      let own = bytes.get(address)
      if (own === undefined) bytes.set(address, (own = bytesOf(familyOf(address), toBits(address))))
      return { address: own, port }
    }
    const ports: ServedPort[] = []
    for (let next = 0; next < due.length; next += PORTS_AT_ONCE) {
      if (next > 0) await new Promise((resolve) => setImmediate(resolve))
      for (const { keeps, isServed, ...own } of due.slice(next, next + PORTS_AT_ONCE)) {
        const family = familyOf(own.address)
        ports.push({ ...at(own), keeps: keeps.filter((one) => familyOf(one.address) === family).map(at), isServed })
      }
    }
    return ports
  }
}

/** Who answers, as targetKey() has it. */
function serverOf(key: FlowKey, texts: AddressTexts): string {
  const flow = flowOf(key, texts)
  return flow === null ? '' : targetKey({ address: flow.destination, port: flow.port })
}

function notDeleted(message: string): Problem {
  return {
    code: 'StaleUdp',
    severity: 'error',
    object: 'connections of UDP to Services',
    message: `${message}; clients that go on sending from one port may still be led to endpoints that are gone, until it succeeds; it is tried again`,
  }
}
