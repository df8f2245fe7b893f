// The status of a policy, and a node's `Reporting`, as what should stand in the API: objects for the publisher, with what stands there.
//
// **Invariant:** a NodeEnforcement is never made here: it is its agent's; nothing is deleted because it is ours to delete in what we
// see, but only after the API server itself said that its owner is gone or another one.
import { NODE_ENFORCEMENT } from '../crd/node-enforcement.ts'
import { nodeEnforcementOf, policyEnforcementOf } from '../crd/objects.ts'
import { POLICY_ENFORCEMENT, type PolicyEnforcementStatus } from '../crd/policy-enforcement.ts'
import { apiKindOf } from '../crd/schema.ts'
import type { Condition } from '../crd/shared.ts'
import { ApiFailure } from '../kube/failures.ts'
import type { ObjectKind, ObjectName, ObjectWriter } from '../kube/object-writer.ts'
import { shortHash } from '../lib/hash.ts'
import { keyOf, nameIn, type NamespacedName } from '../lib/names.ts'
import type { Desired, Version } from '../report/desired.ts'
import type { Write } from '../report/publisher.ts'
import { remembered } from '../report/events.ts'
import { statusWrites, type StatusBody } from '../report/status-writes.ts'
import type { ReadPolicyEnforcement } from '../summary/read.ts'
import { countsOf, transitionOf } from '../summary/status.ts'
import type { SeenReport } from './resources.ts'

const POLICY_STATUS: ObjectKind = apiKindOf(POLICY_ENFORCEMENT)
const NODE_STATUS: ObjectKind = apiKindOf(NODE_ENFORCEMENT)
const NETWORK_POLICY: ObjectKind = { kind: 'NetworkPolicy', plural: 'networkpolicies', group: 'networking.k8s.io', version: 'v1', namespaced: true }
const NODE: ObjectKind = { kind: 'Node', plural: 'nodes', group: '', version: 'v1', namespaced: false }

/** 160 bits. */
const FINGERPRINT = 32

/** `uid` and `status` of the policy that has the name now; null: there is none. */
export function policyDesired(at: NamespacedName, policy: { readonly uid: string; readonly status: PolicyEnforcementStatus } | null, stands: ReadPolicyEnforcement | null): Desired<StatusBody> {
  const from = stands === null ? null : {
    uid: stands.uid,
    resourceVersion: stands.resourceVersion,
    owner: stands.owner ?? '',
    transition: stands.status === null ? null : fingerprint(transitionOf(stands.status)),
    counts: stands.status === null ? null : fingerprint(countsOf(stands.status)),
  }
  if (policy === null) return { key: keyOf(at), owner: '', transition: '', counts: '', body: null, urgent: false, from }
  const { uid } = policy
  const status = remembered(stands?.status ?? null, policy.status)
  const { ownerReferences } = policyEnforcementOf({ ...at, uid }).metadata
  return {
    key: keyOf(at),
    owner: uid,
    transition: fingerprint(transitionOf(status)),
    counts: fingerprint(countsOf(status)),
    body: { metadata: { ownerReferences }, status },
    // "somebody has just edited what it tells about"
    urgent: stands?.status?.policyGeneration !== status.policyGeneration,
    from,
  }
}

/** The texts themselves, three times for each policy, would take a fifth of the operator's memory. */
function fingerprint(text: string): string {
  return shortHash(text, FINGERPRINT)
}

/** `condition`: null where the NodeEnforcement is to go: its Node is gone or another one. */
export function nodeDesired(node: string, condition: Condition | null, stands: SeenReport | null): Desired<StatusBody> {
  const from = stands === null ? null : {
    uid: stands.uid,
    resourceVersion: stands.resourceVersion,
    owner: stands.report.owner ?? '',
    transition: stands.report.reporting === null ? null : JSON.stringify(said(stands.report.reporting)),
    counts: '',
  }
  if (condition === null || stands === null) return { key: node, owner: '', transition: '', counts: '', body: null, urgent: false, from }
  const owner = stands.report.owner ?? ''
  const { ownerReferences } = nodeEnforcementOf({ name: node, uid: owner }).metadata
  return { key: node, owner, transition: JSON.stringify(said(condition)), counts: '', body: { metadata: { ownerReferences }, status: { conditions: [condition] } }, urgent: false, from }
}

/** In one order of fields. */
function said({ status, reason, message, lastTransitionTime }: Condition): readonly string[] {
  return [status, reason, message, lastTransitionTime]
}

type Writer = Pick<ObjectWriter, 'get' | 'create' | 'apply' | 'delete'>
type WriteStatus = (write: Write<StatusBody>, signal: AbortSignal) => Promise<Version | null>

/**
 * Deletes after a look at the API server itself: what we watch may be behind whoever led before. `ownerOf`: UID of the policy that
 * owns the PolicyEnforcement `namespace/name` as it was last read; empty for none.
 */
export function policyWrites(writer: Writer, ownerOf: (key: string) => string): WriteStatus {
  const write = statusWrites(writer, POLICY_STATUS)
  return async (one, signal) => {
    if (one.action === 'delete') {
      // Where we know of none at all, any one is news; where it was made anew in our eyes, it may be we who are behind.
      const owner = one.body === null ? null : ownerOf(one.key)
      await mustBeGone(writer, NETWORK_POLICY, nameIn(one.key), owner, signal)
    }
    return write(one, signal)
  }
}

/** `ownerOf`: UID of the Node that owns the NodeEnforcement as it was last read; empty for none. */
export function nodeWrites(writer: Writer, ownerOf: (node: string) => string): WriteStatus {
  const write = statusWrites(writer, NODE_STATUS)
  return async (one, signal) => {
    if (one.action === 'create') throw new ApiFailure('NotFound', `${NODE_STATUS.kind} ${one.key} is its agent's to make`)
    if (one.action === 'delete') await mustBeGone(writer, NODE, { name: one.key }, ownerOf(one.key), signal)
    return write(one, signal)
  }
}

/** A Conflict where it is there, with that UID where one is given: we are behind, and shall see. */
async function mustBeGone(writer: Writer, kind: ObjectKind, name: ObjectName, uid: string | null, signal: AbortSignal): Promise<void> {
  const owner = await writer.get(kind, name, signal)
  if (owner === null || (uid !== null && owner.metadata.uid !== uid)) return
  throw new ApiFailure('Conflict', `${kind.kind} ${name.name} is there, of which we have not heard yet`)
}
