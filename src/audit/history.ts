// Who had what, and when: so that a record has the names of its packets' arrival, whatever has changed since.
//
//   turn: planned(...) -> commit -> held(revision): from then on the kernel judges by it -> what was is remembered for minutes
//
// What is now is never copied: it is read in the snapshot and the plans, which hold the newest turn; kept is what was before.
// **Invariant:** what may have had two answers gives both, what is older than the horizon none; nothing is guessed.
import type { Address } from '../model/ip.ts'
import type { Revision } from '../model/changes.ts'
import type { Node, Pod, PolicyUid, Protocol, Uid } from '../model/objects.ts'
import type { ListId, NatDelta } from '../nat/plan.ts'
import type { PlanDelta, Profile, ProfileId } from '../policy/plan.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import { AddressOwners } from './history-addresses.ts'
import { InterfaceOwners } from './history-interfaces.ts'
import { LabelTexts } from './history-labels.ts'
import { ProfileHistory, type KnownProfile } from './history-profiles.ts'
import { ServiceHistory, type ServicesNow, type ServiceWord, type Target } from './history-services.ts'
import { Moments, type Bounds, type Span } from './moments.ts'
import { Timeline } from './timeline.ts'

/** What is now: agent/turn.ts has it. */
export interface HistorySource {
  /** Null before the first turn. */
  readonly snapshot: Snapshot | null
  readonly plan: { readonly profiles: { get(id: ProfileId): Profile | undefined } }
  /** `services` null: they are somebody else's. */
  readonly nat: { readonly services: ServicesNow | null }
}

export type Owner =
  | { readonly kind: 'pod'; readonly pod: Pod }
  | { readonly kind: 'node'; readonly node: Node }
  | { readonly kind: 'service'; readonly service: ServiceWord }
  /** Nobody's whom the cluster knows. */
  | { readonly kind: 'external' }

const NO_SERVICES: ServicesNow = { services: new Map(), withList: () => null, withPort: () => null }
const OUTSIDE: Owner = Object.freeze({ kind: 'external' })

/**
 * A PlanFollower with times: planned() at the end of each turn, while its snapshot holds, and held() when the kernel has
 * acknowledged a revision; in the order in which both happen. Questions are answered between turns.
 */
export class AuditHistory {
  readonly #source: HistorySource
  readonly #moments: Moments
  readonly #addresses: AddressOwners
  readonly #interfaces: InterfaceOwners
  readonly #profiles: ProfileHistory
  readonly #services: ServiceHistory
  readonly #labels: LabelTexts
  /** Of namespaces whose labels changed. */
  readonly #namespaces: Timeline<string, null>

  constructor(source: HistorySource, bounds?: Bounds) {
    this.#source = source
    this.#moments = new Moments(bounds)
    this.#addresses = new AddressOwners(this.#moments)
    this.#interfaces = new InterfaceOwners(this.#moments)
    this.#profiles = new ProfileHistory(this.#moments, source.plan.profiles)
    this.#services = new ServiceHistory(this.#moments, source.nat.services ?? NO_SERVICES)
    this.#labels = new LabelTexts(source.plan.profiles)
    this.#namespaces = new Timeline(this.#moments)
  }

  /** A turn ended: what changed in it, and when (milliseconds since 1970). The first one is the beginning: of what was before nothing is known. Returns the addresses that are somebody else's now, or of a pod with other labels. */
  planned(revision: Revision, delta: Pick<PlanDelta, 'profiles' | 'attachments'>, services: NatDelta['services'], rows: SnapshotDelta, now: number): readonly Address[] {
    const { snapshot } = this.#source
    if (snapshot === null) return []
    const moment = this.#moments.planned(revision, now)
    this.#interfaces.planned(moment, snapshot, delta, rows)
    this.#services.planned(moment, services)
    this.#labels.planned(delta.profiles)
    if (moment === null) return []
    const moved = this.#addresses.planned(moment, snapshot, rows)
    this.#profiles.planned(moment, delta.profiles, rows.policies)
    for (const { before, after } of rows.namespaces.values()) this.#namespaces.note((after ?? before)?.name ?? '', null, moment, 0)
    return moved
  }

