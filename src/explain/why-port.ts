// Why a rule does not allow a port: another number, another protocol, a name that the pod does not have, the Service's port.
//
// **Invariant:** one reason, the one that is most likely to be the mistake.
import type { Pod } from '../model/objects.ts'
import { resolvePort, type Policy, type PolicyPort } from '../model/policy.ts'
import type { Packet } from '../policy/judge.ts'
import type { Why } from './answer.ts'
import { portsText, portText } from './rule-text.ts'

export interface PortContext {
  readonly packet: Packet
  /** Whose named ports count: the destination, both for ingress and for egress (rules 35, 36). */
  readonly pods: readonly Pod[]
  /** As it was called, where a Service translated it to another port; else null. */
  readonly servicePort: number | null
}

/** Null where the ports, as the policy's text has them, hold the packet's. */
export function whyPort(ports: Policy['ingress'][number]['ports'], context: PortContext): Why | null {
  const { packet } = context
  if (ports === 'all' || ports.some((port) => holds(port, packet.protocol, packet.port, context))) return null
  if (ports.length === 0) return { kind: 'nobody', text: 'it names no port that could be read' }
  const asked = `${packet.port}/${packet.protocol ?? 'a protocol without ports'}`
  const { servicePort } = context
  if (servicePort !== null && ports.some((port) => holds(port, packet.protocol, servicePort, context))) {
    return { kind: 'service-port', text: `it allows ${servicePort}/${packet.protocol}, the Service's port; policies see the pod's, which is ${asked}` }
  }
  const missing = ports.find((port) => port.kind === 'named' && numbersOf(port, context).length === 0)
  if (missing !== undefined && ports.every((port) => port.kind === 'named' && numbersOf(port, context).length === 0)) return { kind: 'named-port', text: noSuchName(missing, context) }
  const other = ports.find((port) => port.protocol !== packet.protocol && holds(port, port.protocol, packet.port, context))
  if (other !== undefined) return { kind: 'protocol', text: `it allows ${portText(other)}, and this is ${packet.protocol ?? 'none of TCP, UDP and SCTP'}` }
  const [only] = ports
  const numbers = ports.length === 1 && only?.kind === 'named' ? ` (${numbersOf(only, context).join(', ')})` : ''
  return { kind: 'port', text: `${notAmong(ports, packet, asked)}${numbers}` }
}

/** `port 80 not in [8080]`: protocols only where they differ. */
function notAmong(ports: readonly PolicyPort[], { port, protocol }: Packet, asked: string): string {
  const isOfOne = ports.every((one) => one.protocol === protocol)
  return isOfOne ? `port ${port} not in [${portsText(ports).replaceAll(`/${protocol}`, '')}]` : `port ${asked} not in [${portsText(ports)}]`
}

function noSuchName(port: PolicyPort, { pods }: PortContext): string {
  const who = pods.map(({ namespace, name }) => `${namespace}/${name}`).join(', ')
  return who === '' ? `${portText(port)} is a port of pods, and the destination is no pod` : `${who} has no port named ${portText(port)}`
}

function holds(port: PolicyPort, protocol: Packet['protocol'], number: number, context: PortContext): boolean {
  if (port.protocol !== protocol) return false
  if (port.kind === 'protocol') return true
  return port.kind === 'range' ? port.first <= number && number <= port.last : numbersOf(port, context).includes(number)
}

function numbersOf(port: PolicyPort, { pods }: PortContext): readonly number[] {
  return port.kind !== 'named' ? [] : pods.flatMap((pod) => resolvePort(pod, port.protocol, port.name) ?? [])
}
