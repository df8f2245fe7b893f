// Effective addresses: an address belongs to one pod at a time, whatever order its old and its new pod are seen in.
//
// It stands between the pods as they were read and the pod table: the rows that selectors, policy and snapshot see have only
// the addresses that they own. **Invariant:** the owner is a function of the claimants, never of the order of
// events (rules 94, 97); who is no peer (finished: rule 93; hostNetwork: rule 24) claims and owns nothing.
import type { Problem } from '../lib/problem.ts'
import { byText } from '../lib/sorting.ts'
import type { Changes } from '../model/changes.ts'
import type { Address } from '../model/ip.ts'
import type { Pod, PodUid } from '../model/objects.ts'
import { isPeer } from '../model/policy.ts'
import { Postings } from '../selectors/postings.ts'
import type { WorkCount } from './snapshot.ts'

/**
 * Of several claimants the owner comes first: who was given it by the network plugin just now (decisions/0013), then not
 * terminating before terminating, then created later, then the greater UID.
 */
function byClaim(a: Pod, b: Pod): number {
  if (a.given !== b.given) return a.given === true ? -1 : 1
  if (a.terminating !== b.terminating) return a.terminating ? 1 : -1
  return b.createdAt - a.createdAt || byText(b.uid, a.uid)
}

function claimed(pod: Pod | null): readonly Address[] {
  return pod !== null && isPeer(pod) ? pod.addresses : []
}

export class AddressClaims {
  readonly #claimants = new Postings()
  /** Owner of each address that has several claimants. */
  readonly #contested = new Map<Address, PodUid>()
  readonly #podOf: (uid: PodUid) => Pod
  readonly #work: WorkCount
  readonly #onProblems: (address: Address, problems: readonly Problem[]) => void

  /** `podOf` gives a pod as it was read; `onProblems` is told all problems of each address whose claimants changed. */
  constructor(podOf: (uid: PodUid) => Pod, work: WorkCount, onProblems: (address: Address, problems: readonly Problem[]) => void) {
    this.#podOf = podOf
    this.#work = work
    this.#onProblems = onProblems
  }

  /** Takes the changes of pods as they were read over, and returns the pods whose effective row may be another now. */
  apply(changes: Changes<PodUid, Pod>): ReadonlySet<PodUid> {
    const addresses = new Set<Address>()
    for (const [uid, { before, after }] of changes) {
      for (const address of claimed(before)) this.#claimants.remove(address, uid)
      for (const address of claimed(after)) this.#claimants.add(address, uid)
      for (const address of claimed(before)) addresses.add(address)
      for (const address of claimed(after)) addresses.add(address)
    }
    const touched = new Set(changes.keys())
    for (const address of addresses) this.#settle(address, touched)
    return touched
  }

  /** The pod with the addresses that it owns only; the same row where it owns all that it claims. */
  effective(pod: Pod): Pod {
    const owned = claimed(pod).filter((address) => (this.#contested.get(address) ?? pod.uid) === pod.uid)
    return owned.length === pod.addresses.length ? pod : Object.freeze({ ...pod, addresses: Object.freeze(owned) })
  }

  #settle(address: Address, touched: Set<PodUid>): void {
    const contestedBefore = this.#contested.delete(address)
    if (this.#claimants.count(address) < 2) {
      if (!contestedBefore) return
      for (const uid of this.#claimants.of(address)) touched.add(uid)
      this.#onProblems(address, [])
      return
    }
    const claimants = [...this.#claimants.of(address)].map((uid) => this.#podOf(uid)).sort(byClaim)
    this.#work.rows += claimants.length
    for (const pod of claimants) touched.add(pod.uid)
    const [owner, ...others] = claimants as [Pod, ...Pod[]]
    this.#contested.set(address, owner.uid)
    this.#onProblems(address, others.filter((pod) => !pod.terminating).map((pod) => conflict(address, owner, pod)))
  }
}

/** Of two pods that both live: a terminating pod's address may be given out again as soon as its sandbox is gone. */
function conflict(address: Address, owner: Pod, other: Pod): Problem {
  const winner = `Pod ${owner.namespace}/${owner.name}`
  const name = `Pod ${other.namespace}/${other.name}`
  const why = owner.given === true ? 'which the network plugin gave it' : owner.createdAt > other.createdAt ? 'which was created later' : `whose UID ${owner.uid} is the greater one`
  const now = `it counts as that of ${winner}, ${why}, and ${name} is judged without it`
  return {
    code: 'AddressConflict',
    severity: 'warning',
    object: name,
    field: 'status.podIPs',
    message: `${address} is also an address of ${winner}, and one pod can have it at a time; ${now}`,
  }
}
