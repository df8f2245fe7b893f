// NodeEnforcements that are not as their schema says, told in the log: such a node counts as pending, and nobody else would say why.
//
// A status of another version of Picket, or one that somebody edited. **Invariant:** a fault is told when it is another one than before,
// and not with each event of the object.
import type { Log } from '../telemetry/log.ts'
import type { SeenReport } from './resources.ts'

export class Faults {
  readonly #log: Log
  readonly #told = new Map<string, string>()

  constructor(log: Log) {
    this.#log = log
  }

  /** What is known of a node's object now; null: there is none. */
  look(node: string, seen: SeenReport | null): void {
    const fault = seen?.fault ?? null
    if (fault === (this.#told.get(node) ?? null)) return
    if (fault === null) this.#told.delete(node)
    else {
      this.#told.set(node, fault)
      this.#log.warn({ object: `NodeEnforcement ${node}`, fault }, 'cannot be read: policies with pods on the node count as pending until its agent writes it anew; see that agents and operator are of one version')
    }
  }

  /** Of how many nodes something is told now. */
  get size(): number {
    return this.#told.size
  }
}
