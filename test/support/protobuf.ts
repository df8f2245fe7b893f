// Objects as JSON has them -> the API's protobuf, by a table of fields: what an API server sends where protobuf is asked for.
//
// Written from generated.proto of k8s.io/api/core/v1, k8s.io/api/discovery/v1 and k8s.io/apimachinery v0.37.2, and from nothing in src/kube/.
// **Invariant:** a field that the table does not know, and a value that its type cannot hold, are errors: nothing is lost unseen.

type Type = 'string' | 'int' | 'bool' | 'time' | 'labels' | 'quantities' | 'quantity' | 'intOrString' | 'json' | (string & {})
/** `inline`: in JSON its fields stand in the outer object. */
type Field = readonly [number: number, type: Type, inline?: 'inline']

const CONTAINER: Readonly<Record<string, Field>> = {
  name: [1, 'string'], image: [2, 'string'], command: [3, 'string'], args: [4, 'string'], workingDir: [5, 'string'], ports: [6, 'ContainerPort'], env: [7, 'EnvVar'], resources: [8, 'ResourceRequirements'],
  volumeMounts: [9, 'VolumeMount'], livenessProbe: [10, 'Probe'], readinessProbe: [11, 'Probe'], terminationMessagePath: [13, 'string'], imagePullPolicy: [14, 'string'], terminationMessagePolicy: [20, 'string'],
  restartPolicy: [24, 'string'],
}

