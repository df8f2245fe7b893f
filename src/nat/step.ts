// One step of the plan of Services: what changed of Services, slices and this node -> what changes in what this node translates.
//
// Visited are the Services that the delta names, those whose slices it names, and those that contend with them for an address;
// all of them when the node itself changes; and those that did not fit, when there is room. Compiling from nothing is a step from
// the empty plan. **Invariant:** any split of the events ends in the same plan, but for the numbers and indexes of lists, and for who
// does not fit, which depend on history.
import { problemKey, type Problem } from '../lib/problem.ts'
import type { Change } from '../model/changes.ts'
import { FAMILIES, type Address, type Cidr, type Family } from '../model/ip.ts'
import type { Protocol, Uid } from '../model/objects.ts'
import { serviceKey, type Service, type ServicePort } from '../model/service.ts'
import type { Snapshot, SnapshotDelta, WorkCount } from '../store/snapshot.ts'
import { PortClaims } from './claims.ts'
import { compileService, type ListKind } from './compile.ts'
import { ListIds, slotted } from './lists.ts'
import { MergedEndpoints } from './merged.ts'
import { NodeFacts } from './node-facts.ts'
import { NO_MEMORY, type ListMemory } from './memory.ts'
import type { EndpointList, ListId, NatDelta, PlannedService, SizeCode } from './plan.ts'
import { SizeCodes } from './sizes.ts'
import type { Target } from './targets.ts'
import { claimKey, virtualAddresses } from './virtual.ts'

export interface ServiceOptions {
  readonly nodeName: string | null
  /** `primary`: the node's first address of each family. */
  readonly nodePortAddresses: readonly Cidr[] | 'primary'
  readonly masqueradeAll: boolean
  /** What the mark has room for. */
  readonly mostLists: number
  readonly mostSizes: number
}

interface Known {
  readonly planned: PlannedService
  readonly lists: ReadonlyMap<string, EndpointList>
  readonly problems: readonly Problem[]
}

/** One list as it is to be. */
interface Wish {
  readonly service: Service
  readonly port: ServicePort
  readonly kind: ListKind
  readonly targets: Readonly<Record<Family, readonly Target[]>>
  /** What leads to it (entryKey). */
  readonly entries: () => Iterable<string>
}

const NO_TARGETS: Readonly<Record<Family, readonly Target[]>> = { 4: [], 6: [] }

/** The Services of one node. Changed by step() only; what it holds is told as NatDelta. */
export class ServicePlan {
  readonly work: WorkCount = { rows: 0 }
  readonly services = new Map<Uid, Known>()
  readonly #options: ServiceOptions
  readonly #claims = new PortClaims()
  readonly #ids: ListIds
  readonly #sizes: SizeCodes
  readonly #node: NodeFacts
  #memory = NO_MEMORY
  /** Those with a list that found no number, and with one for whose length there was no code. */
  readonly #wantNumbers = new Set<Uid>()
  readonly #wantCodes = new Set<Uid>()
  #isCodeFree = false
  /** What Services were before this step. */
  #start = new Map<Uid, Known | undefined>()
  #changes = new Map<Uid, Change<PlannedService>>()
  #problems = new Map<string, Change<Problem>>()

  constructor(options: ServiceOptions) {
    this.#options = options
    this.#ids = new ListIds(options.mostLists)
    this.#sizes = new SizeCodes(options.mostSizes)
    this.#node = new NodeFacts(options.nodeName, options.nodePortAddresses)
  }

