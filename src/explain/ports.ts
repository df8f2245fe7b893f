// `80/tcp`, `80`, `/tcp` -> the ports to ask about: ranges inside of which every port is judged alike.
//
// Rules know numbers and ranges only, and pods' names stand for numbers: where one of them begins or ends, a range ends.
// **Invariant:** the ranges of a protocol are disjoint, in order, and together all that was asked for.
import { PROTOCOLS, type Pod, type Protocol } from '../model/objects.ts'
import type { Profile } from '../policy/plan.ts'
import type { Place } from './places.ts'
import type { Planned } from './planned.ts'

/** Null stands for every protocol, or every port. */
export interface PortsAsked {
  readonly protocol: Protocol | null
  readonly port: number | null
}

export interface PortRange {
  readonly protocol: Protocol
  readonly first: number
  readonly last: number
}

const LAST = 65_535

export function protocolsOf({ protocol }: PortsAsked): readonly Protocol[] {
  return protocol === null ? PROTOCOLS : [protocol]
}

/** Between two places, with nothing translated. */
export function rangesBetween(world: Planned, asked: PortsAsked, source: Place, destination: Place): readonly PortRange[] {
  const { port } = asked
  return protocolsOf(asked).flatMap((protocol) => {
    if (port !== null) return [{ protocol, first: port, last: port }]
    const begins = [...new Set([1, ...beginsOf(world, protocol, source.pod, 'egress'), ...beginsOf(world, protocol, destination.pod, 'ingress'), ...namedPorts(protocol, destination.pod)])].filter((n) => n >= 1 && n <= LAST).sort((a, b) => a - b)
    return begins.map((first, index) => ({ protocol, first, last: (begins[index + 1] ?? LAST + 1) - 1 }))
  })
}

function beginsOf(world: Planned, protocol: Protocol, pod: Pod | null, direction: Profile['direction']): readonly number[] {
  if (pod === null) return []
  const plan = world.planFor(pod)
  const id = plan?.locals.get(pod.uid)?.attachment[direction] ?? 'open'
  const rules = id === 'open' ? [] : (plan?.profiles.get(id)?.rules ?? [])
  return rules.flatMap(({ ports }) => (ports === 'all' ? [] : ports.filter((one) => one.protocol === protocol).flatMap(({ first, last }) => [first, last + 1])))
}

/** Egress to a port by its name is to the number that the destination gives it. */
function namedPorts(protocol: Protocol, pod: Pod | null): readonly number[] {
  return (pod?.ports ?? []).filter((one) => one.protocol === protocol).flatMap(({ port }) => [port, port + 1])
}
