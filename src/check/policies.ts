// What the policies that are there will start to do: whom each selects and isolates, and what its author may not expect.
//
// The compiler and the judge of packets say it; nothing here reads the specification a second time.
// **Invariant:** an effect is told of every policy, in the order of their names; findings are one line for each kind of surprise.
import type { Address } from '../model/ip.ts'
import { contains, familyOf, toBits } from '../model/ip.ts'
import { EVERYTHING } from '../model/labels.ts'
import type { Pod } from '../model/objects.ts'
import { DIRECTIONS, isPeer, resolvePort, type Direction, type Policy, type PolicyPort } from '../model/policy.ts'
import { podSelector } from '../model/selector.ts'
import { by } from '../lib/sorting.ts'
import { selects } from '../policy/isolation.ts'
import type { Compiled } from './compiled.ts'
import { withoutDns } from './dns.ts'
import { counted, error, named, ok, warning, type Finding } from './finding.ts'
import type { ServiceFacts } from './raw.ts'

export interface PolicyEffect {
  readonly namespace: string
  readonly name: string
  readonly isolates: readonly Direction[]
  /** Pods that it selects and that it holds for. */
  readonly pods: number
  /** Pods on the network of their node, for which no policy holds. */
  readonly hostNetworkPods: number
  /** `spec.ingress[0]: http/TCP`: ports by a name that no pod concerned has. */
  readonly unknownPorts: readonly string[]
  /** CIDRs that hold addresses of Services and nobody else's: policies see the address behind a Service. */
  readonly serviceBlocks: readonly string[]
}

export interface PolicyReport {
  readonly findings: readonly Finding[]
  readonly effects: readonly PolicyEffect[]
}

export function judgePolicies(compiled: Compiled, services: readonly ServiceFacts[], hasNodeLocalDns: boolean): PolicyReport {
  const policies = [...compiled.rows.policies.values()].flatMap(({ after }) => after ?? []).sort(by(nameOf))
  const effects = policies.map((policy) => effectOf(policy, compiled, services))
  const unread = compiled.problems.filter(({ object }) => /^(NetworkPolicy|Pod|Namespace|Node) /.test(object))
  const dnsless = hasNodeLocalDns ? [] : withoutDns(compiled, services)
  const findings = [
    summary(compiled, policies.length),
    ...unreadable(unread.map(({ object, field, message }) => `${[object, field].filter((part) => part !== undefined).join(': ')}: ${message}`)),
    ...told(effects.filter(({ pods, hostNetworkPods }) => pods + hostNetworkPods === 0), 'selects no pod', 'select no pod', 'compare podSelector with the labels of the pods in its namespace'),
    ...told(effects.filter((one) => one.hostNetworkPods > 0), 'selects pods of the network of their node', 'select pods of the network of their node', 'policies hold for pods with an address of their own only; use the firewall of the node for the others'),
    ...told(effects.filter((one) => one.unknownPorts.length > 0), 'names a port that no pod has', 'name a port that no pod has', 'such a rule allows nothing: name the port in the pods, or use its number'),
    ...told(effects.filter((one) => one.serviceBlocks.length > 0), "has an ipBlock of Services' addresses", "have an ipBlock of Services' addresses", 'policies see the address behind the Service: select its pods instead'),
    ...(dnsless.length === 0 ? [] : [warning('policies', `pods that may not ask the DNS of the cluster, as no egress rule leads there: ${named(dnsless)}`, 'add an egress rule to the pods of kube-dns, ports 53/UDP and 53/TCP, if they need names')]),
  ]
  return { findings, effects }
}

function nameOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`
}

function summary({ plan }: Compiled, policies: number): Finding {
  if (policies === 0) return ok('policies', 'no NetworkPolicy is there: nothing changes for any pod')
  const pods = [...plan.locals.values()].map(({ attachment }) => attachment)
  const isolated = DIRECTIONS.map((direction) => `${pods.filter((pod) => pod[direction] !== 'open').length} for ${direction}`)
  return ok('policies', `${counted(policies, 'NetworkPolicy', 'NetworkPolicies')}; of ${counted(pods.length, 'pod')} isolated: ${isolated.join(', ')}`)
}

function unreadable(problems: readonly string[]): readonly Finding[] {
  const [first] = problems
  if (first === undefined) return []
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
  return [error('policies', `objects that cannot be read as they are: ${first}${more}`, 'correct the field: until then the pods concerned are closed')]
}

function told(effects: readonly PolicyEffect[], one: string, many: string, remedy: string): readonly Finding[] {
  if (effects.length === 0) return []
  return [warning('policies', `${counted(effects.length, 'policy', 'policies')} ${effects.length === 1 ? one : many}: ${named(effects.map(nameOf))}`, remedy)]
}

function effectOf(policy: Policy, compiled: Compiled, services: readonly ServiceFacts[]): PolicyEffect {
  const selected = [...compiled.snapshot.pods.where('namespace', policy.namespace)].filter((pod) => selects(policy, pod))
  const pods = selected.filter(isPeer)
  return {
    namespace: policy.namespace,
    name: policy.name,
    isolates: DIRECTIONS.filter((direction) => policy.isolates[direction]),
    pods: pods.length,
    hostNetworkPods: selected.filter((pod) => pod.hostNetwork && !pod.finished).length,
    // Where it selects nobody, that is what is told.
    unknownPorts: pods.length === 0 ? [] : DIRECTIONS.flatMap((direction) => unknownPorts(policy, direction, pods, compiled)),
    serviceBlocks: DIRECTIONS.flatMap((direction) => serviceBlocks(policy, direction, compiled, services)),
  }
}

type NamedPort = Extract<PolicyPort, { kind: 'named' }>

/** For ingress it is a port of the selected pods (rule 35), for egress one of the destinations (rule 36). */
function unknownPorts(policy: Policy, direction: Direction, selected: readonly Pod[], compiled: Compiled): readonly string[] {
  return policy[direction].flatMap((rule) => {
    const ports = rule.ports === 'all' ? [] : rule.ports.filter((port): port is NamedPort => port.kind === 'named')
    if (ports.length === 0) return []
    const pods = direction === 'ingress' ? selected : destinations(rule.peers, compiled)
    const missing = ports.filter(({ protocol, name }) => !pods.some((pod) => resolvePort(pod, protocol, name) !== null))
    return missing.map(({ protocol, name }) => `spec.${direction}[${rule.index}]: ${name}/${protocol}`)
  })
}

const EVERY_POD = podSelector({ kind: 'matching', selector: EVERYTHING }, EVERYTHING)

function destinations(peers: Policy['egress'][number]['peers'], { snapshot }: Compiled): readonly Pod[] {
  const selectors = peers === 'all' ? [EVERY_POD] : peers.flatMap((peer) => (peer.kind === 'pods' ? [peer.selector] : []))
  return selectors.flatMap((selector) => {
    const id = snapshot.selectors.acquire(selector)
    const pods = [...snapshot.selectors.members(id).values()]
    snapshot.selectors.release(id)
    return pods
  })
}

function serviceBlocks(policy: Policy, direction: Direction, { rows }: Compiled, services: readonly ServiceFacts[]): readonly string[] {
  const blocks = policy[direction].flatMap(({ peers }) => (peers === 'all' ? [] : peers.flatMap((peer) => (peer.kind === 'ipBlock' ? [peer] : []))))
  return blocks.flatMap(({ cidr, except }) => {
    const holds = (address: Address): boolean => {
      if (familyOf(address) !== cidr.family) return false
      const bits = toBits(address)
      return contains(cidr, bits) && !except.some((one) => contains(one, bits))
    }
    if (!services.some(({ addresses }) => addresses.some(holds))) return []
    for (const changes of [rows.pods, rows.nodes]) for (const { after } of changes.values()) if (after?.addresses.some(holds) === true) return []
    return [cidr.text]
  })
}
