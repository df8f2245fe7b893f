// What the operator reads from the API server, and what each object becomes for it.
//
// Pods, namespaces and Services become the store's rows, as on a node. Policies and Nodes become their row and what else is read of
// them in the same event; the agents' own pods and the DNS Service are read once more, with what rows do not have. Custom resources
// are read as what they say. **Invariant:** nothing here throws; what cannot be read is handed on as such and never left out.
import { NODE_ENFORCEMENT } from '../crd/node-enforcement.ts'
import { POLICY_ENFORCEMENT } from '../crd/policy-enforcement.ts'
import { apiListOf } from '../crd/schema.ts'
import { isMapping, own, partOf, textIn, type Mapping } from '../decode/fields.ts'
import { decodePolicy } from '../decode/network-policy.ts'
import { decodeNode } from '../decode/node.ts'
import { goodRow, usualResource, type Resource } from '../kube/resources.ts'
import { versionOf } from '../kube/rows.ts'
import type { Decoded, RowOf } from '../model/changes.ts'
import type { Uid } from '../model/objects.ts'
import type { DnsService } from '../summary/dns.ts'
import type { PolicyVersion } from '../summary/first-seen.ts'
import type { Ready } from '../summary/liveness.ts'
import type { NodeReport } from '../summary/node-report.ts'
import { readDnsService, readNodeEnforcement, readPolicyEnforcement, readPolicyVersion, type ReadPolicyEnforcement } from '../summary/read.ts'

export interface ReadPolicy {
  readonly row: Decoded<RowOf['policy']>
  readonly version: PolicyVersion | null
}

export interface ReadNode {
  readonly row: Decoded<RowOf['node']>
  readonly name: string
  readonly ready: Ready
}

/** A pod of an agent. */
export interface ReadAgent {
  /** Null: it has none yet. */
  readonly node: string | null
  readonly ready: Ready
}

export interface SeenReport {
  readonly report: NodeReport
  /** What is wrong with its status; null for nothing. */
  readonly fault: string | null
  /** Of the object: for preconditions. */
  readonly uid: Uid
  readonly resourceVersion: string
}

export interface OperatorRows extends Pick<RowOf, 'pod' | 'namespace' | 'service'> {
  readonly policy: ReadPolicy
  readonly node: ReadNode
  readonly agent: ReadAgent
  /** Null: another Service. */
  readonly dns: DnsService | null
  /** Null: without a name. */
  readonly report: SeenReport | null
  readonly status: ReadPolicyEnforcement | null
}

export type OperatorKind = keyof OperatorRows
export type OperatorEventOf<K extends OperatorKind> =
  | { readonly verb: 'upsert'; readonly kind: K; readonly key: Uid; readonly decoded: Decoded<OperatorRows[K]> }
  | { readonly verb: 'delete'; readonly kind: K; readonly key: Uid }
  | { readonly verb: 'replace'; readonly kind: K; readonly rows: ReadonlyMap<Uid, Decoded<OperatorRows[K]>> }
  | { readonly verb: 'synced'; readonly kind: K }
export type OperatorEvent = { [K in OperatorKind]: OperatorEventOf<K> }[OperatorKind]

/** As deploy/base labels them. */
const AGENTS = 'app.kubernetes.io/name=picket,app.kubernetes.io/component=agent'
const DNS_NAMESPACE = 'kube-system'

/** `namespace`: of the agents. */
export function operatorResources(namespace: string): readonly Resource[] {
  return [
    usualResource('namespaces'),
    usualResource('pods'),
    usualResource('services'),
    { ...usualResource('networkpolicies'), read: (raw, uid) => goodRow<ReadPolicy>({ row: decodePolicy(raw, uid), version: readPolicyVersion(raw) }) },
    { ...usualResource('nodes'), read: (raw, uid) => goodRow<ReadNode>({ row: decodeNode(raw, uid), name: nameOf(raw), ready: readyOf(raw) }) },
    { ...usualResource('pods'), rows: 'agent', title: 'pods (agents)', path: `/api/v1/namespaces/${namespace}/pods`, query: { labelSelector: AGENTS }, message: null, read: (raw) => goodRow(readAgent(raw)) },
    { ...usualResource('services'), rows: 'dns', title: 'services (DNS)', path: `/api/v1/namespaces/${DNS_NAMESPACE}/services`, message: null, read: (raw) => goodRow(readDnsService(raw)) },
    { ...apiListOf(NODE_ENFORCEMENT), rows: 'report', message: null, read: (raw) => goodRow(readReport(raw)) },
    { ...apiListOf(POLICY_ENFORCEMENT), rows: 'status', message: null, read: (raw) => goodRow(readPolicyEnforcement(raw)) },
  ]
}

function readReport(raw: unknown): SeenReport | null {
  const read = readNodeEnforcement(raw)
  return read === null ? null : { ...read, uid: textIn(partOf(raw, 'metadata'), 'uid'), resourceVersion: versionOf(raw) ?? '' }
}

/** One that is being deleted counts as not ready: its successor is another pod. */
function readAgent(raw: unknown): ReadAgent {
  const node = textIn(partOf(raw, 'spec'), 'nodeName')
  const ready = readyOf(raw)
  const leaving = leavingSince(partOf(raw, 'metadata'))
  return { node: node === '' ? null : node, ready: leaving === null || !ready.isReady ? ready : { isReady: false, since: leaving } }
}

/** When its deletion was asked for: what it has is the time by which it has to be gone. Null: it was not. */
function leavingSince(metadata: Mapping): number | null {
  const by = Date.parse(textIn(metadata, 'deletionTimestamp'))
  const grace = own(metadata, 'deletionGracePeriodSeconds')
  return Number.isNaN(by) ? null : by - (typeof grace === 'number' ? grace * 1000 : 0)
}

/** The condition Ready of a Pod or a Node; one that has none is not ready since it was made. */
function readyOf(raw: unknown): Ready {
  const conditions = own(partOf(raw, 'status'), 'conditions')
  const ready = (Array.isArray(conditions) ? conditions : []).filter(isMapping).find((one) => own(one, 'type') === 'Ready')
  const since = Date.parse(ready === undefined ? textIn(partOf(raw, 'metadata'), 'creationTimestamp') : textIn(ready, 'lastTransitionTime'))
  return { isReady: ready !== undefined && own(ready, 'status') === 'True', since: Number.isNaN(since) ? 0 : since }
}

function nameOf(raw: unknown): string {
  return textIn(partOf(raw, 'metadata'), 'name')
}
