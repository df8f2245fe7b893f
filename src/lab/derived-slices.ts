// EndpointSlices of a playground's Services, as the controller of a cluster would write them from the pods that a selector means.
//
// (ServiceFacts, pods) -> EndpointSlice objects, one for each family and each set of target ports. **Invariant:** pure; a pod without an
// address, or that has finished, is in none.
import { type Address, type Family, familyOf } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { JsonObject } from './case-fields.ts'
import { isPort, listOf, objectOf, type PortFacts, type ServiceFacts } from './service-facts.ts'

export interface SlicePod {
  /** `namespace/name` */
  readonly key: string
  readonly uid: string
  readonly node: string
  /** Null: none. */
  readonly zone: string | null
  readonly addresses: readonly Address[]
  /** As the folder has it. */
  readonly object: JsonObject
}

interface TargetPort {
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
}

/** Objects without UID. */
export function deriveSlices(service: ServiceFacts, pods: readonly SlicePod[]): readonly JsonObject[] {
  const { selector, key } = service
  if (selector === null) return []
  const [namespace, name] = key.split('/') as [string, string]
  const chosen = pods.filter((pod) => pod.key.startsWith(`${namespace}/`) && matches(selector, pod.object))
  return service.families.flatMap((family) => {
    const groups = new Map<string, { readonly ports: readonly TargetPort[]; readonly pods: SlicePod[] }>()
    for (const pod of chosen) {
      if (!pod.addresses.some((one) => familyOf(one) === family)) continue
      const ports = service.ports.flatMap((port) => targetOf(port, pod.object))
      if (ports.length === 0 && service.ports.length > 0) continue
      const group = JSON.stringify(ports)
      const known = groups.get(group)
      if (known === undefined) groups.set(group, { ports, pods: [pod] })
      else known.pods.push(pod)
    }
    return [...groups.values()].map((group, index) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace, name: `${name}-ipv${family}-${index + 1}`, labels: { 'kubernetes.io/service-name': name, ...(service.headless ? { 'service.kubernetes.io/headless': '' } : {}) } },
      addressType: `IPv${family}`,
      endpoints: group.pods.map((pod) => endpointOf(pod, family, service)),
      ports: group.ports,
    }))
  })
}

function matches(selector: ReadonlyMap<string, string>, pod: JsonObject): boolean {
  const labels = objectOf(objectOf(pod['metadata'])['labels'])
  return [...selector].every(([key, value]) => labels[key] === value)
}

/** A name is looked for among the ports of the pod's containers, and may be another number in each pod; where it is not there, the port is left out. */
function targetOf({ name, protocol, targetPort }: PortFacts, pod: JsonObject): readonly TargetPort[] {
  if (typeof targetPort === 'number') return [{ name, protocol, port: targetPort }]
  const spec = objectOf(pod['spec'])
  const sidecars = listOf(spec['initContainers']).filter((one) => objectOf(one)['restartPolicy'] === 'Always')
  for (const container of [...listOf(spec['containers']), ...sidecars]) {
    for (const one of listOf(objectOf(container)['ports'])) {
      const { name: known, protocol: said = 'TCP', containerPort } = objectOf(one)
      if (known === targetPort && said === protocol && isPort(containerPort)) return [{ name, protocol, port: containerPort }]
    }
  }
  return []
}

function endpointOf(pod: SlicePod, family: Family, { publishNotReady, distribution }: ServiceFacts): JsonObject {
  const { metadata, status } = { metadata: objectOf(pod.object['metadata']), status: objectOf(pod.object['status']) }
  // Real servers answer for it, so a pod counts as ready unless the folder says otherwise.
  const serving = !listOf(status['conditions']).some((one) => objectOf(one)['type'] === 'Ready' && objectOf(one)['status'] === 'False')
  const terminating = metadata['deletionTimestamp'] !== undefined
  const [namespace, name] = pod.key.split('/')
  return {
    addresses: [pod.addresses.find((one) => familyOf(one) === family)],
    conditions: { ready: publishNotReady || (serving && !terminating), serving: publishNotReady || serving, terminating },
    nodeName: pod.node,
    targetRef: { kind: 'Pod', namespace, name, uid: pod.uid },
    ...(pod.zone === null ? {} : { zone: pod.zone }),
    ...hintsOf(pod, distribution),
  }
}

/** "PreferSameZone ... PreferSameNode"; PreferClose is the former's older name. */
function hintsOf({ node, zone }: SlicePod, distribution: string): JsonObject {
  const forZones = zone === null ? {} : { forZones: [{ name: zone }] }
  if (distribution === 'PreferSameNode') return { hints: { ...forZones, forNodes: [{ name: node }] } }
  return zone !== null && (distribution === 'PreferClose' || distribution === 'PreferSameZone') ? { hints: forZones } : {}
}
