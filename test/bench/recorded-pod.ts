// The bytes of one pod as an API server 1.37 gives them, managed fields and all, with the numbers of another pod put in: about 5.5 KB
// as JSON. And the same as protobuf.
//
// **Invariant:** pure: the same numbers give the same bytes.
import { bytesField, encodeMessage, eventFrame } from '../support/protobuf.ts'

const FIELDS = {
  'f:metadata': { 'f:generateName': {}, 'f:labels': { '.': {}, 'f:app': {}, 'f:pod-template-hash': {}, 'f:release': {}, 'f:zone': {} }, 'f:ownerReferences': { '.': {}, 'k:{"uid":"5f0c7d1e-8f43-4d0b-9a50-0b7f0d4f6a11"}': {} } },
  'f:spec': { 'f:containers': { 'k:{"name":"main"}': { '.': {}, 'f:env': { '.': {}, 'k:{"name":"LOG_LEVEL"}': { '.': {}, 'f:name': {}, 'f:value': {} } }, 'f:image': {}, 'f:imagePullPolicy': {}, 'f:name': {}, 'f:ports': { '.': {}, 'k:{"containerPort":8080,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {}, 'f:name': {}, 'f:protocol': {} } }, 'f:resources': { '.': {}, 'f:limits': { '.': {}, 'f:memory': {} }, 'f:requests': { '.': {}, 'f:cpu': {}, 'f:memory': {} } }, 'f:terminationMessagePath': {}, 'f:terminationMessagePolicy': {} } }, 'f:dnsPolicy': {}, 'f:enableServiceLinks': {}, 'f:restartPolicy': {}, 'f:schedulerName': {}, 'f:securityContext': {}, 'f:terminationGracePeriodSeconds': {} },
}
const STATUS_FIELDS = {
  'f:status': { 'f:conditions': Object.fromEntries(['ContainersReady', 'Initialized', 'PodReadyToStartContainers', 'Ready'].map((type) => [`k:{"type":"${type}"}`, { '.': {}, 'f:lastProbeTime': {}, 'f:lastTransitionTime': {}, 'f:observedGeneration': {}, 'f:status': {}, 'f:type': {} }])), 'f:containerStatuses': {}, 'f:hostIP': {}, 'f:hostIPs': {}, 'f:observedGeneration': {}, 'f:phase': {}, 'f:podIP': {}, 'f:podIPs': { '.': {}, 'k:{"ip":"10.0.0.1"}': { '.': {}, 'f:ip': {} }, 'k:{"ip":"fd00::1"}': { '.': {}, 'f:ip': {} } }, 'f:startTime': {} },
}

function condition(type: string): object {
  return { type, observedGeneration: 1, status: 'True', lastProbeTime: null, lastTransitionTime: '2026-11-01T08:00:00Z' }
}

function template(): string {
  return JSON.stringify({
    kind: 'Pod', apiVersion: 'v1',
    metadata: {
      name: '@APP@-6c9f7b5d8-@N@', generateName: '@APP@-6c9f7b5d8-', namespace: 'ns@NS@', uid: '0b7f0d4f-6a11-4d0b-9a50-@HEX@', resourceVersion: '@V@', generation: 1, creationTimestamp: '2026-11-01T08:00:00Z',
      labels: { app: '@APP@', 'pod-template-hash': '6c9f7b5d8', release: 'r@R@', zone: 'z@R@' },
      annotations: { 'checksum/config': 'd2c1a4c8f6b3f5b9e3a1c7d9e8f0a2b4c6d8e0f1a3b5c7d9e1f3a5b7c9d1e3f5', 'prometheus.io/scrape': 'true', 'prometheus.io/port': '8080' },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: '@APP@-6c9f7b5d8', uid: '5f0c7d1e-8f43-4d0b-9a50-0b7f0d4f6a11', controller: true, blockOwnerDeletion: true }],
      managedFields: [
        { manager: 'kube-controller-manager', operation: 'Update', apiVersion: 'v1', time: '2026-11-01T08:00:00Z', fieldsType: 'FieldsV1', fieldsV1: FIELDS },
        { manager: 'kubelet', operation: 'Update', apiVersion: 'v1', time: '2026-11-01T08:00:05Z', fieldsType: 'FieldsV1', fieldsV1: STATUS_FIELDS, subresource: 'status' },
      ],
    },
    spec: {
      volumes: [{ name: 'kube-api-access-x7k2p', projected: { sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: 'token' } }, { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } }, { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } }], defaultMode: 420 } }],
      containers: [{
        name: 'main', image: 'registry.example.com/team/@APP@:1.42.0@sha256:4a5c7b9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1b3c5d7e9f1a3b5c7d9e1f3a5b', ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }], env: [{ name: 'LOG_LEVEL', value: 'info' }],
        resources: { limits: { memory: '512Mi' }, requests: { cpu: '100m', memory: '256Mi' } }, volumeMounts: [{ name: 'kube-api-access-x7k2p', readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }],
        livenessProbe: { httpGet: { path: '/healthz', port: 'http', scheme: 'HTTP' }, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 },
        terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File', imagePullPolicy: 'IfNotPresent',
      }],
      restartPolicy: 'Always', terminationGracePeriodSeconds: 30, dnsPolicy: 'ClusterFirst', serviceAccountName: 'default', serviceAccount: 'default', nodeName: 'n@NODE@', securityContext: {}, schedulerName: 'default-scheduler',
      tolerations: ['not-ready', 'unreachable'].map((key) => ({ key: `node.kubernetes.io/${key}`, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 })), priority: 0, enableServiceLinks: true, preemptionPolicy: 'PreemptLowerPriority',
    },
    status: {
      observedGeneration: 1, phase: 'Running', conditions: ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(condition), hostIP: '192.168.0.1', hostIPs: [{ ip: '192.168.0.1' }], podIP: '@IP@', podIPs: [{ ip: '@IP@' }, { ip: 'fd00::@N@' }], startTime: '2026-11-01T08:00:00Z',
      containerStatuses: [{ name: 'main', state: { running: { startedAt: '2026-11-01T08:00:04Z' } }, lastState: {}, ready: true, restartCount: 0, image: 'registry.example.com/team/@APP@:1.42.0', imageID: 'registry.example.com/team/@APP@@sha256:4a5c7b9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1b3c5d7e9f1a3b5c7d9e1f3a5b', containerID: 'containerd://8f3a5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1b3c5d7e9f1a3b5c7d9e1f3a', started: true }],
      qosClass: 'Burstable',
    },
  })
}

