// Services as what is asked in a playground: by name, from inside or from outside, and by node port.
//
// `shop/svc/web` -> the addresses and ports that a source asks. **Invariant:** whoever answers for a Service has answered for it: which pod that is,
// the answer says.
import { PicketError } from '../lib/errors.ts'
import type { LabService } from './daemon-protocol.ts'
import type { Somebody } from './matrix.ts'
import { parsePort, portText, type Port } from './probe-name.ts'
import type { Party } from './round.ts'
import { SERVICE_RANGES } from './service-addresses.ts'

/** Whoever has the address may answer: a node, the outside host, an endpoint. No pod's key has this form. */
export const ANYBODY: Party = { key: '*', node: null }

/** Settings of a playground's agents: there is no other proxy. */
export const SERVICE_FLAGS: readonly string[] = ['--service-proxy', 'picket', '--service-cidrs', SERVICE_RANGES.map(({ text }) => text).join(',')]

/** `shop/svc/web` -> `shop/web`; null where `label` is not of that form. */
export function serviceKeyOf(label: string): string | null {
  const [, namespace, name] = /^([^/]+)\/svc\/([^/]+)$/.exec(label) ?? []
  return name === undefined ? null : `${namespace}/${name}`
}

/** From outside a Service has the addresses of its load balancer, and external ones; its ClusterIPs are the cluster's. Throws a PicketError. */
export function serviceTarget(label: string, key: string, source: Somebody, services: readonly LabService[]): Somebody {
  const service = services.find((one) => one.key === key)
  if (service === undefined) {
    const some = services.slice(0, 5).map((one) => one.key.replace('/', '/svc/'))
    throw new PicketError('Unknown', `${label}: there is no such Service; there ${some.length === 0 ? 'are none' : `are ${some.join(', ')}`}`)
  }
  const outside = source.source.kind === 'outside'
  const addresses = outside ? service.external : service.addresses
  if (addresses.length === 0) {
    const [nodePort] = service.nodePorts
    const instead = outside && nodePort !== undefined ? `ask a node for its node port: --to node:NAME --port ${nodePort}` : 'ask its pods'
    throw new PicketError('NoAddress', `${label}: the Service has no address to ask ${outside ? 'from outside' : 'for (it is headless, or an ExternalName)'}; ${instead}`)
  }
  return { label, source: { kind: 'outside' }, party: ANYBODY, addresses, ports: service.ports.map(parsePort) }
}

export function isNodePort(port: Port, services: readonly LabService[]): boolean {
  return services.some(({ nodePorts }) => nodePorts.includes(portText(port)))
}
