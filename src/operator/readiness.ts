// Readiness of Nodes and of the agents' pods, by node: "an agent is alive while its Pod and its Node are Ready".
//
// In a roll-out a node has two pods of an agent for a while: one that is ready is enough. **Invariant:** whoever is told of a node is
// told of the Node that is there now; null as soon as none of its name is left.
import type { Uid } from '../model/objects.ts'
import type { Readiness, Ready } from '../summary/liveness.ts'
import type { ReadAgent, ReadNode } from './resources.ts'

export type OnReadiness = (node: string, readiness: Readiness | null, isReady: boolean) => void

export class NodeReadiness {
  readonly #onReadiness: OnReadiness
  readonly #nodes = new Map<Uid, ReadNode>()
  /** By name, the last one said. */
  readonly #named = new Map<string, ReadonlyMap<Uid, Ready>>()
  readonly #agents = new Map<Uid, ReadAgent>()
  readonly #agentsOn = new Map<string, Map<Uid, Ready>>()

  constructor(onReadiness: OnReadiness) {
    this.#onReadiness = onReadiness
  }

  node(uid: Uid, node: ReadNode | null): void {
    const before = this.#nodes.get(uid)
    if (node === null) this.#nodes.delete(uid)
    else this.#nodes.set(uid, node)
    for (const name of new Set([before?.name, node?.name])) {
      if (name === undefined) continue
      const held = new Map(this.#named.get(name))
      held.delete(uid)
      if (node?.name === name) held.set(uid, node.ready)
      if (held.size === 0) this.#named.delete(name)
      else this.#named.set(name, held)
      this.#tell(name)
    }
  }

  agent(uid: Uid, agent: ReadAgent | null): void {
    const before = this.#agents.get(uid)
    if (agent === null) this.#agents.delete(uid)
    else this.#agents.set(uid, agent)
    for (const name of new Set([before?.node, agent?.node])) {
      if (name === undefined || name === null) continue
      const held = this.#agentsOn.get(name) ?? new Map<Uid, Ready>()
      held.delete(uid)
      if (agent?.node === name) held.set(uid, agent.ready)
      if (held.size === 0) this.#agentsOn.delete(name)
      else this.#agentsOn.set(name, held)
      this.#tell(name)
    }
  }

  nodeKeys(): Iterable<Uid> {
    return this.#nodes.keys()
  }

  agentKeys(): Iterable<Uid> {
    return this.#agents.keys()
  }

  #tell(name: string): void {
    const node = [...(this.#named.get(name)?.values() ?? [])].at(-1)
    if (node === undefined) return this.#onReadiness(name, null, true)
    const agent = best([...(this.#agentsOn.get(name)?.values() ?? [])])
    this.#onReadiness(name, { node, agent }, node.isReady && agent?.isReady === true)
  }
}

/** One that is ready, else the one that was so last. */
function best(agents: readonly Ready[]): Ready | null {
  return agents.toSorted((a, b) => Number(a.isReady) - Number(b.isReady) || a.since - b.since).at(-1) ?? null
}
