// test/cases/networkpolicy.json -> raw objects: plays the actions of a case and says who should reach whom.
//
// **Invariant:** actions are played to the letter: a namespace that goes takes its pods and policies along, a label is
// replaced unless the action says that it is added, and an object that is made again gets another UID.
import { readFileSync } from 'node:fs'
import type { RawNamespace, RawObject, RawPod, RawPolicy } from './manifests.ts'

interface CasePod {
  readonly labels: Record<string, string>
  readonly ips?: readonly string[]
  readonly ports?: readonly { readonly name: string; readonly port: number; readonly protocol: string }[]
}

export type CaseAction =
  | { readonly createPolicy: RawPolicy }
  | { readonly updatePolicy: RawPolicy }
  | { readonly deletePolicy: { readonly namespace: string; readonly name: string } }
  | { readonly createPod: { readonly namespace: string; readonly pod: string; readonly labels: Record<string, string>; readonly ips?: readonly string[] } }
  | { readonly deletePod: { readonly namespace: string; readonly pod: string } }
  | { readonly setPodLabels: { readonly namespace: string; readonly pod: string; readonly labels: Record<string, string> } }
  | { readonly createNamespace: { readonly namespace: string; readonly labels: Record<string, string> } }
  | { readonly deleteNamespace: { readonly namespace: string } }
  | { readonly setNamespaceLabels: { readonly namespace: string; readonly labels: Record<string, string> } }
  | { readonly addNamespaceLabels: { readonly namespace: string; readonly labels: Record<string, string> } }

export interface PolicyCase {
  readonly id: string
  readonly title: string
  readonly namespaces: Readonly<Record<string, Record<string, string>>>
  readonly pods: Readonly<Record<string, CasePod>>
  readonly steps: readonly {
    readonly actions: readonly CaseAction[]
    /** namespace/name, in the order of the rows and columns of `expect`. */
    readonly pods: readonly string[]
    /** `v4 8080/TCP` -> rows (source) of columns (destination); 1 reaches. */
    readonly expect: Readonly<Record<string, readonly string[]>>
  }[]
}

export function policyCases(): readonly PolicyCase[] {
  const text = readFileSync(new URL('../cases/networkpolicy.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { cases: readonly PolicyCase[] }).cases
}

const PORTS = [8080, 9090].flatMap((port) =>
  ['TCP', 'UDP', 'SCTP'].map((protocol) => ({ name: `${port === 8080 ? 'main' : 'aux'}-${protocol.toLowerCase()}`, port, protocol })),
)

/** The cluster of one case, on nodes `n1` and `n2` in turn. */
export class CaseCluster {
  readonly objects = new Map<string, RawObject>()
  private made = 0

  constructor(from: PolicyCase) {
    for (const [name, labels] of Object.entries(from.namespaces)) this.namespace(name, labels)
    for (const [key, pod] of Object.entries(from.pods)) this.pod(key, pod)
  }

  /** [IPv4, IPv6] of a pod. */
  addresses(key: string): readonly string[] {
    const pod = this.find('Pod', key) as RawPod
    return (pod.status.podIPs ?? []).map((entry) => entry.ip)
  }

  play(action: CaseAction): void {
    if ('createPolicy' in action) this.policy(action.createPolicy)
    else if ('updatePolicy' in action) this.policy(action.updatePolicy)
    else if ('deletePolicy' in action) this.remove('NetworkPolicy', `${action.deletePolicy.namespace}/${action.deletePolicy.name}`)
    else if ('createPod' in action) this.pod(`${action.createPod.namespace}/${action.createPod.pod}`, action.createPod)
    else if ('deletePod' in action) this.remove('Pod', `${action.deletePod.namespace}/${action.deletePod.pod}`)
    else if ('setPodLabels' in action) this.relabel('Pod', `${action.setPodLabels.namespace}/${action.setPodLabels.pod}`, action.setPodLabels.labels)
    else if ('createNamespace' in action) this.namespace(action.createNamespace.namespace, action.createNamespace.labels)
    else if ('deleteNamespace' in action) this.removeNamespace(action.deleteNamespace.namespace)
    else if ('setNamespaceLabels' in action) this.relabel('Namespace', action.setNamespaceLabels.namespace, action.setNamespaceLabels.labels)
    else if ('addNamespaceLabels' in action) {
      const { namespace, labels } = action.addNamespaceLabels
      this.relabel('Namespace', namespace, { ...this.find('Namespace', namespace).metadata.labels, ...labels })
    } else throw new Error(`unknown action ${JSON.stringify(action)}`)
  }

  private namespace(name: string, labels: Record<string, string>): void {
    const object: RawNamespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, uid: this.uid('ns'), labels: { ...labels, 'kubernetes.io/metadata.name': name } } }
    this.objects.set(object.metadata.uid, object)
  }

  private pod(key: string, from: CasePod): void {
    const uid = this.uid('pod')
    const [namespace, name] = key.split('/') as [string, string]
    const ports = (from.ports ?? PORTS).map((p) => ({ name: p.name, containerPort: p.port, protocol: p.protocol }))
    const ips = from.ips ?? [`10.88.250.${this.made}`, `fd00:88:250::${this.made.toString(16)}`]
    const object: RawPod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, uid, labels: from.labels },
      spec: { nodeName: this.made % 2 === 0 ? 'n1' : 'n2', containers: [{ name: 'main', ports }] },
      status: { phase: 'Running', podIPs: ips.map((ip) => ({ ip })) },
    }
    this.objects.set(uid, object)
  }

  private policy(policy: RawPolicy): void {
    const key = `${policy.metadata.namespace}/${policy.metadata.name}`
    const uid = this.look('NetworkPolicy', key)?.metadata.uid ?? this.uid('policy')
    this.objects.set(uid, { ...policy, metadata: { ...policy.metadata, uid } })
  }

  private relabel(kind: RawObject['kind'], key: string, labels: Record<string, string>): void {
    const object = this.find(kind, key)
    const name: Record<string, string> = kind === 'Namespace' ? { 'kubernetes.io/metadata.name': object.metadata.name } : {}
    this.objects.set(object.metadata.uid, { ...object, metadata: { ...object.metadata, labels: { ...labels, ...name } } } as RawObject)
  }

  private removeNamespace(name: string): void {
    this.remove('Namespace', name)
    for (const object of [...this.objects.values()]) {
      if (object.metadata.namespace === name) this.objects.delete(object.metadata.uid)
    }
  }

  private remove(kind: RawObject['kind'], key: string): void {
    this.objects.delete(this.find(kind, key).metadata.uid)
  }

  private find(kind: RawObject['kind'], key: string): RawObject {
    const found = this.look(kind, key)
    if (found === undefined) throw new Error(`the case names ${kind} ${key}, which is not there`)
    return found
  }

  private look(kind: RawObject['kind'], key: string): RawObject | undefined {
    return [...this.objects.values()].find((o) => o.kind === kind && (o.metadata.namespace === undefined ? '' : `${o.metadata.namespace}/`) + o.metadata.name === key)
  }

  private uid(kind: string): string {
    this.made += 1
    return `${kind}-${this.made}`
  }
}
