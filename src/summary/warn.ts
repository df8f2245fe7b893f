// The warnings of one policy: which of them hold, and which parts of the policy they mean.
//
// Their definitions are the sentences of crd/warnings.ts, one function here for each. **Invariant:** in the order of that table, each at
// most once.
import { MESSAGE_LENGTH } from '../crd/shared.ts'
import type { PolicyWarning } from '../crd/policy-enforcement.ts'
import { WARNING_TYPES, type WarningType } from '../crd/warnings.ts'
import { clipped } from '../lib/clipped.ts'
import type { PolicyUid } from '../model/objects.ts'
import { DIRECTIONS } from '../model/policy.ts'
import type { DnsReach } from './dns.ts'
import type { HostPods } from './host-pods.ts'
import type { NamedUse, PolicyParts } from './parts.ts'
import type { ServiceBlocks } from './service-blocks.ts'
import type { WatchedSelectors } from './watched.ts'

export interface WarningSources {
  readonly watched: WatchedSelectors
  readonly hosts: HostPods
  readonly blocks: ServiceBlocks
  readonly dns: DnsReach
  /** There is a DNS Service with a pod behind it. */
  readonly hasDns: boolean
}

const NAMED_PARTS = 3

/** What each warning means in the policy; empty where it does not hold. */
type Reader = (parts: PolicyParts, policy: PolicyUid, from: WarningSources) => readonly string[]

const READERS: Readonly<Record<WarningType, Reader>> = {
  SelectsNoPods: ({ selected }, _, { watched }) => (watched.members(selected.id).size === 0 ? [`podSelector: ${selected.pods.text === '' ? 'every pod' : selected.pods.text}`] : []),
  DNSEgressBlocked: (_, policy, { dns, hasDns }) => {
    const blocked = hasDns ? dns.blocked(policy) : 0
    return blocked === 0 ? [] : [`${blocked} ${blocked === 1 ? 'pod' : 'pods'}; add an egress rule to the DNS pods, 53/UDP and 53/TCP, if they need names`]
  },
  NamedPortUnresolved: ({ namedPorts }, _, { watched }) => namedPorts.filter((use) => isUnresolved(use, watched)).map(({ place, name, protocol }) => `${place}: ${name}/${protocol}`),
  ServiceAddressInIPBlock: (parts, _, { blocks }) => DIRECTIONS.flatMap((direction) => parts[direction].blocks.filter((block) => blocks.isSurprising(block)).map(({ cidr }) => cidr.text)),
  HostNetworkPodSelected: ({ selected }, _, { hosts }) => {
    const matched = hosts.matched(selected)
    return matched === 0 ? [] : [`${matched} ${matched === 1 ? 'pod' : 'pods'}; use the firewall of the node for them`]
  },
  EmptyPeer: (parts, _, { watched }) =>
    DIRECTIONS.flatMap((direction) => parts[direction].peers.filter(({ selector }) => watched.members(selector.id).size === 0).map(({ place, selector }) => `${place}: ${selector.id}`)),
}

/** Where nobody is concerned, that is what is told; a name toward ipBlocks only is of no pod at all (rule 42). */
function isUnresolved(use: NamedUse, watched: WatchedSelectors): boolean {
  const concerned = use.selectors.filter(({ id }) => watched.members(id).size > 0)
  if (use.selectors.length > 0 && concerned.length === 0) return false
  return !concerned.some(({ id }) => watched.hasPort(id, use))
}

export function warningsOf(parts: PolicyParts, policy: PolicyUid, from: WarningSources): readonly PolicyWarning[] {
  return WARNING_TYPES.flatMap((type) => {
    const meant = READERS[type](parts, policy, from)
    return meant.length === 0 ? [] : [{ type, message: listed(meant) }]
  })
}

function listed(parts: readonly string[]): string {
  const distinct = [...new Set(parts)]
  const more = distinct.length > NAMED_PARTS ? ` and ${distinct.length - NAMED_PARTS} more` : ''
  return `${clipped(distinct.slice(0, NAMED_PARTS).join('; '), MESSAGE_LENGTH - more.length)}${more}`
}
