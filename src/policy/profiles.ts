// The profiles in use: who holds them, what they say, and which sets they read.
//
// **Invariant:** sets of a new version of a profile are held and shown before those of the old one are let go, and
// letting go waits for the end of the step.
import type { Change, Changes } from '../model/changes.ts'
import type { TrafficLog } from '../model/log-wish.ts'
import type { Namespace, PolicyUid, Uid } from '../model/objects.ts'
import type { Direction, Policy } from '../model/policy.ts'
import { policyLog } from '../logging/wishes.ts'
import type { SelectorIndex } from '../selectors/index.ts'
import { sameRow } from '../store/equality.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import { coveredBy } from './cidrs.ts'
import { dispatch } from './dispatch.ts'
import type { Isolation } from './isolation.ts'
import { readRule } from './peers.ts'
import type { PlanRule, Profile, ProfileId, SetId } from './plan.ts'
import { profileLog } from './profile-log.ts'
import type { HeldSet, PeerSets, Union } from './sets.ts'

interface Entry {
  profile: Profile
  isolation: Isolation
  users: number
  /** What this version holds: one entry a use. */
  uses: Uses
}

interface Uses {
  readonly held: readonly SetId[]
  readonly shown: readonly SetId[]
  readonly unions: readonly Union[]
}

export class Profiles {
  readonly #entries = new Map<ProfileId, Entry>()
  readonly #byPolicy = new Map<PolicyUid, Set<ProfileId>>()
  readonly #sets: PeerSets
  readonly #auditLog: TrafficLog | undefined
  #changes = new Map<ProfileId, Change<Profile>>()
  #outdated: Uses[] = []
  #unused = new Set<ProfileId>()
  /** Built in this step, from what the policies say now. */
  #fresh = new Set<ProfileId>()

  /** `auditLog`: what is logged where no annotation says it; undefined: nothing is, whatever they say. */
  constructor(sets: PeerSets, auditLog: TrafficLog | undefined) {
    this.#sets = sets
    this.#auditLog = auditLog
  }

  get(id: ProfileId): Profile | undefined {
    return this.#entries.get(id)?.profile
  }

  get size(): number {
    return this.#entries.size
  }

  /** Whether the policy selects a pod that this plan is for. */
  isUsing(policy: PolicyUid): boolean {
    return this.#byPolicy.has(policy)
  }

