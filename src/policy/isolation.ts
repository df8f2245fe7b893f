// Which policies select a local pod, and so which profile it gets: rules 1-10.
//
// Pods with the same policies, whose ports of the names that those policies use have the same numbers, share a profile.
// **Invariant:** the profile's id says all that its content depends on besides the policies' own text.
import { shortHash } from '../lib/hash.ts'
import { by } from '../lib/sorting.ts'
import { selectorMatches } from '../model/labels.ts'
import type { Pod, Protocol } from '../model/objects.ts'
import { type Direction, type Policy, resolvePort } from '../model/policy.ts'
import type { PolicyTable, WorkCount } from '../store/snapshot.ts'
import type { ProfileId } from './plan.ts'

/** What named ports mean on the selected pods: `http/TCP` -> number. A name that the pod lacks is missing (rule 39). */
export type PortNumbers = ReadonlyMap<string, number>

export interface Isolation {
  readonly id: ProfileId
  readonly policies: readonly Policy[]
  readonly ports: PortNumbers
}

/** "podSelector selects the pods to which this NetworkPolicy applies", in its own namespace only (rule 6). */
export function selects(policy: Policy, pod: Pod): boolean {
  return policy.namespace === pod.namespace && selectorMatches(policy.pods, pod.labels)
}

export function portKey(protocol: Protocol, name: string): string {
  return `${name}/${protocol}`
}

/** The policies that isolate the pod in one direction, sorted by name; null where none does: everything is allowed (rule 1). */
export function isolationOf(pod: Pod, direction: Direction, table: PolicyTable, work: WorkCount): Isolation | null {
  const policies: Policy[] = []
  for (const policy of table.where('namespace', pod.namespace)) {
    work.rows++
    if (policy.isolates[direction] && selects(policy, pod)) policies.push(policy)
  }
  if (policies.length === 0) return null
  policies.sort(by((p) => `${p.name}\0${p.uid}`))
  const ports = direction === 'ingress' ? numbersOf(pod, policies) : new Map<string, number>()
  const text = [...policies.map((p) => p.uid), '', ...[...ports].map(([name, number]) => `${name}=${number}`).sort()].join('\n')
  return { id: `${direction}/${pod.namespace}/${shortHash(text, 12)}`, policies, ports }
}

/** Ingress: a named port is one of the selected pod (rule 35). */
function numbersOf(pod: Pod, policies: readonly Policy[]): PortNumbers {
  const numbers = new Map<string, number>()
  for (const policy of policies) {
    for (const rule of policy.ingress) {
      if (rule.ports === 'all') continue
      for (const port of rule.ports) {
        if (port.kind !== 'named') continue
        const number = resolvePort(pod, port.protocol, port.name)
        if (number !== null) numbers.set(portKey(port.protocol, port.name), number)
      }
    }
  }
  return numbers
}
