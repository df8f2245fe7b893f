// Why a peer of a rule is not the other end: its namespace, its labels, a block that does not hold it, an except that takes it out.
//
// **Invariant:** one reason a peer; what the policy's text would match gives none, and then the plan's word counts.
import { contains, familyOf, toBits, type Address } from '../model/ip.ts'
import { requirementMatches, labelSelector, type LabelSelector, type Labels } from '../model/labels.ts'
import type { Pod } from '../model/objects.ts'
import type { Peer } from '../model/policy.ts'
import type { PodSelector } from '../model/selector.ts'
import type { PeerFacts } from '../policy/sets.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Why } from './answer.ts'
import { selectorText } from './rule-text.ts'

export interface PeerContext {
  readonly snapshot: Snapshot
  readonly peer: PeerFacts
  readonly address: Address
  /** As it was called, where a Service translated it; else null. */
  readonly serviceAddress: Address | null
}

/** Null where the peer, as the policy's text has it, is the other end. */
export function whyPeer(peer: Peer, context: PeerContext): Why | null {
  return peer.kind === 'pods' ? whySelector(peer.selector, context) : whyBlock(peer, context)
}

function whySelector(selector: PodSelector, { snapshot, peer, address }: PeerContext): Why | null {
  const [pod] = peer.pods
  if (pod === undefined) return { kind: 'not-a-pod', text: `it selects ${selectorText(selector)}, and ${address} is the address of no pod` }
  const where = whyNamespace(selector, pod, snapshot)
  const lacking = unmet(selector.pods, pod.labels)
  if (where === null && lacking === '') return null
  const labels = `pod ${pod.namespace}/${pod.name} does not match ${lacking}`
  if (where === null) return { kind: 'pod-labels', text: labels }
  return lacking === '' ? where : { kind: 'namespace-and-pod-labels', text: `${where.text}, and ${labels}` }
}

function whyNamespace({ namespaces }: PodSelector, { namespace }: Pod, snapshot: Snapshot): Why | null {
  if (namespaces.kind === 'named') return namespaces.name === namespace ? null : { kind: 'namespace', text: `it selects pods of namespace ${namespaces.name}, not of ${namespace}` }
  const [row] = snapshot.namespaces.where('name', namespace)
  if (row === undefined) return { kind: 'namespace-labels', text: `the labels of namespace ${namespace} are not known: there is no such Namespace` }
  const lacking = unmet(namespaces.selector, row.labels)
  return lacking === '' ? null : { kind: 'namespace-labels', text: `namespace ${namespace} does not match ${lacking}` }
}

/** The requirements that do not hold, as the selector writes them; empty where all do. */
function unmet({ requirements }: LabelSelector, labels: Labels): string {
  return labelSelector(requirements.filter((one) => !requirementMatches(one, labels))).text
}

function whyBlock({ cidr, except }: Extract<Peer, { kind: 'ipBlock' }>, { peer, address, serviceAddress }: PeerContext): Why | null {
  if (serviceAddress !== null && familyOf(serviceAddress) === cidr.family && contains(cidr, toBits(serviceAddress)) && !contains(cidr, peer.bits)) {
    return { kind: 'service-address', text: `block ${cidr.text} holds ${serviceAddress}, the Service's address; policies see the endpoint's, which is ${address}` }
  }
  if (cidr.family !== peer.family) return { kind: 'family', text: `block ${cidr.text} is IPv${cidr.family}, and ${address} is IPv${peer.family}` }
  if (!contains(cidr, peer.bits)) return { kind: 'ip-block', text: `block ${cidr.text} does not hold ${address}` }
  const hole = except.find((one) => one.family === peer.family && contains(one, peer.bits))
  return hole === undefined ? null : { kind: 'except', text: `block ${cidr.text} holds ${address}, but its except ${hole.text} takes it out` }
}
