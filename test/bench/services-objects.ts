// The Services and slices of bench `services`, as a cluster's controllers write them: metadata, managed fields and all.
//
// Service 0 has a port more, for throughput. Every endpoint's address is served in each station's namespace of endpoints.
// **Invariant:** pure: the same numbers give the same objects, and no address is anybody's twice.
import type { KubeObject } from '../cluster/api.ts'

export const NAMESPACE = 'bench'
export const PER_SERVICE = 5
/** What 10.244.0.0/16 has room for, without what is kept for changes. */
export const MOST_SERVICES = 12_000
export const PORT = 80
export const BYTES_PORT = 81
export const TARGET_PORT = 8080
export const BYTES_TARGET_PORT = 8081
export const ENDPOINTS = '10.244.0.0/16'
/** Connections to these are refused: nothing serves there. */
export const DEAD = '10.244.255.0/24'
export const DEAD_ADDRESS = '10.244.255.1'
export const LIVE_ADDRESS = '10.244.254.1'
/** Of pods' and endpoints' addresses, as kube-proxy is told. */
export const POD_CIDR = '10.244.0.0/15'
const CREATED = '2026-11-01T08:00:00Z'

export interface Stored {
  /** In etcd. */
  readonly key: string
  readonly object: KubeObject
}

export function virtualAddress(i: number): string {
  return `10.96.${1 + (i >> 8)}.${i & 255}`
}

/** Of the Service whose endpoint changes; those that are added follow. */
export const CHANGING = { name: 'changing', address: '10.96.200.1' } as const

export function addedAddress(i: number): string {
  return `10.96.201.${1 + (i % 250)}`
}

/** Address of a station's client, a pod on its node. */
export function clientAddress(station: number): string {
  return `10.245.0.${station}`
}

export function endpointAddresses(i: number): readonly string[] {
  return Array.from({ length: PER_SERVICE }, (_, k) => {
    const n = 256 + i * PER_SERVICE + k
    return `10.244.${n >> 8}.${n & 255}`
  })
}

function uid(kind: number, i: number): string {
  return `5f0c7d1e-8f43-4d0b-${(0x9000 + kind).toString(16)}-${i.toString(16).padStart(12, '0')}`
}

function managed(manager: string, apiVersion: string, fields: object): object {
  return { manager, operation: 'Update', apiVersion, time: CREATED, fieldsType: 'FieldsV1', fieldsV1: fields }
}

