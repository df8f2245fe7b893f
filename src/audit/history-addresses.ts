// Whose an address was: a pod's, a node's, or nobody's whom the cluster knows.
//
// What it is now stands in the snapshot; only what it was before is kept here.
// **Invariant:** a change costs the addresses of the rows that changed; who has an address is what policies count.
import type { Address } from '../model/ip.ts'
import type { Change } from '../model/changes.ts'
import type { Node, Pod } from '../model/objects.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import type { Moment, Moments, Span } from './moments.ts'
import { samePod, weightOf } from './pod-words.ts'
import { Timeline } from './timeline.ts'

export class AddressOwners {
  readonly #pods: Timeline<Address, Pod | null>
  /** Several in one list: they all have it in their status. */
  readonly #nodes: Timeline<Address, readonly Node[]>

  constructor(moments: Moments) {
    this.#pods = new Timeline(moments)
    this.#nodes = new Timeline(moments)
  }

  /** Returns the addresses of which something else is said now. */
  planned(moment: Moment, snapshot: Snapshot, { pods, nodes }: Pick<SnapshotDelta, 'pods' | 'nodes'>): readonly Address[] {
    const changed: Address[] = []
    const before = new Map<Address, Pod | null>()
    for (const change of pods.values()) {
      for (const address of addressesOf(change.after)) if (!before.has(address)) before.set(address, null)
      for (const address of addressesOf(change.before)) before.set(address, change.before)
    }
    for (const [address, pod] of before) {
      if (samePod(pod, podNow(snapshot, address))) continue
      this.#pods.note(address, pod, moment, weightOf(pod))
      changed.push(address)
    }
    for (const address of new Set([...nodes.values()].flatMap(movedAddresses))) {
      const [had, has] = [nodesBefore(snapshot, nodes, address), nodesNow(snapshot, address)]
      if (had.length === has.length && had.every((one, at) => one.uid === has[at]?.uid)) continue
      this.#nodes.note(address, had, moment, had.length * weightOf(null))
      changed.push(address)
    }
    return changed
  }

  podsBetween(address: Address, snapshot: Snapshot, span: Span): readonly (Pod | null)[] {
    return this.#pods.between(address, podNow(snapshot, address), span)
  }

  /** One list for each state that may have been. */
  nodesBetween(address: Address, snapshot: Snapshot, span: Span): readonly (readonly Node[])[] {
    return this.#nodes.between(address, nodesNow(snapshot, address), span)
  }

  changedSince(address: Address, time: number): boolean {
    return this.#pods.changedSince(address, time) || this.#nodes.changedSince(address, time)
  }
}

function addressesOf(pod: Pod | null): readonly Address[] {
  return pod === null ? [] : (pod.quarantined ?? pod.addresses)
}

/** One at most has it: store/claims.ts. */
function podNow(snapshot: Snapshot, address: Address): Pod | null {
  for (const pod of snapshot.pods.where('address', address)) return pod
  return null
}

function nodesNow(snapshot: Snapshot, address: Address): readonly Node[] {
  return sorted([...snapshot.nodes.where('address', address)])
}

function nodesBefore(snapshot: Snapshot, changes: SnapshotDelta['nodes'], address: Address): readonly Node[] {
  const others = [...snapshot.nodes.where('address', address)].filter(({ uid }) => !changes.has(uid))
  const had = [...changes.values()].flatMap(({ before }) => (before?.addresses.includes(address) === true ? [before] : []))
  return sorted([...others, ...had])
}

function sorted(nodes: readonly Node[]): readonly Node[] {
  return nodes.length < 2 ? nodes : nodes.toSorted((a, b) => (a.uid < b.uid ? -1 : 1))
}

/** A node's row changes often, and its addresses hardly ever. */
function movedAddresses({ before, after }: Change<Node>): readonly Address[] {
  const [had, has] = [before?.addresses ?? [], after?.addresses ?? []]
  const isSame = before?.name === after?.name && had.length === has.length && had.every((address, at) => address === has[at])
  return isSame ? [] : [...had, ...has]
}
