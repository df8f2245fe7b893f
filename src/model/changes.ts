// What changed between two states, and what a source says: the vocabulary of the whole pipeline.
//
// **Invariant:** a Change says the state before and after; null means absent; before and after are never both null.
import type { Problem } from '../lib/problem.ts'
import type { HostInterface, Namespace, Node, Pod, Uid } from './objects.ts'
import type { Policy } from './policy.ts'
import type { EndpointSlice, Service } from './service.ts'

export type Revision = number

export interface Change<Row> {
  readonly before: Row | null
  readonly after: Row | null
}

export type Changes<K, Row> = ReadonlyMap<K, Change<Row>>

/** Every kind of row with its type. */
export interface RowOf {
  readonly pod: Pod
  readonly namespace: Namespace
  readonly node: Node
  readonly policy: Policy
  readonly service: Service
  readonly slice: EndpointSlice
  readonly interface: HostInterface
}

export type Kind = keyof RowOf
export const KINDS: readonly Kind[] = ['pod', 'namespace', 'node', 'policy', 'service', 'slice', 'interface']

/**
 * What reading one object gave. `good` replaces what was known. `bad` leaves the last good version of the object in
 * force; where there never was one, `strict` stands in: it isolates at least what the object could have meant, and
 * opens nothing that could not be read. Null: the object counts as absent (a pod that cannot be read is nobody's peer).
 */
export type Decoded<Row> =
  | { readonly kind: 'good'; readonly row: Row; readonly problems: readonly Problem[] }
  | { readonly kind: 'bad'; readonly strict: Row | null; readonly problems: readonly Problem[] }

/** What a source says of one kind. Keys are UIDs (for interfaces the index, as text). */
export type SourceEvent = { [K in Kind]: SourceEventOf<K> }[Kind]

export type SourceEventOf<K extends Kind> =
  | { readonly verb: 'upsert'; readonly kind: K; readonly key: Uid; readonly decoded: Decoded<RowOf[K]> }
  | { readonly verb: 'delete'; readonly kind: K; readonly key: Uid }
  /** The whole of it, after a list: whatever is not in it is gone. */
  | { readonly verb: 'replace'; readonly kind: K; readonly rows: ReadonlyMap<Uid, Decoded<RowOf[K]>> }
  /** The first complete list of this kind has been said. Nothing is written to the kernel before every kind is synced. */
  | { readonly verb: 'synced'; readonly kind: K }
