// What is wrong, as the agent knows it -> the policies and Services that this node cannot enforce as they are written.
//
// A failure is a problem that is an error and names the object (it cannot be read, the kernel refuses it), one that a pod has which
// the policy selects (it is in quarantine, nothing of its own leads to it), one of the whole node (packets bypass policy, nobody knows
// what the kernel holds), or a refused commit that the object waits for. Hints (severity warning) are none. A policy without a pod here is no failure of this node.
// **Invariant:** each object is named once, for the first that is said of it; nothing here reads a clock.
import type { NodeFailure } from '../crd/node-enforcement.ts'
import type { Problem } from '../lib/problem.ts'
import type { PolicyUid } from '../model/objects.ts'
import { readOwner } from '../model/owner.ts'
import { serviceKey } from '../model/service.ts'
import type { Profile } from '../policy/plan.ts'
import type { Refusal } from './committer.ts'
import type { Turns } from './turn.ts'

/** Without the time since when. */
export type Failing = Omit<NodeFailure, 'since'>

/** In the order in which they count. */
export interface Wrongs {
  readonly problems: readonly Problem[]
  readonly refusal: Refusal | null
  /** UIDs of the policies that select a pod of this node. */
  readonly localPolicies: () => Iterable<PolicyUid>
}

/** What is said of a pod and is so for the policies that select it. */
const OF_PODS: readonly string[] = ['NotEnforced', 'Quarantined']

/** Costs in the number of problems, and in that of this node's pods where one of them has any. */
export function failuresOf(turns: Pick<Turns, 'plan' | 'snapshot'>, wrongs: Wrongs): readonly Failing[] {
  return new Failures(turns).of(wrongs)
}

/** Of the node itself, so that no policy on it is known to be enforced: packets go past the table, or nobody can say what it holds. */
export function isOfNode({ code, object }: Problem): boolean {
  return code === 'KernelUnknown' || (code === 'NotEnforced' && !object.startsWith('Pod '))
}

class Failures {
  readonly #turns: Pick<Turns, 'plan' | 'snapshot'>
  readonly #found = new Map<string, Failing>()
  /** `namespace/name` -> the policies that select that pod of this node; made where it is asked for. */
  #ofPods: ReadonlyMap<string, readonly Profile[]> | null = null

  constructor(turns: Pick<Turns, 'plan' | 'snapshot'>) {
    this.#turns = turns
  }

  of({ problems, refusal, localPolicies }: Wrongs): readonly Failing[] {
    for (const problem of problems) {
      if (problem.severity !== 'error') continue
      if (isOfNode(problem)) for (const uid of localPolicies()) this.#policy(uid, problem)
      else this.#object(problem.object, problem)
    }
    for (const owner of refusal?.owners ?? []) {
      const owned = readOwner(owner)
      if (owned !== null) this.#named(owned.kind, owned.namespace, owned.name, (refusal as Refusal).problem)
    }
    return [...this.#found.values()]
  }

  #object(object: string, problem: Problem): void {
    const [, kind, namespace, name] = /^(NetworkPolicy|Service|Pod) ([^/]+)\/(.+)$/.exec(object) ?? []
    if (namespace === undefined || name === undefined) return
    if (kind === 'NetworkPolicy') this.#named('policy', namespace, name, problem)
    else if (kind === 'Service') this.#named('service', namespace, name, problem)
    else if (OF_PODS.includes(problem.code)) this.#named('pod', namespace, name, problem)
  }

  #named(kind: 'policy' | 'service' | 'pod', namespace: string, name: string, problem: Problem): void {
    const { plan, snapshot } = this.#turns
    if (snapshot === null) return
    if (kind === 'service') {
      const [service] = snapshot.services.where('key', serviceKey(namespace, name))
      return this.#add({ kind: 'Service', namespace, name, ...(service === undefined ? {} : { uid: service.uid }) }, problem)
    }
    if (kind === 'pod') {
      for (const { policies } of this.#profilesOf(namespace, name)) for (const { uid } of policies) this.#policy(uid, problem)
      return
    }
    for (const policy of snapshot.policies.where('namespace', namespace)) if (policy.name === name && plan.profiles.isUsing(policy.uid)) this.#policy(policy.uid, problem)
  }

  #policy(uid: PolicyUid, problem: Problem): void {
    const policy = this.#turns.snapshot?.policies.get(uid)
    if (policy !== undefined) this.#add({ kind: 'NetworkPolicy', namespace: policy.namespace, name: policy.name, uid }, problem)
  }

  #add(ref: NodeFailure['ref'], problem: Problem): void {
    const key = refKey(ref)
    if (!this.#found.has(key)) this.#found.set(key, { ref, reason: problem.code, message: messageOf(ref, problem) })
  }

  #profilesOf(namespace: string, name: string): readonly Profile[] {
    this.#ofPods ??= new Map([...this.#turns.plan.locals.values()].map(({ attachment }) => [`${attachment.namespace}/${attachment.name}`, this.#profiles(attachment.ingress, attachment.egress)]))
    return this.#ofPods.get(`${namespace}/${name}`) ?? []
  }

  #profiles(...ids: readonly string[]): readonly Profile[] {
    return ids.flatMap((id) => this.#turns.plan.profiles.get(id) ?? [])
  }
}

/** Each once; of both where they differ, as `now` says. */
export function bothOf(now: readonly Failing[], before: readonly Failing[]): readonly Failing[] {
  const known = new Set(now.map(({ ref }) => refKey(ref)))
  return [...now, ...before.filter(({ ref }) => !known.has(refKey(ref)))]
}

/** Who it is, whoever has its name. */
export function refKey({ kind, namespace, name, uid }: NodeFailure['ref']): string {
  return `${kind} ${namespace}/${name} ${uid ?? ''}`
}

function messageOf({ kind, namespace, name }: NodeFailure['ref'], { code, object, field, message }: Problem): string {
  // Of the whole ruleset: whom they name is of no use to one policy.
  if (code === 'CommitRefused' || code === 'KernelUnknown') return message
  const where = object === `${kind} ${namespace}/${name}` ? field : [object, field].filter((part) => part !== undefined).join(', ')
  return where === undefined ? message : `${where}: ${message}`
}

/** Since when each failure lasts: kept while it does, whatever its reason becomes. */
export class FailureTimes {
  #since = new Map<string, string>()

  /** What the agent before this one told: it goes on where it is still so. */
  seed(before: readonly NodeFailure[]): void {
    for (const { ref, since } of before) this.#since.set(refKey(ref), since)
  }

  /** All there are now. */
  timed(failing: readonly Failing[], now: string): readonly NodeFailure[] {
    const timed = failing.map((one) => ({ ...one, since: this.#since.get(refKey(one.ref)) ?? now }))
    this.#since = new Map(timed.map(({ ref, since }) => [refKey(ref), since]))
    return timed
  }
}
