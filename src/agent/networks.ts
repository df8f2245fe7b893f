// Pods of the plan -> the addresses and prefixes by which conntrack is asked for their connections.
//
// **Invariant:** all that a pod may send from or be reached at is there, each address once for a pod.
import type { Network } from '../kernel/conntrack-flows.ts'
import { bitsOf, bytesOf, familyOf, toBits, type Address, type Cidr } from '../model/ip.ts'
import type { PodUid } from '../model/objects.ts'
import type { PolicyPlan } from '../policy/step.ts'

/** Where the pods are. Either end: a server's packet may have made the entry of a connection that its client opened. */
export function networksOf(plan: PolicyPlan, pods: Iterable<PodUid> | 'all'): Network[] {
  return [...(pods === 'all' ? plan.locals.keys() : pods)].flatMap((uid) => {
    const attachment = plan.locals.get(uid)?.attachment
    if (attachment === undefined) return []
    return [...[...new Set(attachment.by.map((key) => key.address))].map(addressNetwork), ...attachment.sourcePrefixes.map(cidrNetwork)]
  })
}

function addressNetwork(address: Address): Network {
  const family = familyOf(address)
  return { bytes: bytesOf(family, toBits(address)), prefix: bitsOf(family) }
}

function cidrNetwork(cidr: Cidr): Network {
  return { bytes: bytesOf(cidr.family, cidr.first), prefix: cidr.prefix }
}
