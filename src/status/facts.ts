// Raw objects of the API -> what `picket status` looks at: policies, what is told of each, and what each node says of itself.
//
// **Invariant:** nothing here throws; an object that cannot be read is there all the same, as one that says nothing.
import { NODE_ENFORCEMENT, type NodeEnforcementStatus } from '../crd/node-enforcement.ts'
import type { PolicyEnforcementStatus } from '../crd/policy-enforcement.ts'
import { isA } from '../crd/read.ts'
import type { Condition } from '../crd/shared.ts'
import { isMapping, own, partOf, textIn } from '../decode/fields.ts'
import type { NamespacedName } from '../lib/names.ts'
import { readPolicyEnforcement, readPolicyVersion } from '../summary/read.ts'

/** Whose policies are asked for; null: any. */
export interface Scope {
  readonly namespace: string | null
  readonly policy: string | null
}

export interface PolicyFacts {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly generation: number
}

/** A PolicyEnforcement. */
export interface ToldFacts {
  readonly namespace: string
  readonly name: string
  /** UID of the policy that it speaks of; empty where it says none. */
  readonly policyUid: string
  /** Null where it has none yet, or one that is not as the schema says. */
  readonly status: PolicyEnforcementStatus | null
}

/** A NodeEnforcement. */
export interface NodeFacts {
  readonly name: string
  readonly status: NodeEnforcementStatus
}

export function policyFacts(raw: unknown): PolicyFacts | null {
  const version = readPolicyVersion(raw)
  const metadata = partOf(raw, 'metadata')
  const [namespace, name] = [textIn(metadata, 'namespace'), textIn(metadata, 'name')]
  return version === null || name === '' ? null : { namespace, name, uid: version.uid, generation: version.generation }
}

export function toldFacts(raw: unknown): ToldFacts | null {
  const read = readPolicyEnforcement(raw)
  if (read === null) return null
  const { namespace, name, owner, status } = read
  return { namespace, name, policyUid: status?.policyRef.uid ?? owner ?? '', status }
}

export function nodeFacts(raw: unknown): NodeFacts | null {
  const name = textIn(partOf(raw, 'metadata'), 'name')
  const status = isMapping(raw) ? own(raw, 'status') : undefined
  return name === '' ? null : { name, status: isA(NODE_ENFORCEMENT.status, status) ? status : {} }
}

export function isIn(scope: Scope, { namespace, name }: NamespacedName): boolean {
  return (scope.namespace ?? namespace) === namespace && (scope.policy ?? name) === name
}

/** resourceVersion of networkpolicies up to which the node's kernel holds what the API said; null where it does not say. */
export function observedBy({ status }: NodeFacts): string | null {
  return status.observedResourceVersions?.['networkpolicies'] ?? null
}

export function conditionOf({ conditions = [] }: { readonly conditions?: readonly Condition[] }, type: string): Condition | null {
  return conditions.find((one) => one.type === type) ?? null
}