  /** The profiles with a rule that reads one of the sets. Visits every profile in use on this node. */
  reading(sets: ReadonlySet<SetId>): readonly ProfileId[] {
    if (sets.size === 0) return []
    return [...this.#entries.values()].filter((entry) => entry.uses.held.some((id) => sets.has(id))).map((entry) => entry.profile.id)
  }

  /** One release each. The profile is built where nobody holds it yet. */
  acquire(isolation: Isolation, snapshot: Snapshot): ProfileId {
    const { id } = isolation
    const entry = this.#entries.get(id)
    if (entry !== undefined) {
      entry.users++
      return id
    }
    const built = this.#build(isolation, snapshot)
    this.#entries.set(id, { ...built, isolation, users: 1 })
    for (const policy of isolation.policies) {
      const users = this.#byPolicy.get(policy.uid)
      if (users === undefined) this.#byPolicy.set(policy.uid, new Set([id]))
      else users.add(id)
    }
    this.#fresh.add(id)
    this.#note(id, null, built.profile)
    return id
  }

  release(id: ProfileId): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined && --entry.users === 0) this.#unused.add(id)
  }

  /** Builds again the profiles that read a policy whose text changed, and those of a namespace that has something else logged. */
  rebuild({ policies, namespaces }: Pick<SnapshotDelta, 'policies' | 'namespaces'>, snapshot: Snapshot): void {
    const dirty = new Set<ProfileId>(this.#loggedBy(namespaces))
    for (const uid of policies.keys()) for (const id of this.#byPolicy.get(uid) ?? []) dirty.add(id)
    for (const id of dirty) {
      const entry = this.#entries.get(id)
      if (entry === undefined || entry.users === 0 || this.#fresh.has(id)) continue
      const current = entry.isolation.policies.map((p) => snapshot.policies.get(p.uid) ?? p)
      entry.isolation = { ...entry.isolation, policies: current }
      const before = entry.profile
      this.#outdated.push(entry.uses)
      Object.assign(entry, this.#build(entry.isolation, snapshot))
      this.#note(id, before, entry.profile)
    }
  }

  /** Ends the step: what nothing uses any more goes. */
  letGo(selectors: SelectorIndex): void {
    for (const id of this.#unused) {
      const entry = this.#entries.get(id)
      if (entry === undefined || entry.users > 0) continue
      this.#entries.delete(id)
      for (const policy of entry.isolation.policies) this.#unindex(policy.uid, id)
      this.#note(id, entry.profile, null)
      for (const union of entry.uses.unions) this.#sets.removeUnion(union.id)
      this.#outdated.push({ ...entry.uses, unions: [] })
    }
    for (const uses of this.#outdated) {
      for (const union of uses.unions) if (!this.#usesUnion(union)) this.#sets.removeUnion(union.id)
      for (const id of uses.shown) this.#sets.hide(id)
      for (const id of uses.held) this.#sets.drop(id, selectors)
    }
    this.#unused = new Set()
    this.#fresh = new Set()
    this.#outdated = []
  }

  takeChanges(): Changes<ProfileId, Profile> {
    const changes = this.#changes
    this.#changes = new Map()
    return changes
  }

  #unindex(policy: PolicyUid, id: ProfileId): void {
    const users = this.#byPolicy.get(policy)
    users?.delete(id)
    if (users?.size === 0) this.#byPolicy.delete(policy)
  }

  #usesUnion(union: Union): boolean {
    return this.#entries.get(union.profile)?.uses.unions.some((u) => u.id === union.id) ?? false
  }

  /** Visits every profile in use on this node, where a namespace's annotations say something else. */
  #loggedBy(namespaces: Changes<Uid, Namespace>): ProfileId[] {
    const changed = new Set([...namespaces.values()].filter(({ before, after }) => !sameRow(before?.log, after?.log)).map(({ before, after }) => (after ?? before)?.name))
    return changed.size === 0 ? [] : [...this.#entries.values()].filter(({ profile }) => changed.has(profile.namespace)).map(({ profile }) => profile.id)
  }

  #logOf(profile: Omit<Profile, 'log'>, policies: readonly Policy[], snapshot: Snapshot): Pick<Profile, 'log'> {
    const cluster = this.#auditLog
    if (cluster === undefined) return {}
    const [namespace] = snapshot.namespaces.where('name', profile.namespace)
    const wishes = new Map(policies.map((policy) => [policy.uid, policyLog(cluster, namespace?.log, policy.log)]))
    const log = profileLog(profile, wishes)
    return log === undefined ? {} : { log }
  }

  #build(isolation: Isolation, snapshot: Snapshot): { profile: Profile; uses: Uses } {
    const { selectors } = snapshot
    const direction: Direction = isolation.id.startsWith('ingress/') ? 'ingress' : 'egress'
    const held: SetId[] = []
    const rules: PlanRule[] = []
    for (const policy of isolation.policies) {
      for (const rule of policy[direction]) {
        const read = readRule(policy, direction, rule, isolation.ports)
        rules.push(...read.rules)
        for (const set of read.sets as readonly HeldSet[]) {
          this.#sets.hold(set, selectors)
          held.push(set.id)
          if (set.kind === 'cidrs') this.#sets.setRanges(set.id, coveredBy(rule))
        }
      }
    }
    const { classes, unions } = dispatch(isolation.id, rules, (id) => this.#sets.kindOf(id))
    for (const union of unions) this.#sets.setUnion(union, selectors)
    const unionIds = new Set(unions.map((u) => u.id))
    const shown = [...new Set(classes.flatMap((c) => (c.peers === 'all' ? [] : c.peers.map((p) => p.set))))].filter((id) => !unionIds.has(id))
    for (const id of shown) this.#sets.show(id, selectors)
    const policies = isolation.policies.map((p) => Object.freeze({ uid: p.uid, name: p.name }))
    const namespace = isolation.policies[0]?.namespace ?? ''
    const profile = { id: isolation.id, direction, namespace, policies, rules, dispatch: classes }
    return { profile: Object.freeze({ ...profile, ...this.#logOf(profile, isolation.policies, snapshot) }), uses: { held, shown, unions } }
  }

  #note(id: ProfileId, before: Profile | null, after: Profile | null): void {
    const noted = this.#changes.get(id)
    const first = noted === undefined ? before : noted.before
    if (first === null && after === null) this.#changes.delete(id)
    else this.#changes.set(id, { before: first, after })
  }
}