const PARTS = template().split(/(@[A-Z]+@)/)
const APPS = ['web', 'api', 'db', 'cache', 'job'] as const

type Values = Readonly<Record<string, string>>
/** As an event's frame, or as an item of a list. */
type Form = 'ADDED' | 'MODIFIED' | 'item'

/** Of the `i`-th pod of a cluster, at that version. */
function valuesOf(i: number, version: number): Values {
  return {
    '@APP@': APPS[i % 5] as string, '@N@': i.toString(16), '@NS@': String(Math.floor(i / 50)), '@HEX@': i.toString(16).padStart(12, '0'), '@V@': String(version),
    '@R@': String(version % 4), '@NODE@': String(i % 500), '@IP@': `10.${(i >> 14) & 255}.${(i >> 7) & 127}.${1 + (i & 127)}`,
  }
}

function filled(parts: readonly string[], values: Values): string {
  return parts.map((part) => values[part] ?? part).join('')
}

/** The `i`-th pod of a cluster, at that version. */
export function recordedPod(i: number, version: number): string {
  return filled(PARTS, valuesOf(i, version))
}

/** Bytes of its protobuf with the values' names in their place, for values of these lengths: a message says how long its parts are. */
const MESSAGES = new Map<string, readonly string[]>()

/** The same in protobuf, one character a byte. */
export function recordedMessage(form: Form, i: number, version: number): string {
  const values = valuesOf(i, version)
  const shape = `${form} ${Object.values(values).map(({ length }) => length).join(' ')}`
  const parts = MESSAGES.get(shape) ?? messageParts(form, values)
  MESSAGES.set(shape, parts)
  return filled(parts, values)
}

/** A value stands wherever the bytes differ between two texts of its length. */
function messageParts(form: Form, values: Values): readonly string[] {
  const whole = messageOf(form, values)
  const at = new Map<number, string>()
  for (const [name, { length }] of Object.entries(values)) {
    const [one, other] = ['A', 'B'].map((char) => messageOf(form, { ...values, [name]: char.repeat(length) })) as [string, string]
    for (let i = 0; i < whole.length; i += 1) {
      if (one[i] === other[i]) continue
      at.set(i, name)
      i += length - 1
    }
  }
  const parts: string[] = []
  let end = 0
  for (const [i, name] of [...at].sort(([a], [b]) => a - b)) {
    parts.push(whole.slice(end, i), name)
    end = i + (values[name] as string).length
  }
  return [...parts, whole.slice(end)]
}

function messageOf(form: Form, values: Values): string {
  const pod = JSON.parse(filled(PARTS, values)) as object
  return (form === 'item' ? bytesField(2, encodeMessage('Pod', pod)) : eventFrame(form, 'Pod', pod)).toString('latin1')
}