  /** Valid only with the snapshot of this turn. Never throws for what the cluster says. */
  step(snapshot: Snapshot, delta: SnapshotDelta): NatDelta {
    const dirty = this.#dirty(snapshot, delta)
    const rows = new Map<Uid, Service | null>()
    const rowOf = (uid: Uid): Service | null => {
      if (!rows.has(uid)) rows.set(uid, proxied(snapshot.services.get(uid)))
      return rows.get(uid) ?? null
    }
    // First all claims, then all Services: who holds an address does not depend on the order in which they come.
    for (const uid of [...dirty]) for (const other of this.#claim(uid, rowOf(uid))) dirty.add(other)
    // Those that go give back their numbers before others take some.
    for (const uid of dirty) if (rowOf(uid) === null) this.#forget(uid)
    for (const uid of dirty) {
      const service = rowOf(uid)
      if (service !== null) this.#compile(service, snapshot)
    }
    this.#fillRoom((uid) => this.#compile(rowOf(uid) as Service, snapshot))
    const [services, problems] = [this.#changes, this.#problems]
    this.#start = new Map()
    this.#changes = new Map()
    this.#problems = new Map()
    this.#memory = NO_MEMORY
    return { services, problems }
  }

  #dirty(snapshot: Snapshot, delta: SnapshotDelta): Set<Uid> {
    const dirty = new Set<Uid>(delta.services.keys())
    const keys = new Set<string>()
    for (const { before, after } of delta.slices.values()) {
      for (const slice of [before, after]) if (slice !== null && slice.service !== null) keys.add(serviceKey(slice.namespace, slice.service))
    }
    for (const key of keys) for (const { uid } of snapshot.services.where('key', key)) dirty.add(uid)
    if (this.#node.step(snapshot, delta)) for (const uid of this.services.keys()) dirty.add(uid)
    this.work.rows += dirty.size
    return dirty
  }

  /**
   * Who did not fit comes in with the first step in which there is room: a number was given back or woke, a code became free.
   * Nobody asks for a turn when numbers wake (rested()): they are given out in the next one, whatever that is about.
   */
  #fillRoom(again: (uid: Uid) => void): void {
    const isCodeFree = this.#isCodeFree
    this.#isCodeFree = false
    for (const uid of [...this.#wantNumbers]) if (this.#ids.hasRoom) again(uid)
    if (isCodeFree) for (const uid of [...this.#wantCodes]) again(uid)
  }

  #claim(uid: Uid, service: Service | null): ReadonlySet<Uid> {
    const keys = new Set<string>()
    for (const port of service?.ports ?? []) {
      for (const one of virtualAddresses(service as Service, port, this.#node.nodePortAddresses)) keys.add(claimKey(one.address, port.protocol, one.port))
    }
    const { createdAt = 0, namespace = '', name = '' } = service ?? {}
    return this.#claims.claim({ uid, createdAt, title: serviceKey(namespace, name) }, keys)
  }

  #compile(service: Service, snapshot: Snapshot): void {
    this.work.rows++
    const { uid } = service
    const before = this.services.get(uid)
    const lists = new Map<string, EndpointList>()
    const gone = new Map(before?.lists)
    this.#wantsNothing(uid)
    const merged = new MergedEndpoints(snapshot.slices.where('service', serviceKey(service.namespace, service.name)))
    const { planned, problems } = compileService(service, merged, {
      where: this.#node.where,
      nodePortAddresses: this.#node.nodePortAddresses,
      masqueradeAll: this.#options.masqueradeAll,
      heldBy: (key) => {
        const holder = this.#claims.holder(key)
        return holder === null || holder.uid === uid ? null : holder.title
      },
      listOf: (port, kind, targets, entries) => {
        const key = listKey(uid, port, kind)
        const list = this.#list(key, { service, port, kind, targets, entries })
        gone.delete(key)
        if (typeof list !== 'string') lists.set(key, list)
        return list
      },
    })
    for (const [key, list] of gone) this.#letGo(list, key)
    this.services.set(uid, { planned, lists, problems })
    this.#tell(before, planned, problems)
  }

  #list(key: string, { service: { uid, affinity }, port: { protocol }, targets, entries }: Wish): EndpointList | string {
    const held = this.services.get(uid)?.lists.get(key)
    // One that found no code earlier in this step goes on as what it was.
    const last = held ?? this.#start.get(uid)?.lists.get(key)
    const remembered = this.#remembered(entries())
    const id = this.#ids.take(key, () => last?.id ?? remembered)
    if (id === null) {
      this.#wantNumbers.add(uid)
      return `there is no room for another list of endpoints: the mark has room for ${this.#options.mostLists} (setting serviceMarkMask)`
    }
    const old = last?.slots ?? this.#memory.slots.get(remembered ?? 0) ?? NO_TARGETS
    const slots = { 4: slotted(old[4], plain(targets[4])), 6: slotted(old[6], plain(targets[6])) }
    const sizes = this.#sizesOf(held, slots)
    if (sizes === null) {
      this.#ids.giveBack(key)
      this.#wantCodes.add(uid)
      return `there is no room for another number of endpoints: the mark has room for ${this.#options.mostSizes} different ones (setting serviceMarkMask)`
    }
    if (affinity !== null) this.#ids.stays(id)
    return Object.freeze({ id, protocol, affinity, slots, sizes })
  }

  /** A length that changes gives its code back before the new one takes one: it may be the last. Null where there is none; `held` has none then, either. */
  #sizesOf(held: EndpointList | undefined, slots: EndpointList['slots']): EndpointList['sizes'] | null {
    const changes = FAMILIES.filter((family) => held?.slots[family].length !== slots[family].length)
    for (const family of changes) this.#freeCode(held?.slots[family].length ?? 0)
    const sizes: Record<Family, SizeCode> = { 4: held?.sizes[4] ?? 0, 6: held?.sizes[6] ?? 0 }
    for (const [at, family] of changes.entries()) {
      const code = slots[family].length === 0 ? 0 : this.#sizes.take(slots[family].length)
      if (code !== null) {
        sizes[family] = code
        continue
      }
      for (const taken of changes.slice(0, at)) this.#sizes.giveBack(slots[taken].length)
      for (const other of FAMILIES) if (!changes.includes(other)) this.#freeCode(slots[other].length)
      return null
    }
    return sizes
  }

  /** The list to which any of its entries led. */
  #remembered(entries: Iterable<string>): ListId | null {
    if (this.#memory.lists.size === 0) return null
    for (const entry of entries) {
      const id = this.#memory.lists.get(entry)
      if (id !== undefined) return id
    }
    return null
  }

  #freeCode(length: number): void {
    if (this.#sizes.giveBack(length)) this.#isCodeFree = true
  }

  /** Its lengths and its number. */
  #letGo({ slots }: EndpointList, key: string): void {
    for (const family of FAMILIES) this.#freeCode(slots[family].length)
    this.#ids.giveBack(key)
  }

  #wantsNothing(uid: Uid): void {
    this.#wantNumbers.delete(uid)
    this.#wantCodes.delete(uid)
  }

  #forget(uid: Uid): void {
    const before = this.services.get(uid)
    if (before === undefined) return
    for (const [key, list] of before.lists) this.#letGo(list, key)
    this.#wantsNothing(uid)
    this.services.delete(uid)
    this.#tell(before, null, [])
  }

