// What a policy may do that its author does not expect: the warnings of PolicyEnforcement, each with the sentence that defines it.
//
// `kubectl explain polenf.status.warnings.type` shows the sentences; summary/ works them out, and each has a test of its own.
// **Invariant:** a warning says nothing about whether the policy is enforced: it is, as it is written.

export const WARNINGS = {
  SelectsNoPods: 'no pod of the namespace is selected, pods of the network of their node and finished ones left out: the policy has no effect yet.',
  DNSEgressBlocked:
    "a selected pod is isolated for egress, and none of the policies that select it lets it reach a pod behind the cluster's DNS Service by that Service's port 53; not told where there is no such Service, or a DNS cache on the nodes.",
  NamedPortUnresolved: 'a rule names a port that none of the pods concerned has (for ingress the selected ones, for egress the peers): for that port it allows nothing.',
  ServiceAddressInIPBlock: 'an ipBlock, its excepts left out, holds an address of a Service and none of a pod or Node: policies see the address behind a Service, so that it allows nothing.',
  HostNetworkPodSelected: 'podSelector matches a pod of the network of its node, for which no policy holds.',
  EmptyPeer: 'a podSelector or namespaceSelector of a rule matches no pod: that peer allows nothing yet.',
} as const

export type WarningType = keyof typeof WARNINGS
/** In the order in which they are told. */
export const WARNING_TYPES = Object.keys(WARNINGS) as WarningType[]