  /** The kernel has acknowledged that revision, and all before it; at that time (milliseconds since 1970). */
  held(revision: Revision, now: number): void {
    this.#moments.held(revision, now)
  }

  /** For metrics: what is remembered, in numbers and (estimated) bytes, and how far back it reaches; Infinity: it knows of no time yet. */
  get size(): { readonly notes: number; readonly bytes: number; readonly horizon: number } {
    return { ...this.#moments.size, horizon: this.#moments.horizon }
  }

  /** Whether some of that time is older than what is remembered. */
  isTooOld({ first }: Span): boolean {
    return first < this.#moments.horizon
  }

  revisionAt(time: number): Revision | 'ambiguous' | 'unresolved' {
    return this.#moments.revisionAt(time)
  }

  /** The pods that may have been behind an interface of their own; none: it is no pod's own. Several versions of one pod are several. */
  behind(index: number, span: Span): readonly Pod[] {
    const found = index === 0 ? [] : this.#interfaces.between(index, span)
    return found.includes(null) ? [] : (found as readonly Pod[])
  }

  /** Whether an interface may be a pod's, and it is not known whose: then whose the address is says nothing. */
  isSomebodys(index: number): boolean {
    const { snapshot } = this.#source
    return index !== 0 && snapshot !== null && this.#interfaces.isSomebodys(index, snapshot)
  }

  /** Everybody whose the address may have been. `port` is the destination's; null where it is none, or a source. */
  ownersOf(address: Address, at: { readonly protocol: Protocol; readonly port: number } | null, span: Span): readonly Owner[] {
    const { snapshot } = this.#source
    if (snapshot === null) return [OUTSIDE]
    const pods = this.#addresses.podsBetween(address, snapshot, span)
    const found: Owner[] = pods.flatMap((pod) => (pod === null ? [] : [{ kind: 'pod', pod }]))
    if (!pods.includes(null)) return found
    for (const nodes of this.#addresses.nodesBetween(address, snapshot, span)) {
      found.push(...nodes.map((node): Owner => ({ kind: 'node', node })))
      if (nodes.length === 0) found.push(...this.#servicesAt(address, at, span))
    }
    return found
  }

  /** Several Services: it is not known which. `isNew`: the connection began within the span. */
  servicesOfList(id: ListId, target: Target, span: Span, isNew: boolean): readonly ServiceWord[] {
    return this.#services.byList(id, target, span, isNew)
  }

  /** The Services at an address and port that nobody translated. */
  servicesAt(address: Address, protocol: Protocol | null, port: number | null, span: Span): readonly (ServiceWord | null)[] {
    return this.#services.byAddress(address, protocol, port, span)
  }

  /** Null where it is not known. */
  profile(id: ProfileId, generation: string): KnownProfile | null {
    return this.#profiles.find(id, generation)
  }

  /** metadata.generation of a policy in that profile then; several: it is not known which. Null: it has none. */
  generationsOf(policy: PolicyUid, known: KnownProfile, span: Span): readonly (number | null)[] {
    const now = this.#source.snapshot?.policies.get(policy)?.generation ?? null
    return this.#profiles.generationsOf(policy, now, known, span).map((generation) => (generation === 0 ? null : generation))
  }

  /** Null where it is not known. */
  labelText(hash: string, profile: ProfileId | null): string | null {
    return this.#labels.find(hash, profile)
  }

  /** Whether the plan of now says of that address what it said then: nothing changed that who is a peer depends on. */
  isAsThen(address: Address, policies: Iterable<Uid>, since: number): boolean {
    if (this.isTooOld({ first: since, last: since }) || this.#addresses.changedSince(address, since)) return false
    for (const pod of this.#source.snapshot?.pods.where('address', address) ?? []) if (this.#namespaces.changedSince(pod.namespace, since)) return false
    for (const uid of policies) if (this.#profiles.editedSince(uid, since)) return false
    return true
  }

  #servicesAt(address: Address, at: { readonly protocol: Protocol; readonly port: number } | null, span: Span): readonly Owner[] {
    return this.#services.byAddress(address, at?.protocol ?? null, at?.port ?? null, span).map((service) => (service === null ? OUTSIDE : { kind: 'service', service }))
  }
}
