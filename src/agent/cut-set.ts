// The cut sets of the table, as the agent knows them, and the commits that change them.
//
// Commits of their own, apart from those of the ruleset: elements come and go with packets and time, and one that has
// just expired must refuse nothing. **Invariant:** what is believed to be in the sets is in them or has expired; what is
// in them and was put there by an agent is believed to be in them.
import type { Kernel } from '../kernel/kernel.ts'
import type { Element, Operation } from '../nft/objects.ts'
import { cutFlows } from '../ruleset/names.ts'
import { TABLE } from '../ruleset/skeleton.ts'
import { flowKey, flowOfKey, type CutFlow } from './cut-flows.ts'

/** What was asked for: how much of it is done, and what stood in the way of the rest. */
export interface Outcome {
  readonly done: number
  readonly trouble: string | null
}

/** Elements of one commit: some ten milliseconds, so that commits of the ruleset need not wait long. */
const MOST_AT_ONCE = 5_000

export class CutSet {
  readonly #kernel: Kernel
  #flows = new Map<string, CutFlow>()

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  get size(): number {
    return this.#flows.size
  }

  flows(): Iterable<CutFlow> {
    return this.#flows.values()
  }

  /** What the kernel holds, by their keys. */
  load(keys: readonly string[]): void {
    this.#flows = new Map(keys.flatMap((key) => {
      const flow = flowOfKey(key)
      return flow === null ? [] : [[key, flow] as const]
    }))
  }

  /** Also those that are believed to be there: they may have expired. `done` counts the new ones. */
  async add(flows: readonly CutFlow[]): Promise<Outcome> {
    return this.#commit('add-elements', flows, (key, flow) => {
      const isNew = !this.#flows.has(key)
      this.#flows.set(key, flow)
      return isNew
    })
  }

  async remove(flows: readonly CutFlow[]): Promise<Outcome> {
    return this.#commit('remove-elements', flows, (key) => this.#flows.delete(key))
  }

  async #commit(verb: 'add-elements' | 'remove-elements', flows: readonly CutFlow[], note: (key: string, flow: CutFlow) => boolean): Promise<Outcome> {
    let done = 0
    for (let at = 0; at < flows.length; at += MOST_AT_ONCE) {
      const part = flows.slice(at, at + MOST_AT_ONCE)
      const outcome = await this.#kernel.commit({ table: TABLE, step: 'switch', createsTable: false, operations: operations(verb, part) })
      if (outcome.kind !== 'acknowledged') return { done, trouble: `the kernel did not take ${part.length} connections: ${outcome.message}` }
      for (const flow of part) if (note(flowKey(flow), flow)) done++
    }
    return { done, trouble: null }
  }
}

function operations(verb: 'add-elements' | 'remove-elements', flows: readonly CutFlow[]): Operation[] {
  return ([4, 6] as const).flatMap((family): Operation[] => {
    const elements = flows.filter((flow) => flow.family === family).map((flow): Element => ({ key: flowKey(flow) }))
    return elements.length === 0 ? [] : [{ verb, set: { kind: 'set', name: cutFlows(family) }, elements, owners: [] }]
  })
}
