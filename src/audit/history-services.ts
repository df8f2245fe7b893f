// Which Service a packet came through: by the list of endpoints that its mark names, or by the address that it called.
//
// Marks may be others' too, and a list's number gets another owner in time: only a list that had the packet's destination as an
// endpoint counts. What is now stands in the plan; but for ClusterIPs, which nothing else leads from, only what was is kept here.
// **Invariant:** a Service is named only if it led to that destination, and no other one did that could be meant.
import { FAMILIES, familyOf, type Address } from '../model/ip.ts'
import type { Changes } from '../model/changes.ts'
import type { Protocol, Uid } from '../model/objects.ts'
import type { ListId, PlannedService } from '../nat/plan.ts'
import { claimKey } from '../nat/virtual.ts'
import type { Moment, Moments, Span } from './moments.ts'
import { Timeline } from './timeline.ts'

/** As records say it. */
export interface ServiceWord {
  readonly uid: Uid
  readonly namespace: string
  readonly name: string
  /** Of its ClusterIP; null where the list is of node ports alone. */
  readonly port: number | null
  readonly clusterIps: readonly Address[]
}

/** What there is now: nat/step.ts has it. */
export interface ServicesNow {
  readonly services: { get(uid: Uid): { readonly planned: PlannedService } | undefined }
  withList(id: ListId): PlannedService | null
  withPort(address: Address, protocol: Protocol, port: number): PlannedService | null
}

export interface Target {
  readonly address: Address
  readonly port: number
}

const WORD_BYTES = 300

export class ServiceHistory {
  readonly #now: ServicesNow
  readonly #words: Timeline<ListId, ServiceWord | null>
  /** Endpoints that left a list. */
  readonly #targets: Timeline<string, ServiceWord>
  readonly #ports: Timeline<string, ServiceWord | null>
  readonly #addresses: Timeline<Address, ServiceWord | null>
  readonly #byClusterIp = new Map<Address, Uid>()

  constructor(moments: Moments, now: ServicesNow) {
    this.#now = now
    this.#words = new Timeline(moments)
    this.#targets = new Timeline(moments)
    this.#ports = new Timeline(moments)
    this.#addresses = new Timeline(moments)
  }

  planned(moment: Moment | null, changes: Changes<Uid, PlannedService>): void {
    // What was stands first: a number or an address may go from one to another in one turn.
    for (const { before, after } of changes.values()) if (before !== null) this.#leave(before, after, moment)
    for (const { before, after } of changes.values()) if (after !== null) this.#enter(before, after, moment)
  }

  /** The Services that may have led to the destination; none where the mark is of no such list. `isNew`: the connection began within the span. */
  byList(id: ListId, target: Target, span: Span, isNew: boolean): readonly ServiceWord[] {
    const now = this.#now.withList(id)
    const left = this.#targets.all(targetKey(id, target)).map(({ value }) => value)
    const led = (word: ServiceWord): boolean => (now?.uid === word.uid && leadsTo(now, id, target)) || left.some(({ uid }) => uid === word.uid)
    const words = this.#words.between(id, now === null ? null : wordOf(now, id), span).filter((word) => word !== null && led(word)) as ServiceWord[]
    if (isNew && words.length > 0) return distinct(words)
    // It may be older than the packet: whoever else had the number with that endpoint may be meant.
    return distinct([...words, ...left.filter(({ uid }) => words.every((word) => word.uid !== uid))])
  }

  /** Who may have had that address and port, or else the address; null among them: nobody. */
  byAddress(address: Address, protocol: Protocol | null, port: number | null, span: Span): readonly (ServiceWord | null)[] {
    const now = protocol === null || port === null ? null : this.#now.withPort(address, protocol, port)
    const key = protocol === null || port === null ? null : claimKey(address, protocol, port)
    const exact = key === null ? [null] : this.#ports.between(key, now === null ? null : atPort(now, port), span)
    if (exact.some((word) => word !== null)) return distinct(exact)
    const owner = this.#now.services.get(this.#byClusterIp.get(address) ?? '')?.planned
    return distinct(this.#addresses.between(address, owner === undefined ? null : atPort(owner, null), span))
  }

  #leave(before: PlannedService, after: PlannedService | null, moment: Moment | null): void {
    const ips = new Set(after?.clusterIps)
    for (const address of before.clusterIps) {
      if (ips.has(address)) continue
      if (this.#byClusterIp.get(address) === before.uid) this.#byClusterIp.delete(address)
      if (moment !== null) this.#addresses.note(address, atPort(before, null), moment, WORD_BYTES)
    }
    if (moment === null) return
    const ports = portsOf(after)
    for (const [key, port] of portsOf(before)) if (!ports.has(key)) this.#ports.note(key, atPort(before, port), moment, WORD_BYTES)
    for (const { id, slots } of before.lists) {
      const list = after?.lists.find((one) => one.id === id)
      const word = wordOf(before, id)
      if (after === null || list === undefined || !sameWord(word, wordOf(after, id))) this.#words.note(id, word, moment, WORD_BYTES)
      for (const family of FAMILIES) {
        if (slots[family] === list?.slots[family]) continue
        const stay = new Set(list?.slots[family].map((one) => targetKey(id, one)))
        for (const key of slots[family].map((one) => targetKey(id, one))) if (!stay.has(key)) this.#targets.note(key, word, moment, WORD_BYTES)
      }
    }
  }

  #enter(before: PlannedService | null, after: PlannedService, moment: Moment | null): void {
    const ips = new Set(before?.clusterIps)
    for (const address of after.clusterIps) {
      this.#byClusterIp.set(address, after.uid)
      if (moment !== null && !ips.has(address)) this.#addresses.note(address, null, moment, 0)
    }
    if (moment === null) return
    const ports = portsOf(before)
    for (const key of portsOf(after).keys()) if (!ports.has(key)) this.#ports.note(key, null, moment, 0)
    for (const { id } of after.lists) if (before?.lists.some((one) => one.id === id) !== true) this.#words.note(id, null, moment, 0)
  }
}

function targetKey(id: ListId, { address, port }: Target): string {
  return `${id} ${address} ${port}`
}

function leadsTo({ lists }: PlannedService, id: ListId, { address, port }: Target): boolean {
  return lists.find((list) => list.id === id)?.slots[familyOf(address)].some((one) => one.address === address && one.port === port) === true
}

function wordOf(service: PlannedService, id: ListId): ServiceWord {
  const leading = service.entries.filter(({ to }) => to === id)
  const own = service.entries.filter(({ address }) => service.clusterIps.includes(address))
  // External addresses have the port of the ClusterIP; a node port is not one that anybody could tell from the mark.
  const entry = leading.find((one) => own.some((other) => other.port === one.port && other.protocol === one.protocol))
  return atPort(service, entry?.port ?? null)
}

function atPort({ uid, namespace, name, clusterIps }: PlannedService, port: number | null): ServiceWord {
  return { uid, namespace, name, port, clusterIps }
}

function portsOf(service: PlannedService | null): ReadonlyMap<string, number> {
  return new Map((service?.entries ?? []).map(({ address, protocol, port }) => [claimKey(address, protocol, port), port]))
}

function distinct<Word extends ServiceWord | null>(words: readonly Word[]): readonly Word[] {
  return words.filter((word, at) => words.findIndex((other) => sameWord(other, word)) === at)
}

function sameWord(a: ServiceWord | null, b: ServiceWord | null): boolean {
  return a === b || (a !== null && b !== null && a.uid === b.uid && a.namespace === b.namespace && a.name === b.name && a.port === b.port && String(a.clusterIps) === String(b.clusterIps))
}
