// Kubernetes objects as they come from the API or a file, as far as the tests write and read them: plain JSON.
//
// The oracle judges these, and the pipeline decodes these, so that a mistake in decode/ is found like any other.
// **Invariant:** types only, but for the two functions that name an object; no defaults are filled in here.

export interface RawMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
}

export interface RawContainer {
  readonly name: string
  readonly image?: string
  readonly restartPolicy?: string
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number; readonly protocol?: string }[]
}

export interface RawPod {
  readonly apiVersion: 'v1'
  readonly kind: 'Pod'
  readonly metadata: RawMeta
  readonly spec: {
    readonly nodeName?: string
    readonly hostNetwork?: boolean
    readonly containers: readonly RawContainer[]
    readonly initContainers?: readonly RawContainer[]
  }
  readonly status: { readonly phase: string; readonly podIP?: string; readonly podIPs?: readonly { readonly ip: string }[] }
}

export interface RawNamespace {
  readonly apiVersion: 'v1'
  readonly kind: 'Namespace'
  readonly metadata: RawMeta
}

export interface RawNode {
  readonly apiVersion: 'v1'
  readonly kind: 'Node'
  readonly metadata: RawMeta
  readonly spec: { readonly podCIDRs?: readonly string[] }
  readonly status: { readonly addresses: readonly { readonly type: string; readonly address: string }[] }
}

export interface RawSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[]
}

export interface RawPeer {
  readonly podSelector?: RawSelector
  readonly namespaceSelector?: RawSelector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}

export interface RawPort {
  readonly protocol?: string
  readonly port?: number | string
  readonly endPort?: number
}

export interface RawRule {
  readonly from?: readonly RawPeer[]
  readonly to?: readonly RawPeer[]
  readonly ports?: readonly RawPort[]
}

export interface RawPolicy {
  readonly apiVersion: 'networking.k8s.io/v1'
  readonly kind: 'NetworkPolicy'
  readonly metadata: RawMeta
  readonly spec: {
    readonly podSelector?: RawSelector
    readonly policyTypes?: readonly string[]
    readonly ingress?: readonly RawRule[]
    readonly egress?: readonly RawRule[]
  }
}

export type RawObject = RawPod | RawNamespace | RawNode | RawPolicy

/** Objects by UID: the state of a cluster. */
export type RawCluster = ReadonlyMap<string, RawObject>

/** `Pod a/web`, `Node n1`. */
export function titleOf(object: RawObject): string {
  const { namespace, name } = object.metadata
  return `${object.kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`
}

export function objectsOf<K extends RawObject['kind']>(cluster: RawCluster, kind: K): readonly Extract<RawObject, { kind: K }>[] {
  return [...cluster.values()].filter((o): o is Extract<RawObject, { kind: K }> => o.kind === kind)
}
