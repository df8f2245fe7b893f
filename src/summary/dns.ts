// For which policies a selected pod may not ask the cluster's DNS: the commonest surprise of a first egress policy.
//
// Policies add up (rule 7), so it is asked of a pod and not of a policy: whether any of the policies that isolate it for egress leads
// to a pod behind the DNS Service. Each pod's count of such policies is kept, and each policy's count of pods that have none.
// **Invariant:** blocked(policy) is the number of its pods without any such policy that are no DNS pods themselves.
import { familyOf, toBits, contains, type Address, type Cidr } from '../model/ip.ts'
import type { Pod, PodUid, PolicyUid, Protocol } from '../model/objects.ts'
import { resolvePort, type Policy, type PolicyPort, type PolicyRule } from '../model/policy.ts'
import type { WatchedSelectors } from './watched.ts'

/** The Service by which pods ask for names, and what it leads to. */
export interface DnsService {
  readonly namespace: string
  readonly selector: ReadonlyMap<string, string>
  /** Of its port 53: the pods' own port, by number or by name. */
  readonly targets: readonly { readonly protocol: Protocol; readonly port: number | string }[]
}

/** A pod behind it, with the ports at which it answers. */
export interface DnsPod {
  readonly pod: Pod
  readonly ports: readonly { readonly protocol: Protocol; readonly port: number }[]
}

export function dnsPodsOf(services: readonly DnsService[], podsIn: (namespace: string) => Iterable<Pod>): readonly DnsPod[] {
  return services.flatMap(({ namespace, selector, targets }) => {
    if (selector.size === 0) return []
    const pods = [...podsIn(namespace)].filter((pod) => !pod.finished && [...selector].every(([key, value]) => pod.labels.get(key) === value))
    return pods.map((pod) => ({ pod, ports: targets.flatMap(({ protocol, port }) => numberOf(pod, protocol, port)) }))
  })
}

function numberOf(pod: Pod, protocol: Protocol, port: number | string): DnsPod['ports'] {
  const number = typeof port === 'number' ? port : resolvePort(pod, protocol, port)
  return number === null ? [] : [{ protocol, port: number }]
}

/** Whether a rule of the policy leads to one of them, after the Service's address was translated. */
export function leadsTo(policy: Policy, ends: readonly DnsPod[], watched: WatchedSelectors): boolean {
  return policy.egress.some((rule) => ends.some((end) => isPeer(rule, end.pod, watched) && end.ports.some((port) => isPort(rule, end.pod, port))))
}

function isPeer({ peers }: PolicyRule, pod: Pod, watched: WatchedSelectors): boolean {
  if (peers === 'all') return true
  return peers.some((peer) => (peer.kind === 'pods' ? watched.members(peer.selector.id).has(pod.uid) : pod.addresses.some((address) => isIn(address, peer.cidr) && !peer.except.some((one) => isIn(address, one)))))
}

function isPort({ ports }: PolicyRule, pod: Pod, end: DnsPod['ports'][number]): boolean {
  return ports === 'all' || ports.some((port) => port.protocol === end.protocol && covers(port, pod, end.port))
}

function covers(port: PolicyPort, pod: Pod, number: number): boolean {
  switch (port.kind) {
    case 'protocol':
      return true
    case 'range':
      return port.first <= number && number <= port.last
    case 'named':
      return resolvePort(pod, port.protocol, port.name) === number
  }
}

function isIn(address: Address, cidr: Cidr): boolean {
  return cidr.family === familyOf(address) && contains(cidr, toBits(address))
}

interface Isolated {
  /** The egress policies that select it. */
  readonly policies: Set<PolicyUid>
  /** How many of them lead to the DNS; one more for a DNS pod itself (rule 63: a pod always reaches itself). */
  ways: number
}

interface EgressPolicy {
  readonly pods: Set<PodUid>
  leads: boolean
  blocked: number
}

export class DnsReach {
  readonly #pods = new Map<PodUid, Isolated>()
  readonly #policies = new Map<PolicyUid, EgressPolicy>()
  #ends: ReadonlySet<PodUid> = new Set()
  #turned = new Set<PolicyUid>()

  /** An egress policy; its pods are told by `join`. */
  open(policy: PolicyUid): void {
    this.#policies.set(policy, { pods: new Set(), leads: false, blocked: 0 })
  }

  close(policy: PolicyUid): void {
    const held = this.#policies.get(policy)
    for (const pod of held === undefined ? [] : held.pods) this.leave(policy, pod)
    this.#policies.delete(policy)
  }

  join(policy: PolicyUid, pod: PodUid): void {
    const held = this.#policies.get(policy)
    if (held === undefined || held.pods.has(pod)) return
    held.pods.add(pod)
    const isolated = this.#pods.get(pod) ?? { policies: new Set(), ways: this.#ends.has(pod) ? 1 : 0 }
    this.#pods.set(pod, isolated)
    isolated.policies.add(policy)
    if (isolated.ways === 0) this.#block(policy, 1)
    if (held.leads) this.#addWay(isolated, 1)
  }

  leave(policy: PolicyUid, pod: PodUid): void {
    const held = this.#policies.get(policy)
    const isolated = this.#pods.get(pod)
    if (held === undefined || isolated === undefined || !held.pods.delete(pod)) return
    if (held.leads) this.#addWay(isolated, -1)
    if (isolated.ways === 0) this.#block(policy, -1)
    isolated.policies.delete(policy)
    if (isolated.policies.size === 0) this.#pods.delete(pod)
  }

  /** Whether the policy leads to the DNS, from now on. */
  lead(policy: PolicyUid, leads: boolean): void {
    const held = this.#policies.get(policy)
    if (held === undefined || held.leads === leads) return
    held.leads = leads
    for (const pod of held.pods) this.#addWay(this.#pods.get(pod) as Isolated, leads ? 1 : -1)
  }

  /** The DNS pods, from now on. */
  setEnds(ends: ReadonlySet<PodUid>): void {
    const before = this.#ends
    this.#ends = ends
    for (const pod of before) if (!ends.has(pod)) this.#addWay(this.#pods.get(pod), -1)
    for (const pod of ends) if (!before.has(pod)) this.#addWay(this.#pods.get(pod), 1)
  }

  /** Selected pods that no policy lets ask. */
  blocked(policy: PolicyUid): number {
    return this.#policies.get(policy)?.blocked ?? 0
  }

  policies(): Iterable<PolicyUid> {
    return this.#policies.keys()
  }

  /** The policies whose count may be another one than at the last call. */
  take(): ReadonlySet<PolicyUid> {
    const turned = this.#turned
    this.#turned = new Set()
    return turned
  }

  #addWay(isolated: Isolated | undefined, by: 1 | -1): void {
    if (isolated === undefined) return
    const before = isolated.ways
    isolated.ways += by
    if (before === 0) for (const policy of isolated.policies) this.#block(policy, -1)
    if (isolated.ways === 0) for (const policy of isolated.policies) this.#block(policy, 1)
  }

  #block(policy: PolicyUid, by: 1 | -1): void {
    const held = this.#policies.get(policy) as EgressPolicy
    held.blocked += by
    this.#turned.add(policy)
  }
}
