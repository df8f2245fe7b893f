// Services and EndpointSlices as objects, for tests on real packets.
//
// **Invariant:** pure; UIDs are made of kind, namespace and name.
import { familyOf } from '../../src/model/ip.ts'
import { EVERY_PROTOCOL, named, type PlainObject, type RealPod } from './real-objects.ts'

/** Port 80 of each protocol, served at 8080; `number` makes the ClusterIPs 10.96.0.N and fd00:96::N. */
export function serviceObject(key: string, number: number, spec: Readonly<Record<string, unknown>> = {}, status: Readonly<Record<string, unknown>> = {}): PlainObject {
  const clusterIPs = [`10.96.0.${number}`, `fd00:96::${number.toString(16)}`]
  const nodePort = (index: number): object => (spec['type'] === undefined ? {} : { nodePort: 30_000 + number * 10 + index })
  const ports = EVERY_PROTOCOL.map((protocol, index) => ({ name: protocol.toLowerCase(), protocol, port: 80, targetPort: 8080, ...nodePort(index) }))
  return { apiVersion: 'v1', kind: 'Service', metadata: { ...named(key), uid: `service:${key}` }, spec: { type: 'ClusterIP', clusterIP: clusterIPs[0], clusterIPs, ports, ...spec }, status }
}

/** The node port of `serviceObject`. */
export function nodePortOf(number: number, protocol: 'TCP' | 'UDP' | 'SCTP'): number {
  return 30_000 + number * 10 + EVERY_PROTOCOL.indexOf(protocol)
}

export interface EndpointWish {
  readonly pod: RealPod
  readonly conditions?: Readonly<Record<string, boolean>>
}

/** One slice a family, of these pods. */
export function sliceObjects(key: string, endpoints: readonly (RealPod | EndpointWish)[]): readonly PlainObject[] {
  const { namespace, name } = named(key)
  const wishes = endpoints.map((one) => ('pod' in one ? one : { pod: one }))
  return ([4, 6] as const).map((family) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace, name: `${name}-v${family}`, uid: `slice:${key}-v${family}`, labels: { 'kubernetes.io/service-name': name } },
    addressType: `IPv${family}`,
    ports: EVERY_PROTOCOL.map((protocol) => ({ name: protocol.toLowerCase(), protocol, port: 8080 })),
    endpoints: wishes.map(({ pod, conditions = {} }) => ({ addresses: [pod.addresses.find((address) => familyOf(address) === family)], conditions, nodeName: pod.node })),
  }))
}