const MESSAGES: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  WatchEvent: { type: [1, 'string'], object: [2, 'RawExtension'] },
  Status: { metadata: [1, 'ListMeta'], status: [2, 'string'], message: [3, 'string'], reason: [4, 'string'], code: [6, 'int'] },
  ListMeta: { selfLink: [1, 'string'], resourceVersion: [2, 'string'], continue: [3, 'string'], remainingItemCount: [4, 'int'] },
  Pod: { metadata: [1, 'ObjectMeta'], spec: [2, 'PodSpec'], status: [3, 'PodStatus'] },
  ObjectMeta: {
    name: [1, 'string'], generateName: [2, 'string'], namespace: [3, 'string'], selfLink: [4, 'string'], uid: [5, 'string'], resourceVersion: [6, 'string'], generation: [7, 'int'], creationTimestamp: [8, 'time'],
    deletionTimestamp: [9, 'time'], deletionGracePeriodSeconds: [10, 'int'], labels: [11, 'labels'], annotations: [12, 'labels'], ownerReferences: [13, 'OwnerReference'], finalizers: [14, 'string'],
    managedFields: [17, 'ManagedFieldsEntry'],
  },
  OwnerReference: { kind: [1, 'string'], name: [3, 'string'], uid: [4, 'string'], apiVersion: [5, 'string'], controller: [6, 'bool'], blockOwnerDeletion: [7, 'bool'] },
  ManagedFieldsEntry: { manager: [1, 'string'], operation: [2, 'string'], apiVersion: [3, 'string'], time: [4, 'time'], fieldsType: [6, 'string'], fieldsV1: [7, 'json'], subresource: [8, 'string'] },
  PodSpec: {
    volumes: [1, 'Volume'], containers: [2, 'Container'], restartPolicy: [3, 'string'], terminationGracePeriodSeconds: [4, 'int'], dnsPolicy: [6, 'string'], nodeSelector: [7, 'labels'], serviceAccountName: [8, 'string'],
    serviceAccount: [9, 'string'], nodeName: [10, 'string'], hostNetwork: [11, 'bool'], hostPID: [12, 'bool'], securityContext: [14, 'Empty'], schedulerName: [19, 'string'], initContainers: [20, 'Container'],
    tolerations: [22, 'Toleration'], priorityClassName: [24, 'string'], priority: [25, 'int'], enableServiceLinks: [30, 'bool'], preemptionPolicy: [31, 'string'], overhead: [32, 'quantities'],
  },
  Container: CONTAINER,
  ContainerPort: { name: [1, 'string'], hostPort: [2, 'int'], containerPort: [3, 'int'], protocol: [4, 'string'], hostIP: [5, 'string'] },
  EnvVar: { name: [1, 'string'], value: [2, 'string'] },
  ResourceRequirements: { limits: [1, 'quantities'], requests: [2, 'quantities'] },
  VolumeMount: { name: [1, 'string'], readOnly: [2, 'bool'], mountPath: [3, 'string'] },
  Probe: { handler: [1, 'ProbeHandler', 'inline'], initialDelaySeconds: [2, 'int'], timeoutSeconds: [3, 'int'], periodSeconds: [4, 'int'], successThreshold: [5, 'int'], failureThreshold: [6, 'int'] },
  ProbeHandler: { httpGet: [2, 'HTTPGetAction'] },
  HTTPGetAction: { path: [1, 'string'], port: [2, 'intOrString'], host: [3, 'string'], scheme: [4, 'string'] },
  Volume: { name: [1, 'string'], volumeSource: [2, 'VolumeSource', 'inline'] },
  VolumeSource: { projected: [26, 'ProjectedVolumeSource'] },
  ProjectedVolumeSource: { sources: [1, 'VolumeProjection'], defaultMode: [2, 'int'] },
  VolumeProjection: { downwardAPI: [2, 'DownwardAPIProjection'], configMap: [3, 'ConfigMapProjection'], serviceAccountToken: [4, 'ServiceAccountTokenProjection'] },
  ServiceAccountTokenProjection: { audience: [1, 'string'], expirationSeconds: [2, 'int'], path: [3, 'string'] },
  ConfigMapProjection: { localObjectReference: [1, 'LocalObjectReference', 'inline'], items: [2, 'KeyToPath'] },
  LocalObjectReference: { name: [1, 'string'] },
  KeyToPath: { key: [1, 'string'], path: [2, 'string'] },
  DownwardAPIProjection: { items: [1, 'DownwardAPIVolumeFile'] },
  DownwardAPIVolumeFile: { path: [1, 'string'], fieldRef: [2, 'ObjectFieldSelector'] },
  ObjectFieldSelector: { apiVersion: [1, 'string'], fieldPath: [2, 'string'] },
  Toleration: { key: [1, 'string'], operator: [2, 'string'], value: [3, 'string'], effect: [4, 'string'], tolerationSeconds: [5, 'int'] },
  PodStatus: {
    phase: [1, 'string'], conditions: [2, 'PodCondition'], message: [3, 'string'], reason: [4, 'string'], hostIP: [5, 'string'], podIP: [6, 'string'], startTime: [7, 'time'], containerStatuses: [8, 'ContainerStatus'],
    qosClass: [9, 'string'], podIPs: [12, 'PodIP'], hostIPs: [16, 'PodIP'], observedGeneration: [17, 'int'],
  },
  PodIP: { ip: [1, 'string'] },
  PodCondition: { type: [1, 'string'], status: [2, 'string'], lastProbeTime: [3, 'time'], lastTransitionTime: [4, 'time'], reason: [5, 'string'], message: [6, 'string'], observedGeneration: [7, 'int'] },
  ContainerStatus: {
    name: [1, 'string'], state: [2, 'ContainerState'], lastState: [3, 'ContainerState'], ready: [4, 'bool'], restartCount: [5, 'int'], image: [6, 'string'], imageID: [7, 'string'], containerID: [8, 'string'], started: [9, 'bool'],
  },
  ContainerState: { running: [2, 'ContainerStateRunning'] },
  ContainerStateRunning: { startedAt: [1, 'time'] },
  Service: { metadata: [1, 'ObjectMeta'], spec: [2, 'ServiceSpec'], status: [3, 'ServiceStatus'] },
  ServiceSpec: {
    ports: [1, 'ServicePort'], selector: [2, 'labels'], clusterIP: [3, 'string'], type: [4, 'string'], externalIPs: [5, 'string'], sessionAffinity: [7, 'string'], loadBalancerIP: [8, 'string'], loadBalancerSourceRanges: [9, 'string'],
    externalName: [10, 'string'], externalTrafficPolicy: [11, 'string'], healthCheckNodePort: [12, 'int'], publishNotReadyAddresses: [13, 'bool'], sessionAffinityConfig: [14, 'SessionAffinityConfig'], ipFamilyPolicy: [17, 'string'],
    clusterIPs: [18, 'string'], ipFamilies: [19, 'string'], allocateLoadBalancerNodePorts: [20, 'bool'], loadBalancerClass: [21, 'string'], internalTrafficPolicy: [22, 'string'], trafficDistribution: [23, 'string'],
  },
  ServicePort: { name: [1, 'string'], protocol: [2, 'string'], port: [3, 'int'], targetPort: [4, 'intOrString'], nodePort: [5, 'int'], appProtocol: [6, 'string'] },
  SessionAffinityConfig: { clientIP: [1, 'ClientIPConfig'] },
  ClientIPConfig: { timeoutSeconds: [1, 'int'] },
  ServiceStatus: { loadBalancer: [1, 'LoadBalancerStatus'], conditions: [2, 'PodCondition'] },
  LoadBalancerStatus: { ingress: [1, 'LoadBalancerIngress'] },
  LoadBalancerIngress: { ip: [1, 'string'], hostname: [2, 'string'], ipMode: [3, 'string'], ports: [4, 'PortStatus'] },
  PortStatus: { port: [1, 'int'], protocol: [2, 'string'], error: [3, 'string'] },
  EndpointSlice: { metadata: [1, 'ObjectMeta'], endpoints: [2, 'Endpoint'], ports: [3, 'EndpointPort'], addressType: [4, 'string'] },
  Endpoint: {
    addresses: [1, 'string'], conditions: [2, 'EndpointConditions'], hostname: [3, 'string'], targetRef: [4, 'ObjectReference'], deprecatedTopology: [5, 'labels'], nodeName: [6, 'string'], zone: [7, 'string'], hints: [8, 'EndpointHints'],
  },
  EndpointConditions: { ready: [1, 'bool'], serving: [2, 'bool'], terminating: [3, 'bool'] },
  EndpointHints: { forZones: [1, 'Named'], forNodes: [2, 'Named'] },
  Named: { name: [1, 'string'] },
  EndpointPort: { name: [1, 'string'], protocol: [2, 'string'], port: [3, 'int'], appProtocol: [4, 'string'] },
  ObjectReference: { kind: [1, 'string'], namespace: [2, 'string'], name: [3, 'string'], uid: [4, 'string'] },
  Empty: {},
}

