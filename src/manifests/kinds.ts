// Which kinds are read from manifests, and as what.
//
// **Invariant:** any other kind is ignored with a warning; nobody else in this folder knows a kind's name.

export interface ManifestKind {
  readonly kind: string
  readonly apiVersion: string
  readonly namespaced: boolean
  /** Versions that are passed on all the same: decode/ refuses them, and fails closed by what they say. */
  readonly otherVersions?: readonly string[]
}

export const MANIFEST_KINDS: readonly ManifestKind[] = [
  { kind: 'Namespace', apiVersion: 'v1', namespaced: false },
  { kind: 'Node', apiVersion: 'v1', namespaced: false },
  { kind: 'Pod', apiVersion: 'v1', namespaced: true },
  { kind: 'NetworkPolicy', apiVersion: 'networking.k8s.io/v1', namespaced: true, otherVersions: ['extensions/v1beta1', 'networking.k8s.io/v1beta1'] },
  { kind: 'Service', apiVersion: 'v1', namespaced: true },
  { kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1', namespaced: true },
]

export function manifestKind(kind: string): ManifestKind | null {
  return MANIFEST_KINDS.find((known) => known.kind === kind) ?? null
}

/** What a list's items are: of any kind (`List`), of one (`PodList`), or no list of ours (null). */
export function listOf(kind: string): ManifestKind | 'any' | null {
  if (kind === 'List') return 'any'
  return kind.endsWith('List') ? manifestKind(kind.slice(0, -'List'.length)) : null
}
