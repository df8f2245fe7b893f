// The resourceVersion at which each policy's generation was first seen: whoever has observed it has seen that generation.
//
// Labels and annotations raise a policy's resourceVersion and not its generation, and no node writes because of them: so the first
// one counts, and outlives the operator in the status that it wrote.
// **Invariant:** of one UID and generation it never becomes newer.
import type { PolicyEnforcementStatus } from '../crd/policy-enforcement.ts'
import type { PolicyUid } from '../model/objects.ts'
import { compareVersions } from '../lib/versions.ts'

/** What the API last said of a policy, whether it can be read or not. */
export interface PolicyVersion {
  readonly uid: PolicyUid
  /** Of its metadata: the row's is that of its last good version. */
  readonly generation: number
  readonly resourceVersion: string
}

/** `known`: what this operator saw first, null before; `written`: the status that is there, perhaps of an operator before. */
export function firstSeen(said: PolicyVersion, known: PolicyVersion | null, written: PolicyEnforcementStatus | null): PolicyVersion {
  if (known?.uid === said.uid && known.generation === said.generation) return older(known, said)
  if (written?.policyRef.uid !== said.uid || written.policyGeneration !== said.generation) return said
  return older({ ...said, resourceVersion: written.policyRef.resourceVersion }, said)
}

/** After a restore of etcd versions go down: then what was seen before is of no use. */
function older(one: PolicyVersion, other: PolicyVersion): PolicyVersion {
  const order = compareVersions(one.resourceVersion, other.resourceVersion)
  return order === null || order > 0 ? other : one
}