export const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const MAGIC = Buffer.from([0x6b, 0x38, 0x73, 0x00])

/** A varint; negative numbers take ten bytes. */
export function varint(value: number | bigint): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Buffer.from(bytes)
}

/** A field of wire type 2. */
export function bytesField(number: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes])
}

/** A field of wire type 0. */
export function numberField(number: number, value: number | bigint): Buffer {
  return Buffer.concat([varint(number * 8), varint(value)])
}

/** Of a message of the table. `kind` and `apiVersion` are no fields of an object: they stand around it. */
export function encodeMessage(message: string, object: object, top = true): Buffer {
  const fields = MESSAGES[message]
  if (fields === undefined) throw new TypeError(`no message ${message}`)
  const inline = Object.values(fields).filter(([, , how]) => how === 'inline')
  const parts: Buffer[] = []
  const inlined: Record<string, Record<string, unknown>> = {}
  for (const [key, value] of Object.entries(object) as [string, unknown][]) {
    if (value === undefined || value === null || (top && (key === 'kind' || key === 'apiVersion'))) continue
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined
    if (field !== undefined) {
      for (const one of isRepeated(value) ? value : [value]) parts.push(...encodeField(field, one, `${message}.${key}`))
      continue
    }
    const [number, type] = inline.find(([, name]) => Object.hasOwn(MESSAGES[name] as object, key)) ?? []
    if (number === undefined || type === undefined) throw new TypeError(`${message}.${key} is not in the table`)
    ;(inlined[type] ??= {})[key] = value
  }
  for (const [number, type] of inline) parts.push(bytesField(number, encodeMessage(type, inlined[type] ?? {}, false)))
  return Buffer.concat(parts)
}

