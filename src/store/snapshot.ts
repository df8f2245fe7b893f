// What a turn sees: a read-only view of the rows, and what changed since the last turn.
//
// **Invariant:** a Snapshot is valid only inside its turn; nothing copies a table and nothing lists a whole one.
// Rows here are effective: an address that several pods claim belongs to one of them only, and hostNetwork and finished
// pods have none (see claims.ts).

import type { Changes, Revision } from '../model/changes.ts'
import type { HostInterface, Namespace, Node, Pod, PodUid, PolicyUid, Uid } from '../model/objects.ts'
import type { Policy } from '../model/policy.ts'
import type { EndpointSlice, Service } from '../model/service.ts'
import type { SelectorId } from '../model/selector.ts'
import type { SelectorIndex } from '../selectors/index.ts'

export interface TableView<K, Row, Index extends string> {
  get(key: K): Row | undefined
  /** The rows whose value of the index is `value`, in no order. */
  where(index: Index, value: string): Iterable<Row>
  readonly size: number
}

export type PodTable = TableView<PodUid, Pod, 'node' | 'namespace' | 'node+namespace' | 'address'>
export type NamespaceTable = TableView<Uid, Namespace, 'name'>
export type NodeTable = TableView<Uid, Node, 'name' | 'address'>
export type PolicyTable = TableView<PolicyUid, Policy, 'namespace'>
export type ServiceTable = TableView<Uid, Service, 'key'>
/** By the Service whose endpoints they are: `serviceKey`. */
export type SliceTable = TableView<Uid, EndpointSlice, 'service'>
/** Keyed by the kernel's index, as text. */
export type InterfaceTable = TableView<string, HostInterface, 'name' | 'hostRoute' | 'address' | 'behind'>

export interface Snapshot {
  readonly revision: Revision
  readonly pods: PodTable
  readonly namespaces: NamespaceTable
  readonly nodes: NodeTable
  readonly policies: PolicyTable
  readonly services: ServiceTable
  readonly slices: SliceTable
  readonly interfaces: InterfaceTable
  readonly selectors: SelectorIndex
}

export interface SnapshotDelta {
  readonly revision: Revision
  readonly pods: Changes<PodUid, Pod>
  readonly namespaces: Changes<Uid, Namespace>
  readonly nodes: Changes<Uid, Node>
  readonly policies: Changes<PolicyUid, Policy>
  readonly services: Changes<Uid, Service>
  readonly slices: Changes<Uid, EndpointSlice>
  readonly interfaces: Changes<string, HostInterface>
  /** Of the selectors that were acquired before this turn: who joined, left, or is a member with another row. */
  readonly members: ReadonlyMap<SelectorId, Changes<PodUid, Pod>>
}

/** How many rows a stage visited: a count that tests bound, so that a change costs what it touches. */
export interface WorkCount {
  rows: number
}

