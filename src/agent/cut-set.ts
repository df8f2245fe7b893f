// The cut sets of the table, as the agent knows them, and the commits that change them.
//
// Commits of their own, apart from those of the ruleset and past nft (Kernel.changeElements): elements come and go with
// packets and time, and one that has just expired must refuse nothing. A set that is full loses what was quiet for longest.
//
// A packet that has met an element refreshes it, and puts it in again if it went in between: of 40,000 packets a second one
// does in 4 of 100 removals. So a connection that may go on is restored in steps: it goes into restored-flows, where packets
// stop meeting it; a while later out of cut-flows, both times that it is there; a while later out of restored-flows.
// **Invariant:** what is believed to be in the sets is in them or has expired; what is in them and was put there by an
// agent is believed to be in them.
import { KEY_LENGTH, type FlowKey } from '../kernel/conntrack-flows.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import { cutFlows, restoredFlows } from '../ruleset/names.ts'
import { TABLE } from '../ruleset/skeleton.ts'
import { familyOfKey, joinedKeys, keyOfElement, splitKeys } from './cut-flows.ts'

/** What was asked for: how much of it is done, and what stood in the way of the rest. */
export interface Outcome {
  readonly done: number
  readonly trouble: string | null
}

interface Change {
  readonly verb: 'add' | 'remove'
  readonly set: (family: Family) => string
  readonly keys: readonly FlowKey[]
}

/**
 * Of one commit: some milliseconds, so that commits of the ruleset need not wait long. The socket takes some 210 KB; cutting what
 * was just restored is three messages of 56 bytes for a connection of IPv6.
 */
const MOST_AT_ONCE = 1_200
/** What goes from a set that is full: each time one reading of all of it. */
const ROOM = 16_384

export class CutSet {
  readonly #kernel: Kernel
  #keys = new Set<FlowKey>()
  /** What is on its way out, and how often clear() has seen it: it is taken out of cut-flows at 1, out of restored-flows at 2. */
  #restored = new Map<FlowKey, number>()
  #evicted = 0

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  get size(): number {
    return this.#keys.size
  }

  /** How many had to go although they are not allowed, since there was no room. */
  get evicted(): number {
    return this.#evicted
  }

  keys(): Iterable<FlowKey> {
    return this.#keys
  }

  /** Whether clear() has something to do. */
  get clears(): boolean {
    return this.#restored.size > 0
  }

  /** What the kernel holds of both sets, as nft lists it. */
  load(cut: readonly string[], restored: readonly string[]): void {
    const keysOf = (elements: readonly string[]): readonly FlowKey[] => elements.flatMap((text) => keyOfElement(text) ?? [])
    this.#restored = new Map(keysOf(restored).map((key) => [key, 0]))
    this.#keys = new Set(keysOf(cut).filter((key) => !this.#restored.has(key)))
  }

  /** Also those that are believed to be there: they may have expired. `done` counts the new ones. */
  async add(keys: readonly FlowKey[]): Promise<Outcome> {
    const put = (part: readonly FlowKey[]): readonly Change[] => {
      const back = part.filter((key) => this.#restored.has(key))
      return [{ verb: 'add', set: cutFlows, keys: part }, ...(back.length === 0 ? [] : [{ verb: 'remove' as const, set: restoredFlows, keys: back }])]
    }
    return this.#commit(keys, put, (key) => {
      this.#restored.delete(key)
      const { size } = this.#keys
      return this.#keys.add(key).size > size
    })
  }

  /** Packets pass from then on. */
  async restore(keys: readonly FlowKey[]): Promise<Outcome> {
    return this.#commit(keys, (part) => [{ verb: 'add', set: restoredFlows, keys: part }], (key) => {
      this.#restored.set(key, 0)
      return this.#keys.delete(key)
    })
  }

  /** The next step of what was restored, to be called until nothing `clears`, at a distance that no packet stays under way for; what is left when it `givesWay` has its turn then. */
  async clear(givesWay: () => boolean = () => false): Promise<Outcome> {
    const seen = (times: number): readonly FlowKey[] => [...this.#restored].flatMap(([key, so]) => (so === times ? [key] : []))
    const [first, second, third] = [seen(0), seen(1), seen(2)]
    const gone = await this.#commit(third, (keys) => [{ verb: 'remove', set: restoredFlows, keys }], (key) => this.#restored.delete(key), givesWay)
    if (gone.trouble !== null) return gone
    for (const key of first) this.#restored.set(key, 1)
    // Twice: while the kernel brings a new element into force, a packet that meets it finds nothing to refresh, and makes a second one.
    const remove = (keys: readonly FlowKey[]): readonly Change[] => [{ verb: 'remove', set: cutFlows, keys }]
    const once = await this.#commit(second, remove, () => false, givesWay)
    if (once.trouble !== null) return once
    return this.#commit(second, remove, (key) => this.#restored.set(key, 2).has(key), givesWay)
  }

  async #commit(keys: readonly FlowKey[], changes: (part: readonly FlowKey[]) => readonly Change[], note: (key: FlowKey) => boolean, givesWay = (): boolean => false): Promise<Outcome> {
    let done = 0
    for (const family of FAMILIES) {
      const own = keys.filter((key) => familyOfKey(key) === family)
      for (let at = 0; at < own.length; at += MOST_AT_ONCE) {
        if (givesWay()) return { done, trouble: null }
        const part = own.slice(at, at + MOST_AT_ONCE)
        const trouble = await this.#change(family, changes(part))
        if (trouble !== null) return { done, trouble: `the kernel did not take ${part.length} connections: ${trouble}` }
        for (const key of part) if (note(key)) done++
      }
    }
    return { done, trouble: null }
  }

  async #change(family: Family, wanted: readonly Change[]): Promise<string | null> {
    const changes = wanted.map(({ verb, set, keys }) => ({ verb, set: set(family), keys: joinedKeys(keys), keyLength: KEY_LENGTH[family] }))
    let outcome = await this.#kernel.changeElements(TABLE, changes)
    if (outcome.kind === 'full' && (await this.#makeRoom(family))) outcome = await this.#kernel.changeElements(TABLE, changes)
    return outcome.kind === 'acknowledged' ? null : outcome.message
  }

  /** Whether there is some now. */
  async #makeRoom(family: Family): Promise<boolean> {
    const taken = await this.#kernel.takeElements(TABLE, [{ set: cutFlows(family), keyLength: KEY_LENGTH[family], quietest: ROOM }])
    const keys = (taken ?? []).flatMap((bytes) => splitKeys(bytes, family))
    for (const key of keys) if (this.#keys.delete(key)) this.#evicted++
    return keys.length > 0
  }
}
