// Which isolated pods no egress rule lets ask the cluster's DNS: the commonest surprise of a first egress policy.
//
// The DNS is the Service kube-dns with the pods behind it; policies see those pods, at their own ports.
// **Invariant:** the plan's judge decides, once for each set of policies; a cluster without such a Service gives no answer.
import type { Address } from '../model/ip.ts'
import { familyOf } from '../model/ip.ts'
import type { Pod, Protocol } from '../model/objects.ts'
import { Judge } from '../policy/judge.ts'
import type { Compiled } from './compiled.ts'
import { counted } from './finding.ts'
import type { ServiceFacts } from './raw.ts'

interface DnsEnd {
  readonly address: Address
  readonly protocol: Protocol
  readonly port: number
}

const DNS_PORT = 53

/** `shop (2 pods, by default-deny)` for each set of policies that leads no packet there. */
export function withoutDns(compiled: Compiled, services: readonly ServiceFacts[]): readonly string[] {
  const ends = services.filter(isDns).flatMap((service) => endsOf(service, compiled))
  if (ends.length === 0) return []
  const judge = new Judge(compiled.plan, compiled.snapshot, { nodeEgress: 'allow' })
  const pods = new Map<string, Pod[]>()
  for (const { pod, attachment } of compiled.plan.locals.values()) {
    if (attachment.egress === 'open' || pod.addresses.length === 0) continue
    pods.set(attachment.egress, [...(pods.get(attachment.egress) ?? []), pod])
  }
  return [...pods].flatMap(([id, sharing]) => {
    const profile = compiled.plan.profiles.get(id)
    const reaches = sharing.slice(0, 1).some((pod) => ends.some((end) => isLed(judge, pod, end)))
    if (reaches || profile === undefined) return []
    return [`${profile.namespace} (${counted(sharing.length, 'pod')}, by ${profile.policies.map(({ name }) => name).join(', ')})`]
  })
}

function isDns({ namespace, name, labels }: ServiceFacts): boolean {
  return namespace === 'kube-system' && (name === 'kube-dns' || name === 'coredns' || labels['k8s-app'] === 'kube-dns')
}

function endsOf({ namespace, selector, ports }: ServiceFacts, { snapshot }: Compiled): readonly DnsEnd[] {
  const wanted = Object.entries(selector)
  if (wanted.length === 0) return []
  const pods = [...snapshot.pods.where('namespace', namespace)].filter((pod) => !pod.finished && wanted.every(([key, value]) => pod.labels.get(key) === value))
  return ports.filter(({ port }) => port === DNS_PORT).flatMap(({ protocol, target }) =>
    pods.flatMap((pod) => {
      const port = typeof target === 'number' ? target : pod.ports.find((one) => one.name === target && one.protocol === protocol)?.port
      return port === undefined ? [] : pod.addresses.map((address) => ({ address, protocol, port }))
    }),
  )
}

function isLed(judge: Judge, pod: Pod, { address, protocol, port }: DnsEnd): boolean {
  const source = pod.addresses.find((one) => familyOf(one) === familyOf(address))
  return source !== undefined && judge.judge({ source, destination: address, protocol, port }).egress.kind !== 'denied'
}
