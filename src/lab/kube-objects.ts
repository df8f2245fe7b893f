// The objects that the lab writes for its agents, as an API server would hold them: Pod, Namespace, Node.
//
// **Invariant:** equal input gives equal text, so that an object that did not change is a file that is not touched.
import type { Address, Cidr } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'

export interface PodObject {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  readonly node: string
  readonly addresses: readonly Address[]
  readonly ports: readonly { readonly name: string | null; readonly protocol: Protocol; readonly port: number }[]
  readonly createdAt: string
}

export function podText(pod: PodObject): string {
  return text({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod.name, namespace: pod.namespace, uid: pod.uid, creationTimestamp: pod.createdAt, labels: Object.fromEntries(pod.labels) },
    spec: {
      nodeName: pod.node,
      containers: [
        {
          name: 'server',
          image: 'picket-lab',
          ports: pod.ports.map(({ name, protocol, port }) => ({ ...(name === null ? {} : { name }), containerPort: port, protocol })),
        },
      ],
    },
    status: { phase: 'Running', ...podStatusAddresses(pod.addresses) },
  })
}

export function podStatusAddresses(addresses: readonly Address[]): { readonly podIP?: string; readonly podIPs: readonly { readonly ip: string }[] } {
  const [first] = addresses
  return { ...(first === undefined ? {} : { podIP: first }), podIPs: addresses.map((ip) => ({ ip })) }
}

export function namespaceText(name: string, uid: string, labels: ReadonlyMap<string, string>, createdAt: string): string {
  return text({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, uid, creationTimestamp: createdAt, labels: Object.fromEntries(labels) },
    status: { phase: 'Active' },
  })
}

/** `zone`: where it is; null: nowhere. */
export function nodeText(name: string, uid: string, addresses: readonly Address[], podCidrs: readonly Cidr[], createdAt: string, zone: string | null = null): string {
  return text({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, uid, creationTimestamp: createdAt, labels: { 'kubernetes.io/hostname': name, ...(zone === null ? {} : { 'topology.kubernetes.io/zone': zone }) } },
    spec: { ...(podCidrs[0] === undefined ? {} : { podCIDR: podCidrs[0].text }), podCIDRs: podCidrs.map((one) => one.text) },
    status: { addresses: [...addresses.map((address) => ({ type: 'InternalIP', address })), { type: 'Hostname', address: name }] },
  })
}

/** JSON, as a file's text. */
export function text(object: unknown): string {
  return `${JSON.stringify(object, null, 1)}\n`
}

/** The UID of the lab's `serial`-th object; the form of a UUID, never used twice by one lab. */
export function labUid(serial: number): string {
  return `00000000-0000-4000-8000-${serial.toString(16).padStart(12, '0')}`
}

/** RFC 3339 with seconds, as the API server writes it. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}

