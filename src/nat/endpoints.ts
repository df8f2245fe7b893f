// Which endpoints of a Service port serve whom, on one node: those of the whole cluster, and those of the node itself.
//
// Conditions, hints, node and zone -> the cluster set, the local set, their union. A ready endpoint beats one that only
// serves on while it ends. **Invariant:** the answer depends on the endpoints as a set; their order is kept.
import type { Endpoint } from '../model/service.ts'

export type EndpointFacts = Omit<Endpoint, 'address'>

export interface Where {
  readonly node: string | null
  /** Label topology.kubernetes.io/zone of the node; null where it has none. */
  readonly zone: string | null
}

export interface Needs {
  readonly cluster: boolean
  readonly local: boolean
}

export interface EndpointSets<E> {
  /** Null where nobody needs it. */
  readonly cluster: readonly E[] | null
  readonly local: readonly E[] | null
  readonly all: readonly E[]
  /** Whether any endpoint of any node is usable. */
  readonly hasAny: boolean
}

/** Which sets a Service needs. `external`: it has node ports or addresses besides its ClusterIPs. */
export function needsOf(internal: 'Cluster' | 'Local', externalPolicy: 'Cluster' | 'Local', external: boolean): Needs {
  return { cluster: internal === 'Cluster' || external, local: internal === 'Local' || (externalPolicy === 'Local' && external) }
}

export function endpointSets<E extends EndpointFacts>(endpoints: readonly E[], where: Where, needs: Needs): EndpointSets<E> {
  const isLocal = ({ node }: E): boolean => node !== null && node === where.node
  const cluster = needs.cluster ? readyElseEnding(hinted(endpoints.filter(({ ready }) => ready), where), endpoints) : null
  const here = endpoints.filter(isLocal)
  const local = needs.local ? readyElseEnding(here.filter(({ ready }) => ready), here) : null
  const used = new Set([...(cluster ?? []), ...(local ?? [])])
  return { cluster, local, all: endpoints.filter((endpoint) => used.has(endpoint)), hasAny: endpoints.some((one) => one.ready || isEnding(one)) }
}

/** Serving and terminating endpoints only when no ready one is left, whatever their hints. */
function readyElseEnding<E extends EndpointFacts>(ready: readonly E[], all: readonly E[]): readonly E[] {
  return ready.length > 0 ? ready : all.filter(isEnding)
}

/** It serves on while it ends. */
export function isEnding({ ready, serving, terminating }: Pick<EndpointFacts, 'ready' | 'serving' | 'terminating'>): boolean {
  return !ready && serving && terminating
}

/**
 * Node hints first, then zone hints. Either kind counts only if every ready endpoint carries it and one is for us: a
 * hint that leaves somebody without endpoints is worse than none.
 */
function hinted<E extends EndpointFacts>(ready: readonly E[], { node, zone }: Where): readonly E[] {
  return forUs(ready, ({ nodeHints }) => nodeHints, node) ?? forUs(ready, ({ zoneHints }) => zoneHints, zone) ?? ready
}

function forUs<E extends EndpointFacts>(ready: readonly E[], hintsOf: (endpoint: E) => readonly string[] | null, us: string | null): readonly E[] | null {
  if (us === null || !ready.every((endpoint) => (hintsOf(endpoint) ?? []).length > 0)) return null
  const ours = ready.filter((endpoint) => hintsOf(endpoint)?.includes(us) === true)
  return ours.length > 0 ? ours : null
}
