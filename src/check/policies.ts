// What the policies that are there will start to do: whom they isolate, and what their authors may not expect.
//
// effects.ts reads each policy; here it becomes lines. **Invariant:** an effect is told of every policy, in the order of their
// names; findings are one line for each kind of surprise.
import { DIRECTIONS } from '../model/policy.ts'
import { by } from '../lib/sorting.ts'
import type { Compiled } from './compiled.ts'
import { withoutDns } from './dns.ts'
import { Effects, type PolicyEffect } from './effects.ts'
import { counted, error, named, ok, warning, type Finding } from './finding.ts'
import type { ServiceFacts } from './raw.ts'

export interface PolicyReport {
  readonly findings: readonly Finding[]
  readonly effects: readonly PolicyEffect[]
}

export function judgePolicies(compiled: Compiled, services: readonly ServiceFacts[], hasNodeLocalDns: boolean): PolicyReport {
  const policies = [...compiled.rows.policies.values()].flatMap(({ after }) => after ?? []).sort(by(nameOf))
  const reader = new Effects(compiled, services)
  const effects = policies.map((policy) => reader.of(policy))
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
