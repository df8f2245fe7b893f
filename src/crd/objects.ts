// The objects around the statuses: under which name each is made, and who owns it.
//
// **Invariant:** an owner never blocks: whoever deletes a policy or a Node waits for nothing of ours.
import { NODE_ENFORCEMENT } from './node-enforcement.ts'
import { POLICY_ENFORCEMENT } from './policy-enforcement.ts'
import { API_VERSION } from './schema.ts'

interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
}

export interface OwnedObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly ownerReferences: readonly [OwnerReference] }
}

/** "in the policy's namespace and under its name, owned by it without blockOwnerDeletion" */
export function policyEnforcementOf({ namespace, name, uid }: { readonly namespace: string; readonly name: string; readonly uid: string }): OwnedObject {
  const owner = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name, uid }
  return { apiVersion: API_VERSION, kind: POLICY_ENFORCEMENT.kind, metadata: { namespace, name, ownerReferences: [owner] } }
}

/** Cluster-scoped, under the Node's name, owned by the Node. */
export function nodeEnforcementOf({ name, uid }: { readonly name: string; readonly uid: string }): OwnedObject {
  return { apiVersion: API_VERSION, kind: NODE_ENFORCEMENT.kind, metadata: { name, ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid }] } }
}
