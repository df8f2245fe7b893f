// PlanDelta -> the wanted table and its dirty names: the last pure stage before the diff.
//
// **Invariant:** the wanted table is a function of the plan; a delta visits only what it tells.
import type { Change } from '../model/changes.ts'
import { FAMILIES } from '../model/ip.ts'
import type { MasqueradeDelta } from '../nat/masquerade.ts'
import type { NatDelta } from '../nat/plan.ts'
import { policyOwner, type Owner } from '../model/owner.ts'
import type { Member, MemberDelta, PeerSet, PlanDelta, Profile, ProfileId, SetId } from '../policy/plan.ts'
import { NAMES, peerSet } from './names.ts'
import { NamedCounters } from './rule-counters.ts'
import { PodElements, quoted } from './pods.ts'
import { familyOfMember, memberKey, profileObjects, setObjects } from './policies.ts'
import { MasqueradeElements, NO_NAT } from './masquerade.ts'
import { ServiceElements } from './services.ts'
import { SetUsers } from './set-users.ts'
import { skeleton, type SkeletonOptions } from './skeleton.ts'
import { UnionElements } from './unions.ts'
import { WantedTable } from './wanted.ts'

interface ProfileNames {
  readonly chains: readonly string[]
  readonly map: string | null
  readonly counters: readonly string[]
  /** The sets that each policy's rules name, and so uses. */
  readonly uses: readonly (readonly [SetId, Owner])[]
}

export class Translator {
  readonly wanted: WantedTable
  readonly counters: NamedCounters
  readonly #pods: PodElements
  readonly #sets = new Map<SetId, PeerSet>()
  readonly #unions = new Map<SetId, UnionElements>()
  readonly #profiles = new Map<ProfileId, ProfileNames>()
  readonly #users = new SetUsers()
  /** Null where Services are somebody else's. */
  readonly #services: ServiceElements | null
  readonly #masquerade: MasqueradeElements

  readonly #log: SkeletonOptions['log']

  constructor(options: SkeletonOptions) {
    this.#log = options.log
    this.wanted = new WantedTable(skeleton(options))
    this.counters = new NamedCounters(this.wanted)
    this.#pods = new PodElements(this.wanted, this.counters)
    const nat = options.nat ?? NO_NAT
    this.#services = nat.mark === null ? null : new ServiceElements(nat.mark, this.wanted)
    this.#masquerade = new MasqueradeElements(nat, this.wanted)
    this.#services?.serviceCidrs(nat.serviceCidrs)
  }

  translate(delta: PlanDelta): void {
    for (const [id, change] of delta.sets) if (change.after !== null) this.#putSet(id, change.after)
    for (const [id, change] of delta.members) this.#changeMembers(id, change)
    for (const [id, changes] of delta.unions) for (const change of changes) this.#unions.get(id)?.change(change)
    for (const [id, change] of delta.profiles) this.#changeProfile(id, change)
    this.#pods.change(delta.attachments.values())
    for (const name of delta.knownInterfaces.removed) this.wanted.removeElement(NAMES.knownInterfaces, quoted(name))
    for (const name of delta.knownInterfaces.added) this.wanted.addElement(NAMES.knownInterfaces, { key: quoted(name) })
    for (const [id, change] of delta.sets) if (change.after === null) this.#removeSet(id)
  }

  translateNat(services: NatDelta['services'], masquerade: MasqueradeDelta): void {
    this.#services?.change(services)
    this.#masquerade.change(masquerade)
  }

  #putSet(id: SetId, set: PeerSet): void {
    this.#sets.set(id, set)
    for (const object of setObjects(set)) this.wanted.putSet(object, () => this.#users.of(id))
    if (set.kind === 'union' && !this.#unions.has(id)) this.#unions.set(id, new UnionElements(set, this.wanted))
  }

  #removeSet(id: SetId): void {
    const set = this.#sets.get(id)
    if (set === undefined) return
    this.#sets.delete(id)
    this.#unions.delete(id)
    for (const family of FAMILIES) this.wanted.removeSet(peerSet(set, family))
  }

  #changeMembers(id: SetId, change: MemberDelta): void {
    const set = this.#sets.get(id)
    if (set === undefined) return
    const name = (member: Member): string => peerSet(set, familyOfMember(member))
    for (const member of change.removed) this.wanted.removeElement(name(member), memberKey(member))
    for (const member of change.added) this.wanted.addElement(name(member), { key: memberKey(member) })
  }

  #changeProfile(id: ProfileId, { after }: Change<Profile>): void {
    const before = this.#profiles.get(id)
    this.counters.changeProfile(id, after)
    for (const [set, owner] of before?.uses ?? []) this.#users.remove(set, owner)
    if (after === null) {
      this.#profiles.delete(id)
      if (before === undefined) return
      for (const chain of before.chains) this.wanted.removeChain(chain)
      if (before.map !== null) this.wanted.removeSet(before.map)
      for (const counter of before.counters) this.wanted.removeCounter(counter)
      return
    }
    const objects = profileObjects(after, (set) => this.#setOf(set), this.#log)
    const owners: Owner[] = after.policies.map((p) => policyOwner(after.namespace, p.name, after.direction))
    const uses = usesOf(after)
    for (const [set, owner] of uses) this.#users.add(set, owner)
    const counters = [objects.counter, ...objects.logCounters]
    for (const counter of counters) this.wanted.putCounter(counter, owners)
    for (const chain of objects.chains) this.wanted.putChain(chain, owners)
    if (objects.map !== null) {
      this.wanted.putSet(objects.map.object, owners)
      this.wanted.setElements(objects.map.object.name, objects.map.elements)
    }
    const names = { chains: objects.chains.map((c) => c.name), map: objects.map?.object.name ?? null, counters: counters.map((c) => c.name), uses }
    this.#profiles.set(id, names)
    for (const chain of before?.chains ?? []) if (!names.chains.includes(chain)) this.wanted.removeChain(chain)
    for (const counter of before?.counters ?? []) if (!names.counters.includes(counter)) this.wanted.removeCounter(counter)
    if (before !== undefined && before.map !== null && names.map === null) this.wanted.removeSet(before.map)
  }

  #setOf(id: SetId): PeerSet {
    const set = this.#sets.get(id)
    if (set === undefined) throw new Error(`a profile names the peer set ${id}, which the plan did not tell`)
    return set
  }
}

/** Of the rules, and of unions, whose members come from all of the rules. */
function usesOf(profile: Profile): readonly (readonly [SetId, Owner])[] {
  const owners = new Map(profile.policies.map((p) => [p.uid, policyOwner(profile.namespace, p.name, profile.direction)]))
  const named = profile.rules.flatMap(({ policy, peers }) => (peers === 'all' ? [] : peers.map((p): [SetId, Owner | undefined] => [p.set, owners.get(policy)])))
  const shown = profile.dispatch.flatMap(({ peers }) => (peers === 'all' ? [] : peers.map((p) => p.set)))
  const rules = new Set(named.map(([set]) => set))
  const unions = [...new Set(shown)].filter((set) => !rules.has(set))
  for (const union of unions) for (const owner of owners.values()) named.push([union, owner])
  return named.flatMap(([set, owner]) => (owner === undefined ? [] : [[set, owner] as const]))
}