const SERVICE_FIELDS = {
  'f:metadata': { 'f:labels': { '.': {}, 'f:app': {}, 'f:team': {} } },
  'f:spec': { 'f:internalTrafficPolicy': {}, 'f:ports': { '.': {}, 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:name': {}, 'f:port': {}, 'f:protocol': {}, 'f:targetPort': {} } }, 'f:selector': {}, 'f:sessionAffinity': {}, 'f:type': {} },
}
const SLICE_FIELDS = {
  'f:addressType': {}, 'f:endpoints': {},
  'f:metadata': { 'f:annotations': { '.': {}, 'f:endpoints.kubernetes.io/last-change-trigger-time': {} }, 'f:generateName': {}, 'f:labels': { '.': {}, 'f:app': {}, 'f:endpointslice.kubernetes.io/managed-by': {}, 'f:kubernetes.io/service-name': {} }, 'f:ownerReferences': { '.': {}, 'k:{"uid":"5f0c7d1e-8f43-4d0b-9a50-0b7f0d4f6a11"}': {} } },
  'f:ports': {},
}

export function serviceObject(name: string, address: string, bytesPort = false): KubeObject {
  const ports = [{ name: 'http', protocol: 'TCP', port: PORT, targetPort: TARGET_PORT }, ...(bytesPort ? [{ name: 'bytes', protocol: 'TCP', port: BYTES_PORT, targetPort: BYTES_TARGET_PORT }] : [])]
  return {
    kind: 'Service', apiVersion: 'v1',
    metadata: { name, namespace: NAMESPACE, creationTimestamp: CREATED, labels: { app: name, team: 'bench' }, managedFields: [managed('kubectl-create', 'v1', SERVICE_FIELDS)] },
    // Nobody fills the slices: there are no controllers.
    spec: { type: 'ClusterIP', clusterIP: address, clusterIPs: [address], ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack', internalTrafficPolicy: 'Cluster', sessionAffinity: 'None', selector: { app: name }, ports },
    status: { loadBalancer: {} },
  }
}

export function sliceEndpoints(addresses: readonly string[]): readonly object[] {
  return addresses.map((address) => ({
    addresses: [address], conditions: { ready: true, serving: true, terminating: false }, nodeName: 'elsewhere', zone: 'z1',
    targetRef: { kind: 'Pod', namespace: NAMESPACE, name: `pod-${address.replaceAll('.', '-')}`, uid: '5f0c7d1e-8f43-4d0b-9a50-0b7f0d4f6a12' },
  }))
}

export function sliceObject(service: string, addresses: readonly string[], bytesPort = false): KubeObject {
  const ports = [{ name: 'http', protocol: 'TCP', port: TARGET_PORT }, ...(bytesPort ? [{ name: 'bytes', protocol: 'TCP', port: BYTES_TARGET_PORT }] : [])]
  return {
    kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1',
    metadata: {
      name: `${service}-x7k2p`, generateName: `${service}-`, namespace: NAMESPACE, generation: 1, creationTimestamp: CREATED,
      labels: { app: service, 'kubernetes.io/service-name': service, 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' },
      annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': CREATED },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: service, uid: '5f0c7d1e-8f43-4d0b-9a50-0b7f0d4f6a11', controller: true, blockOwnerDeletion: true }],
      managedFields: [managed('kube-controller-manager', 'discovery.k8s.io/v1', SLICE_FIELDS)],
    },
    addressType: 'IPv4', ports, endpoints: sliceEndpoints(addresses),
  }
}

/** Of the API server's own: without it, it would complain of an address that nobody allocated. */
function addressObject(address: string, service: string): KubeObject {
  return {
    kind: 'IPAddress', apiVersion: 'networking.k8s.io/v1',
    metadata: { name: address, creationTimestamp: CREATED, labels: { 'ipaddress.kubernetes.io/ip-family': 'IPv4', 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' } },
    spec: { parentRef: { resource: 'services', namespace: NAMESPACE, name: service } },
  }
}

function identified(object: KubeObject, kind: number, i: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, uid: uid(kind, i) } }
}

export function serviceName(i: number): string {
  return `service-${i}`
}

function stored(name: string, address: string, endpoints: readonly string[], i: number): readonly Stored[] {
  return [
    { key: `/registry/endpointslices/${NAMESPACE}/${name}-x7k2p`, object: identified(sliceObject(name, endpoints, i === 0), 1, i) },
    { key: `/registry/ipaddresses/${address}`, object: identified(addressObject(address, name), 2, i) },
    { key: `/registry/services/specs/${NAMESPACE}/${name}`, object: identified(serviceObject(name, address, i === 0), 3, i) },
  ]
}

export function changingObjects(): readonly Stored[] {
  return stored(CHANGING.name, CHANGING.address, [DEAD_ADDRESS], MOST_SERVICES)
}

/** From number `first` up to, without, `end`. */
export function serviceObjects(first: number, end: number): readonly Stored[] {
  return Array.from({ length: end - first }, (_, k) => first + k).flatMap((i) => stored(serviceName(i), virtualAddress(i), endpointAddresses(i), i))
}

export function clientPod(node: string, address: string, i: number): Stored {
  const name = `client-${node}`
  const condition = (type: string): object => ({ type, status: 'True', lastProbeTime: null, lastTransitionTime: CREATED })
  const object = {
    kind: 'Pod', apiVersion: 'v1', metadata: { name, namespace: NAMESPACE, creationTimestamp: CREATED },
    spec: { containers: [{ name: 'main', image: 'client', imagePullPolicy: 'IfNotPresent', terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File', resources: {} }], restartPolicy: 'Always', terminationGracePeriodSeconds: 30, dnsPolicy: 'ClusterFirst', nodeName: node, securityContext: {}, schedulerName: 'default-scheduler' },
    status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }], conditions: ['Ready', 'ContainersReady', 'PodScheduled'].map(condition) },
  }
  return { key: `/registry/pods/${NAMESPACE}/${name}`, object: identified(object, 4, i) }
}
