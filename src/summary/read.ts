// Raw objects of the API -> what the summary takes: NodeEnforcements, PolicyEnforcements, versions of policies, the DNS Service.
//
// Rows of other kinds come from decode/. **Invariant:** nothing throws; a status that is not as its schema says counts as none, so
// that the node is pending and the policy's status is written anew, and the fault is handed out to be told.
import { NODE_ENFORCEMENT, type NodeEnforcementStatus } from '../crd/node-enforcement.ts'
import { POLICY_ENFORCEMENT, type PolicyEnforcementStatus } from '../crd/policy-enforcement.ts'
import { opened } from '../crd/fields.ts'
import { faultOf, isA } from '../crd/read.ts'
import type { Condition } from '../crd/shared.ts'
import { isMapping, own, partOf, textIn, type Mapping } from '../decode/fields.ts'
import { PROTOCOLS, type Uid } from '../model/objects.ts'
import type { DnsService } from './dns.ts'
import type { PolicyVersion } from './first-seen.ts'
import { reportOf, type NodeReport } from './node-report.ts'

/** Their API versions. */
const OWNERS = { Node: 'v1', NetworkPolicy: 'networking.k8s.io/v1' } as const

export interface ReadReport {
  readonly report: NodeReport
  /** What is wrong with its status: the field, what was found and what was expected; null for nothing. */
  readonly fault: string | null
}

/** Null where it has no name. The owner is the Node of its own name. */
export function readNodeEnforcement(raw: unknown): ReadReport | null {
  const { name, metadata } = metadataOf(raw)
  if (name === '') return null
  const status = isMapping(raw) ? (own(raw, 'status') ?? {}) : {}
  const fault = faultOf(NODE_ENFORCEMENT.status, status, 'status')
  return { report: reportOf(name, ownerIn(metadata, 'Node'), fault === null ? (status as NodeEnforcementStatus) : conditionsIn(status)), fault }
}

/** Of a status that cannot be read otherwise: one of the conditions is the operator's own, which would be written again and again. */
function conditionsIn(status: unknown): NodeEnforcementStatus {
  const conditions = isMapping(status) ? own(status, 'conditions') : undefined
  const { field } = opened(NODE_ENFORCEMENT.status.fields.conditions)
  return faultOf(field, conditions, 'status.conditions') === null ? { conditions: conditions as readonly Condition[] } : {}
}

/** UID of the object of the same name that owns it; null where none of that kind does. */
export function ownerIn(metadata: Mapping, kind: 'Node' | 'NetworkPolicy'): Uid | null {
  const owners = own(metadata, 'ownerReferences')
  const owner = (Array.isArray(owners) ? owners : []).filter(isMapping).find((one) => own(one, 'kind') === kind && own(one, 'apiVersion') === OWNERS[kind] && own(one, 'name') === own(metadata, 'name'))
  const uid = owner === undefined ? '' : textIn(owner, 'uid')
  return uid === '' ? null : uid
}

export interface ReadPolicyEnforcement {
  readonly namespace: string
  readonly name: string
  /** Of the object itself: for preconditions. */
  readonly uid: Uid
  readonly resourceVersion: string
  /** UID of the policy that owns it; null where none does. */
  readonly owner: Uid | null
  /** Null where it has none yet, or one that is not as the schema says. */
  readonly status: PolicyEnforcementStatus | null
}

export function readPolicyEnforcement(raw: unknown): ReadPolicyEnforcement | null {
  const { namespace, name, metadata } = metadataOf(raw)
  if (name === '' || namespace === '') return null
  const status = isMapping(raw) ? own(raw, 'status') : undefined
  return {
    namespace,
    name,
    uid: textIn(metadata, 'uid'),
    resourceVersion: textIn(metadata, 'resourceVersion'),
    owner: ownerIn(metadata, 'NetworkPolicy'),
    status: isA(POLICY_ENFORCEMENT.status, status) ? status : null,
  }
}

/** Of a NetworkPolicy, whatever its spec is. Null without a UID. */
export function readPolicyVersion(raw: unknown): PolicyVersion | null {
  const { metadata } = metadataOf(raw)
  const uid = textIn(metadata, 'uid')
  const generation = own(metadata, 'generation')
  if (uid === '') return null
  return { uid, generation: typeof generation === 'number' && Number.isSafeInteger(generation) && generation >= 0 ? generation : 0, resourceVersion: textIn(metadata, 'resourceVersion') }
}

const DNS_PORT = 53

/** By kube-dns' name, or the label that every installation of it has; null for another Service, or one without a selector. */
export function readDnsService(raw: unknown): DnsService | null {
  const { namespace, name, metadata } = metadataOf(raw)
  const labels = own(metadata, 'labels')
  if (namespace !== 'kube-system' || !(name === 'kube-dns' || name === 'coredns' || (isMapping(labels) && own(labels, 'k8s-app') === 'kube-dns'))) return null
  const spec = partOf(raw, 'spec')
  const [selector, ports] = [own(spec, 'selector'), own(spec, 'ports')]
  if (!isMapping(selector) || Object.keys(selector).length === 0) return null
  const targets = (Array.isArray(ports) ? ports : []).filter(isMapping).flatMap((port) => {
    const protocol = PROTOCOLS.find((one) => one === (own(port, 'protocol') ?? 'TCP'))
    const target = own(port, 'targetPort') ?? DNS_PORT
    if (own(port, 'port') !== DNS_PORT || protocol === undefined || (typeof target !== 'number' && typeof target !== 'string')) return []
    return [{ protocol, port: target }]
  })
  const entries = Object.entries(selector).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return { namespace, selector: new Map(entries), targets }
}

function metadataOf(raw: unknown): { readonly namespace: string; readonly name: string; readonly metadata: Mapping } {
  const metadata = partOf(raw, 'metadata')
  return { namespace: textIn(metadata, 'namespace'), name: textIn(metadata, 'name'), metadata }
}
