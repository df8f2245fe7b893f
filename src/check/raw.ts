// The few fields of Nodes, Services and DaemonSets that only the check looks at: raw object -> facts.
//
// What the agent keeps is decode/'s. **Invariant:** nothing here throws for what an object says: what is not as expected
// counts as absent.
import { parseAddress, type Address } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import { PROTOCOLS } from '../model/objects.ts'

export interface NodeSummary {
  readonly name: string
  /** `linux`, `windows`; empty where it does not say. */
  readonly os: string
  readonly ready: boolean
}

export interface ServicePort {
  readonly protocol: Protocol
  readonly port: number
  /** A number, or a name of the pods' ports. */
  readonly target: number | string
}

export interface ServiceFacts {
  readonly namespace: string
  readonly name: string
  /** Cluster addresses; none of a headless one. */
  readonly addresses: readonly Address[]
  readonly labels: Readonly<Record<string, string>>
  readonly selector: Readonly<Record<string, string>>
  readonly ports: readonly ServicePort[]
}

export interface DaemonSetFacts {
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly images: readonly string[]
  /** Of all its containers, behind the program's name. */
  readonly args: readonly string[]
  /** On how many nodes it wants a pod; null where its status does not say. */
  readonly nodes: number | null
}

type Mapping = Readonly<Record<string, unknown>>

export function nodeOf(raw: unknown): NodeSummary {
  const status = mapping(mapping(raw)['status'])
  const ready = list(status['conditions']).map(mapping).find((one) => one['type'] === 'Ready')
  const labels = mapping(mapping(mapping(raw)['metadata'])['labels'])
  return { name: nameOf(raw).name, os: text(mapping(status['nodeInfo'])['operatingSystem']) || text(labels['kubernetes.io/os']), ready: ready?.['status'] === 'True' }
}

export function serviceOf(raw: unknown): ServiceFacts {
  const spec = mapping(mapping(raw)['spec'])
  const addresses = [spec['clusterIP'], ...list(spec['clusterIPs'])].flatMap((one) => (typeof one === 'string' ? (parseAddress(one) ?? []) : []))
  const ports = list(spec['ports']).map(mapping).flatMap((one): ServicePort[] => {
    const protocol = PROTOCOLS.find((known) => known === (one['protocol'] ?? 'TCP'))
    const { port, targetPort } = one as { readonly port?: unknown; readonly targetPort?: unknown }
    if (protocol === undefined || typeof port !== 'number') return []
    return [{ protocol, port, target: typeof targetPort === 'number' || typeof targetPort === 'string' ? targetPort : port }]
  })
  return { ...nameOf(raw), labels: texts(mapping(mapping(raw)['metadata'])['labels']), addresses: [...new Set(addresses)], selector: texts(spec['selector']), ports }
}

export function daemonSetOf(raw: unknown): DaemonSetFacts {
  const pod = mapping(mapping(mapping(mapping(raw)['spec'])['template'])['spec'])
  const images = [...list(pod['containers']), ...list(pod['initContainers'])].map((one) => text(mapping(one)['image'])).filter((one) => one !== '')
  const args = list(pod['containers']).map(mapping).flatMap((one) => [...list(one['command']), ...list(one['args'])]).filter((one) => typeof one === 'string')
  const wanted = mapping(mapping(raw)['status'])['desiredNumberScheduled']
  return { ...nameOf(raw), labels: texts(mapping(mapping(raw)['metadata'])['labels']), images, args, nodes: typeof wanted === 'number' ? wanted : null }
}

/** How a pod is doing, and why it does not start. */
export interface PodState {
  readonly phase: string
  readonly ended: boolean
  /** Of its one container, or of the pod: `ImagePullBackOff: Back-off pulling image "x"`; empty for none. */
  readonly trouble: string
  readonly reason: string
}

export function podStateOf(raw: unknown): PodState {
  const status = mapping(mapping(raw)['status'])
  const container = mapping(mapping(list(status['containerStatuses'])[0])['state'])
  const [waiting, terminated] = [mapping(container['waiting']), mapping(container['terminated'])]
  const reason = text(waiting['reason']) || text(terminated['reason']) || text(status['reason'])
  const message = text(waiting['message']) || text(terminated['message']) || text(status['message'])
  const phase = text(status['phase'])
  return { phase, ended: phase === 'Succeeded' || phase === 'Failed', reason, trouble: [reason, message].filter((part) => part !== '').join(': ') }
}

function nameOf(raw: unknown): { readonly namespace: string; readonly name: string } {
  const metadata = mapping(mapping(raw)['metadata'])
  return { namespace: text(metadata['namespace']), name: text(metadata['name']) }
}

function mapping(value: unknown): Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {}
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function texts(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(mapping(value)).flatMap(([key, one]) => (typeof one === 'string' ? [[key, one]] : [])))
}
