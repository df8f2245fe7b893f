// The cut sets of the table, as the agent knows them, and the commits that change them.
//
// Commits of their own, apart from those of the ruleset and past nft (Kernel.changeElements): elements come and go with
// packets and time, and one that has just expired must refuse nothing. A set that is full loses what was quiet for longest.
// **Invariant:** what is believed to be in the sets is in them or has expired; what is in them and was put there by an
// agent is believed to be in them.
import { KEY_LENGTH, type FlowKey } from '../kernel/conntrack-flows.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import { cutFlows } from '../ruleset/names.ts'
import { TABLE } from '../ruleset/skeleton.ts'
import { familyOfKey, joinedKeys, keyOfElement, splitKeys } from './cut-flows.ts'

/** What was asked for: how much of it is done, and what stood in the way of the rest. */
export interface Outcome {
  readonly done: number
  readonly trouble: string | null
}

/** Elements of one commit: some milliseconds, so that commits of the ruleset need not wait long. */
const MOST_AT_ONCE = 1_500
/** What goes from a set that is full: each time one reading of all of it. */
const ROOM = 16_384

export class CutSet {
  readonly #kernel: Kernel
  #keys = new Set<FlowKey>()
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

  /** What the kernel holds, as nft lists it. */
  load(elements: readonly string[]): void {
    this.#keys = new Set(elements.flatMap((text) => keyOfElement(text) ?? []))
  }

  /** Also those that are believed to be there: they may have expired. `done` counts the new ones. */
  async add(keys: readonly FlowKey[]): Promise<Outcome> {
    return this.#commit('add', keys, (key) => {
      const { size } = this.#keys
      return this.#keys.add(key).size > size
    })
  }

  async remove(keys: readonly FlowKey[]): Promise<Outcome> {
    return this.#commit('remove', keys, (key) => this.#keys.delete(key))
  }

  async #commit(verb: 'add' | 'remove', keys: readonly FlowKey[], note: (key: FlowKey) => boolean): Promise<Outcome> {
    let done = 0
    for (const family of FAMILIES) {
      const own = keys.filter((key) => familyOfKey(key) === family)
      for (let at = 0; at < own.length; at += MOST_AT_ONCE) {
        const part = own.slice(at, at + MOST_AT_ONCE)
        const trouble = await this.#change(verb, family, part)
        if (trouble !== null) return { done, trouble: `the kernel did not take ${part.length} connections: ${trouble}` }
        for (const key of part) if (note(key)) done++
      }
    }
    return { done, trouble: null }
  }

  async #change(verb: 'add' | 'remove', family: Family, part: readonly FlowKey[]): Promise<string | null> {
    const changes = [{ verb, set: cutFlows(family), keys: joinedKeys(part), keyLength: KEY_LENGTH[family] }]
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
