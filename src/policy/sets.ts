// The peer sets of the plan: who uses which, what they hold, and what changed in them this turn.
//
// A set is *held* while a rule mentions it (its content is then known, for unions and explain) and *shown* while a
// dispatch names it (it then exists in the kernel).
// **Invariant:** every acquire has one release; after takeDelta() nothing is pending.
import type { Change, Changes } from '../model/changes.ts'
import type { Family } from '../model/ip.ts'
import type { Pod, PodUid, Protocol } from '../model/objects.ts'
import { resolvePort } from '../model/policy.ts'
import type { SelectorId } from '../model/selector.ts'
import type { SelectorIndex } from '../selectors/index.ts'
import type { WorkCount } from '../store/snapshot.ts'
import { changedRanges, covers, type RangeMember } from './cidrs.ts'
import type { Member, MemberDelta, PeerSet, SetId, UnionDelta } from './plan.ts'

export type HeldSet = Exclude<PeerSet, { kind: 'union' }>
export type Union = Extract<PeerSet, { kind: 'union' }>

/** What a peer is, as far as sets ask. */
export interface PeerFacts {
  readonly family: Family
  readonly bits: bigint
  /** The pods whose address it is: one at most, or none. */
  readonly pods: readonly Pod[]
}

interface Entry {
  readonly set: HeldSet
  held: number
  shown: number
  /** Of CIDR sets; what selectors match is read from their index. */
  ranges: readonly RangeMember[]
  readonly unions: Set<SetId>
}

export class PeerSets {
  readonly #entries = new Map<SetId, Entry>()
  readonly #bySelector = new Map<SelectorId, Set<SetId>>()
  readonly #unions = new Map<SetId, Union>()
  readonly #work: WorkCount
  #sets = new Map<SetId, Change<PeerSet>>()
  #members = new Map<SetId, { added: Member[]; removed: Member[] }>()
  #unionDeltas = new Map<SetId, UnionDelta[]>()

  constructor(work: WorkCount) {
    this.#work = work
  }

  get size(): number {
    return this.#entries.size + this.#unions.size
  }

  kindOf(id: SetId): PeerSet['kind'] {
    return this.#entry(id).set.kind
  }

  /** Whether the set holds the peer; for pairs, with that port (null: a protocol that has none). The set must be held. */
  contains(id: SetId, peer: PeerFacts, protocol: Protocol | null, port: number, selectors: SelectorIndex): boolean {
    const { set, ranges } = this.#entry(id)
    if (set.kind === 'cidrs') return covers(ranges, peer.family, peer.bits)
    const members = selectors.members(set.selector.id)
    const isMember = peer.pods.some((pod) => members.has(pod.uid))
    if (set.kind === 'pods' || !isMember) return isMember
    return set.protocol === protocol && peer.pods.some((pod) => members.has(pod.uid) && resolvePort(pod, set.protocol, set.port) === port)
  }

  hold(set: HeldSet, selectors: SelectorIndex): void {
    const entry = this.#entries.get(set.id)
    if (entry !== undefined) {
      entry.held++
      return
    }
    this.#entries.set(set.id, { set, held: 1, shown: 0, ranges: [], unions: new Set() })
    if (set.kind === 'cidrs') return
    selectors.acquire(set.selector)
    const users = this.#bySelector.get(set.selector.id)
    if (users === undefined) this.#bySelector.set(set.selector.id, new Set([set.id]))
    else users.add(set.id)
  }

  drop(id: SetId, selectors: SelectorIndex): void {
    const entry = this.#entry(id)
    if (--entry.held > 0) return
    this.#entries.delete(id)
    if (entry.set.kind === 'cidrs') return
    const users = this.#bySelector.get(entry.set.selector.id)
    users?.delete(id)
    if (users?.size === 0) this.#bySelector.delete(entry.set.selector.id)
    selectors.release(entry.set.selector.id)
  }

  show(id: SetId, selectors: SelectorIndex): void {
    const entry = this.#entry(id)
    if (entry.shown++ > 0) return
    this.#note(id, null, entry.set)
    this.#members.set(id, { added: this.#contents(entry, selectors), removed: [] })
  }

  hide(id: SetId): void {
    const entry = this.#entry(id)
    if (--entry.shown > 0) return
    this.#note(id, entry.set, null)
    this.#members.delete(id)
  }

  /** The ranges of a CIDR set, now; `ranges` sorted and disjoint (cidrs.ts). */
  setRanges(id: SetId, ranges: readonly RangeMember[]): void {
    const entry = this.#entry(id)
    const { added, removed } = changedRanges(entry.ranges, ranges)
    entry.ranges = ranges
    if (added.length + removed.length > 0) this.#tell(entry, added, removed)
  }

