// What the lab has to know of a Pod in order to run it: node, addresses, ports, whether it runs at all.
//
// Raw object -> PodFacts, leniently: what is wrong with a Pod is the agents' to report, and what cannot be read is taken
// as not said. **Invariant:** never throws.
import { parseAddress, type Address } from '../model/ip.ts'
import { PROTOCOLS } from '../model/objects.ts'
import { isObject, type JsonObject } from './case-fields.ts'
import type { Port } from './probe-name.ts'

export interface PodFacts {
  /** `namespace/name` */
  readonly key: string
  readonly node: string | null
  /** Those that the folder gives it; empty: it gets free ones. */
  readonly addresses: readonly Address[]
  readonly ports: readonly Port[]
  readonly hostNetwork: boolean
  /** Succeeded or Failed: nothing of it runs (rule 93). */
  readonly finished: boolean
}

/** What a pod serves that names no ports. */
export const DEFAULT_PORTS: readonly Port[] = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'TCP', port: 8080 },
]

/** `Pod shop/web`, `Node n1`: an object by kind, namespace and name. Objects without a namespace of their own are in `default`. */
export function keyOf(object: JsonObject): string {
  const kind = String(object['kind'])
  const metadata = objectOf(object['metadata'])
  const name = String(metadata['name'])
  if (kind === 'Namespace' || kind === 'Node') return `${kind} ${name}`
  return `${kind} ${typeof metadata['namespace'] === 'string' ? metadata['namespace'] : 'default'}/${name}`
}

export function podFacts(pod: JsonObject): PodFacts {
  const spec = objectOf(pod['spec'])
  const status = objectOf(pod['status'])
  const podIps = listOf(status['podIPs']).map((one) => objectOf(one)['ip'])
  const said = podIps.length > 0 ? podIps : [status['podIP']]
  const ports = [...listOf(spec['containers']), ...listOf(spec['initContainers']).filter((one) => objectOf(one)['restartPolicy'] === 'Always')].flatMap(portsOf)
  return {
    key: keyOf(pod).slice('Pod '.length),
    node: typeof spec['nodeName'] === 'string' && spec['nodeName'] !== '' ? spec['nodeName'] : null,
    addresses: [...new Set(said.flatMap((one) => (typeof one === 'string' ? (parseAddress(one) ?? []) : [])))],
    ports: ports.length > 0 ? distinct(ports) : DEFAULT_PORTS,
    hostNetwork: spec['hostNetwork'] === true,
    finished: status['phase'] === 'Succeeded' || status['phase'] === 'Failed',
  }
}

function portsOf(container: unknown): readonly Port[] {
  return listOf(objectOf(container)['ports']).flatMap((one) => {
    const { containerPort: port, protocol: said = 'TCP' } = objectOf(one)
    const protocol = PROTOCOLS.find((known) => known === said)
    if (protocol === undefined || typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65535) return []
    return [{ protocol, port }]
  })
}

function distinct(ports: readonly Port[]): readonly Port[] {
  return [...new Map(ports.map((one) => [`${one.port}/${one.protocol}`, one])).values()]
}

function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