function isRepeated(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function encodeField([number, type]: Field, value: unknown, where: string): readonly Buffer[] {
  const wanted = (is: boolean): void => {
    if (!is) throw new TypeError(`${where}: ${String(value)} is no ${type}`)
  }
  switch (type) {
    case 'string':
      wanted(typeof value === 'string')
      return [bytesField(number, value as string)]
    case 'int':
      wanted(Number.isSafeInteger(value))
      return [numberField(number, value as number)]
    case 'bool':
      wanted(typeof value === 'boolean')
      return [numberField(number, value === true ? 1 : 0)]
    case 'time':
      wanted(typeof value === 'string' && !Number.isNaN(Date.parse(value)))
      return [bytesField(number, Buffer.concat([numberField(1, Math.floor(Date.parse(value as string) / 1000)), numberField(2, 0)]))]
    case 'labels':
      return Object.entries(value as object).map(([key, text]: [string, unknown]) => {
        if (typeof text !== 'string') throw new TypeError(`${where}: ${String(text)} is no string`)
        return bytesField(number, Buffer.concat([bytesField(1, key), bytesField(2, text)]))
      })
    case 'quantities':
      return Object.entries(value as object).map(([key, text]) => bytesField(number, Buffer.concat([bytesField(1, key), bytesField(2, bytesField(1, String(text)))])))
    case 'intOrString':
      return [bytesField(number, typeof value === 'number' ? Buffer.concat([numberField(1, 0), numberField(2, value)]) : Buffer.concat([numberField(1, 1), bytesField(3, String(value))]))]
    case 'json':
      return [bytesField(number, bytesField(1, JSON.stringify(value)))]
    default:
      wanted(typeof value === 'object' && value !== null)
      return [bytesField(number, encodeMessage(type, value as object, false))]
  }
}

/** The mark and runtime.Unknown around an object's or a list's message. */
export function wrapped(kind: string, raw: Buffer): Buffer {
  return Buffer.concat([MAGIC, typeMeta(kind), bytesField(2, raw), bytesField(3, ''), bytesField(4, '')])
}

function typeMeta(kind: string): Buffer {
  return bytesField(1, Buffer.concat([bytesField(1, 'v1'), bytesField(2, kind)]))
}

/** With its length in front. */
export function frame(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** A frame of a watch; `kind`: of the object. */
export function eventFrame(type: string, kind: string, object: object): Buffer {
  const raw = bytesField(1, wrapped(kind, encodeMessage(kind, object)))
  return frame(Buffer.concat([bytesField(1, type), bytesField(2, raw)]))
}

/** A whole answer; `kind`: of the items. */
export function listMessage(kind: string, metadata: object, items: readonly object[]): Buffer {
  const all = Buffer.concat(items.map((item) => bytesField(2, encodeMessage(kind, item))))
  return Buffer.concat([listHead(kind, metadata, all.length), all])
}

/** What stands in front of the items, which take `length` bytes with their tags and lengths. */
export function listHead(kind: string, metadata: object, length: number): Buffer {
  const first = bytesField(1, encodeMessage('ListMeta', metadata))
  return Buffer.concat([MAGIC, typeMeta(`${kind}List`), varint(2 * 8 + 2), varint(first.length + length), first])
}