  #tell(before: Known | undefined, after: PlannedService | null, problems: readonly Problem[]): void {
    const uid = (after ?? before?.planned)?.uid as Uid
    if (!this.#start.has(uid)) this.#start.set(uid, before)
    this.#changes.set(uid, { before: this.#start.get(uid)?.planned ?? null, after })
    for (const problem of before?.problems ?? []) this.#problems.set(problemKey(problem), { before: problem, after: null })
    for (const problem of problems) this.#problems.set(problemKey(problem), { before: null, after: problem })
  }

  /** Whose list it is now; null: nobody's. */
  withList(id: ListId): PlannedService | null {
    const owner = this.#ids.ownerOf(id)
    return owner === null ? null : (this.services.get(uidOfList(owner))?.planned ?? null)
  }

  /** Whose address and port it is now; null: nobody's. */
  withPort(address: Address, protocol: Protocol, port: number): PlannedService | null {
    const holder = this.#claims.holder(claimKey(address, protocol, port))
    return holder === null ? null : (this.services.get(holder.uid)?.planned ?? null)
  }

  /** Numbers that the kernel may remember clients under: of lists whose clients stay, and until rested() of those whose clients stayed. */
  get withClients(): readonly ListId[] {
    return this.#ids.withClients
  }

  /** Of those the ones that nobody has: they are not given out. */
  get resting(): readonly ListId[] {
    return this.#ids.resting
  }

  /** The kernel remembers nobody under these any more, and there is no list of theirs now whose clients stay: the next step gives them out. */
  rested(ids: Iterable<ListId>): void {
    this.#ids.wake(ids)
  }

  /** Before the first step. */
  remember(memory: ListMemory): void {
    this.#memory = memory
    for (const id of [...memory.lists.values(), ...memory.slots.keys(), ...memory.clients]) this.#ids.rest(id)
  }
}

function proxied(service: Service | undefined): Service | null {
  return service?.proxied === true ? service : null
}

/** What endpoints are on the wire: two that differ in condition only are one target. */
function plain(targets: readonly Target[]): readonly Target[] {
  return targets.map(({ address, port }) => Object.freeze({ address, port }))
}

function listKey(uid: Uid, port: ServicePort, kind: ListKind): string {
  return `${uid}/${port.name}/${port.protocol}/${kind}`
}

/** A UID may hold anything; the other parts hold no slash. */
function uidOfList(key: string): Uid {
  return key.split('/').slice(0, -3).join('/')
}
