// Which counter counts what a rule of a policy lets pass, and what an isolated pod is denied; and which of them the table has.
//
// A counter is named by what it counts, never by the chain that it stands in: profiles with the same rule share it, and chains come and go
// around it. A packet that several rules allow counts for the first of them that has its port and peer (decisions/0021).
// **Invariant:** the table has exactly the counters that some profile's chains, or some pod's element, name.
import { policyOwner, type Owner } from '../model/owner.ts'
import type { PodUid, PolicyUid } from '../model/objects.ts'
import { DIRECTIONS, type Direction } from '../model/policy.ts'
import type { Attachment, PortClass, Profile, ProfileId, RuleRef } from '../policy/plan.ts'
import { ruleCounter, droppedCounter, severalCounter } from './names.ts'
import type { WantedTable } from './wanted.ts'

/** What a counter counts. */
export type Counted =
  /** `rule` null: of several rules, whose peers are one set; of several policies where `policy` is null. */
  | { readonly kind: 'allowed'; readonly namespace: string; readonly policy: { readonly name: string; readonly uid: PolicyUid } | null; readonly direction: Direction; readonly rule: number | null }
  /** What policies denied the pod: not what it spoofed, nor what was cut. */
  | { readonly kind: 'dropped'; readonly namespace: string; readonly pod: string; readonly uid: PodUid; readonly direction: Direction }

/** The counter of one place in a profile's dispatch; null where nothing is counted there. */
export function counterOf(profile: Profile, { by }: PortClass, peer: number): readonly [string, Counted] | null {
  const refs = by?.[peer] ?? []
  const [first] = refs
  if (first === undefined) return null
  const { namespace, direction } = profile
  const policy = refs.every((ref) => ref.policy === first.policy) ? policyOf(profile, first) : null
  const rule = refs.length === 1 ? first.index : null
  const name = policy !== null && rule !== null ? ruleCounter(namespace, policy, direction, rule) : severalCounter(namespace, policy, direction, refs)
  return [name, { kind: 'allowed', namespace, policy, direction, rule }]
}

/** What stands in front of the `accept` of that place. */
export function counting(profile: Profile, ports: PortClass, peer: number): string {
  const counter = counterOf(profile, ports, peer)
  return counter === null ? '' : `counter name "${counter[0]}" `
}

function policyOf({ policies }: Profile, { policy: uid }: RuleRef): { readonly name: string; readonly uid: PolicyUid } {
  return { uid, name: policies.find((one) => one.uid === uid)?.name ?? uid }
}

/** The counters of all places of a profile. */
function countersOf(profile: Profile): ReadonlyMap<string, Counted> {
  const places = profile.dispatch.flatMap((ports) => (ports.by ?? []).map((_, peer) => counterOf(profile, ports, peer)))
  return new Map(places.filter((place) => place !== null))
}

const MOST_LEAVING = 10_000

/** The counters that the table has, kept while anybody names them. */
export class NamedCounters {
  readonly #table: WantedTable
  readonly #counted = new Map<string, Counted>()
  readonly #leaving = new Map<string, Counted>()
  /** Counter -> the profiles whose chains name it, with the owners. */
  readonly #users = new Map<string, Map<ProfileId, readonly Owner[]>>()
  readonly #ofProfile = new Map<ProfileId, readonly string[]>()

  constructor(table: WantedTable) {
    this.#table = table
  }

  /** By the counter's name. */
  get counted(): ReadonlyMap<string, Counted> {
    return this.#counted
  }

  /** What a counter counted that the table is to lose: the kernel has it for a while. The last MOST_LEAVING. */
  get leaving(): ReadonlyMap<string, Counted> {
    return this.#leaving
  }

  /** The profile is as said, or (null) gone. */
  changeProfile(id: ProfileId, profile: Profile | null): void {
    const before = this.#ofProfile.get(id) ?? []
    const after = profile === null ? new Map<string, Counted>() : countersOf(profile)
    for (const [name, counted] of after) {
      const users = this.#users.get(name) ?? new Map<ProfileId, readonly Owner[]>()
      this.#users.set(name, users.set(id, ownersOf(profile, counted)))
      this.#put(name, counted, [...new Set([...users.values()].flat())])
    }
    if (after.size === 0) this.#ofProfile.delete(id)
    else this.#ofProfile.set(id, [...after.keys()])
    for (const name of before) {
      if (after.has(name)) continue
      const users = this.#users.get(name)
      users?.delete(id)
      if (users !== undefined && users.size > 0) continue
      this.#users.delete(name)
      this.#remove(name)
    }
  }

  putPod(pod: Attachment, owner: Owner): void {
    for (const direction of DIRECTIONS) {
      const name = droppedBy(pod, direction)
      if (name !== null) this.#put(name, { kind: 'dropped', namespace: pod.namespace, pod: pod.name, uid: pod.pod, direction }, [owner])
    }
  }

  /** `after`: what the pod is now; null: gone. */
  removePod(before: Attachment, after: Attachment | null): void {
    for (const direction of DIRECTIONS) {
      const name = droppedBy(before, direction)
      if (name !== null && (after === null || droppedBy(after, direction) !== name)) this.#remove(name)
    }
  }

  #put(name: string, counted: Counted, owners: readonly Owner[]): void {
    this.#counted.set(name, counted)
    this.#leaving.delete(name)
    this.#table.putCounter({ kind: 'counter', name }, owners)
  }

  #remove(name: string): void {
    const counted = this.#counted.get(name)
    this.#counted.delete(name)
    if (counted !== undefined) this.#leaving.set(name, counted)
    const [oldest] = this.#leaving.size > MOST_LEAVING ? this.#leaving.keys() : []
    if (oldest !== undefined) this.#leaving.delete(oldest)
    this.#table.removeCounter(name)
  }
}

/** The counter of what the pod is denied; null where nothing can be, or all is. */
export function droppedBy(pod: Attachment, direction: Direction): string | null {
  return pod.closed || pod[direction] === 'open' ? null : droppedCounter(pod.namespace, pod.pod, direction)
}

function ownersOf(profile: Profile | null, counted: Counted): readonly Owner[] {
  if (profile === null || counted.kind !== 'allowed') return []
  const policies = counted.policy === null ? profile.policies : [counted.policy]
  return policies.map(({ name }) => policyOwner(profile.namespace, name, profile.direction))
}