  /** What the selector index says of sets that were there before this turn. To be called before anything else in a turn. */
  selectorChanges(changes: ReadonlyMap<SelectorId, Changes<PodUid, Pod>>): void {
    for (const [selector, pods] of changes) {
      for (const id of this.#bySelector.get(selector) ?? []) {
        const entry = this.#entry(id)
        const added: Member[] = []
        const removed: Member[] = []
        for (const { before, after } of pods.values()) {
          this.#work.rows++
          const old = before === null ? [] : membersOf(entry.set, before)
          const now = after === null ? [] : membersOf(entry.set, after)
          removed.push(...old.filter((m) => !now.some((n) => sameMember(m, n))))
          added.push(...now.filter((m) => !old.some((o) => sameMember(m, o))))
        }
        if (added.length + removed.length > 0) this.#tell(entry, added, removed)
      }
    }
  }

  /** Makes the union, or gives it other sources. Its sources must be held, before and after. */
  setUnion(union: Union, selectors: SelectorIndex): void {
    const before = this.#unions.get(union.id)
    this.#unions.set(union.id, union)
    if (before === undefined) this.#note(union.id, null, union)
    const old = new Set(before?.sources)
    const now = new Set(union.sources)
    for (const source of old) if (!now.has(source)) this.#detach(union.id, source, selectors)
    for (const source of now) {
      if (old.has(source)) continue
      const entry = this.#entry(source)
      entry.unions.add(union.id)
      this.#unionDelta(union.id, { source, added: this.#contents(entry, selectors), removed: [] })
    }
  }

  removeUnion(id: SetId): void {
    const union = this.#unions.get(id)
    if (union === undefined) return
    this.#unions.delete(id)
    for (const source of union.sources) this.#entries.get(source)?.unions.delete(id)
    this.#note(id, union, null)
    this.#unionDeltas.delete(id)
  }

  takeDelta(): { sets: Changes<SetId, PeerSet>; members: ReadonlyMap<SetId, MemberDelta>; unions: ReadonlyMap<SetId, readonly UnionDelta[]> } {
    const delta = { sets: this.#sets, members: this.#members, unions: this.#unionDeltas }
    this.#sets = new Map()
    this.#members = new Map()
    this.#unionDeltas = new Map()
    return delta
  }

  #entry(id: SetId): Entry {
    const entry = this.#entries.get(id)
    if (entry === undefined) throw new Error(`peer set ${id} is used and not held`)
    return entry
  }

  #contents(entry: Entry, selectors: SelectorIndex): Member[] {
    const { set } = entry
    if (set.kind === 'cidrs') return [...entry.ranges]
    const members: Member[] = []
    for (const pod of selectors.members(set.selector.id).values()) {
      this.#work.rows++
      members.push(...membersOf(set, pod))
    }
    return members
  }

  #detach(union: SetId, source: SetId, selectors: SelectorIndex): void {
    const entry = this.#entry(source)
    entry.unions.delete(union)
    this.#unionDelta(union, { source, added: [], removed: this.#contents(entry, selectors) })
  }

  #tell(entry: Entry, added: readonly Member[], removed: readonly Member[]): void {
    for (const union of entry.unions) this.#unionDelta(union, { source: entry.set.id, added, removed })
    if (entry.shown === 0) return
    const told = this.#members.get(entry.set.id)
    if (told === undefined) this.#members.set(entry.set.id, { added: [...added], removed: [...removed] })
    else {
      told.removed.push(...removed.filter((m) => !takeOut(told.added, m)))
      told.added.push(...added.filter((m) => !takeOut(told.removed, m)))
    }
  }

  #unionDelta(id: SetId, delta: UnionDelta): void {
    if (delta.added.length + delta.removed.length === 0) return
    const told = this.#unionDeltas.get(id)
    if (told === undefined) this.#unionDeltas.set(id, [delta])
    else told.push(delta)
  }

  /** Nets what happens to a set within one turn: made and gone again is nothing. */
  #note(id: SetId, before: PeerSet | null, after: PeerSet | null): void {
    const noted = this.#sets.get(id)
    const first = noted === undefined ? before : noted.before
    if (first === null && after === null) this.#sets.delete(id)
    else this.#sets.set(id, { before: first, after })
  }
}

function membersOf(set: HeldSet, pod: Pod): Member[] {
  if (set.kind === 'pods') return pod.addresses.map((address) => ({ kind: 'address', address }))
  if (set.kind === 'cidrs') return []
  const port = resolvePort(pod, set.protocol, set.port)
  return port === null ? [] : pod.addresses.map((address) => ({ kind: 'pair', address, protocol: set.protocol, port }))
}

function sameMember(a: Member, b: Member): boolean {
  if (a.kind === 'address') return b.kind === 'address' && a.address === b.address
  if (a.kind === 'pair') return b.kind === 'pair' && a.address === b.address && a.protocol === b.protocol && a.port === b.port
  return b.kind === 'range' && a.family === b.family && a.first === b.first && a.last === b.last
}

function takeOut(members: Member[], member: Member): boolean {
  const at = members.findIndex((m) => sameMember(m, member))
  if (at >= 0) members.splice(at, 1)
  return at >= 0
}
