// Attachments of local pods -> elements of the pods' sets and of the verdict maps, by interface, by address or by prefix.
//
// Several pods behind one interface cannot be told apart by it: nothing is opened for them (value `drop`). Nor can pods of
// a bridge with one source prefix: it has a verdict as long as theirs is the same.
// **Invariant:** an interface is in pod-interfaces exactly while some attachment names it, and has a verdict in both maps;
// so has a prefix in bridged-prefixes.
import type { Change } from '../model/changes.ts'
import { FAMILIES, familyOf, type Cidr, type Family } from '../model/ip.ts'
import type { PodUid } from '../model/objects.ts'
import { DIRECTIONS, type Direction } from '../model/policy.ts'
import { podOwner, type Owner } from '../model/owner.ts'
import { bridgesOf, interfacesOf, type Attachment } from '../policy/plan.ts'
import { bridgedPods, bridgedPrefixes, byAddress, byPrefix, droppedByAddress, droppedByInterface, localPods, NAMES, podAddresses, podPrefixes, profileChain, self } from './names.ts'
import { rangeKey } from './policies.ts'
import { droppedBy, type NamedCounters } from './rule-counters.ts'
import { closedPrefixes } from './skeleton.ts'
import type { WantedTable } from './wanted.ts'
import { addressWord } from './words.ts'

interface Behind {
  readonly owner: Owner
  readonly ingress: string
  readonly egress: string
  /** The counters of what it is denied. */
  readonly dropped: Readonly<Record<Direction, string | null>>
}

export class PodElements {
  readonly #behind = new Map<string, Map<PodUid, Behind>>()
  /** By the set of prefixes and its key. */
  readonly #prefixed = new Map<string, Map<PodUid, Behind>>()
  readonly #closed = new Map<PodUid, Attachment>()
  readonly #table: WantedTable
  readonly #counters: NamedCounters

  constructor(table: WantedTable, counters: NamedCounters) {
    this.#table = table
    this.#counters = counters
  }

  /** All of a turn's changes at once: what leaves goes first, so that an address may change its owner. */
  change(changes: Iterable<Change<Attachment>>): void {
    const interfaces = new Set<string>()
    const prefixes = new Map<string, Prefix>()
    const all = [...changes]
    for (const { before: pod, after } of all) {
      if (pod === null) continue
      this.#counters.removePod(pod, after)
      for (const [set, key] of elementsOf(pod)) this.#table.removeElement(set, key)
      for (const name of interfacesOf(pod)) this.#behind.get(name)?.delete(pod.pod)
      for (const prefix of prefixesOf(pod)) this.#prefixed.get(prefix.id)?.delete(pod.pod)
    }
    for (const { after: pod } of all) {
      if (pod === null) continue
      const owner = podOwner(pod.namespace, pod.name)
      this.#counters.putPod(pod, owner)
      for (const [set, key, value] of elementsOf(pod)) this.#table.addElement(set, value === undefined ? { key } : { key, value }, [owner])
      const verdicts = { owner, ingress: verdict(pod, 'ingress'), egress: verdict(pod, 'egress'), dropped: { ingress: droppedBy(pod, 'ingress'), egress: droppedBy(pod, 'egress') } }
      for (const name of interfacesOf(pod)) put(this.#behind, name, pod.pod, verdicts)
      for (const prefix of prefixesOf(pod)) put(this.#prefixed, prefix.id, pod.pod, verdicts)
    }
    for (const { before, after } of all) {
      for (const pod of [before, after]) {
        for (const name of interfacesOf(pod ?? undefined)) interfaces.add(name)
        for (const prefix of pod === null ? [] : prefixesOf(pod)) prefixes.set(prefix.id, prefix)
      }
    }
    for (const name of interfaces) this.#interface(name)
    for (const prefix of prefixes.values()) this.#prefix(prefix)
    if (all.some(({ before, after }) => before?.closed === true || after?.closed === true)) this.#closedPrefixes(all)
  }

  #closedPrefixes(changes: readonly Change<Attachment>[]): void {
    for (const { before } of changes) if (before !== null) this.#closed.delete(before.pod)
    for (const { after } of changes) if (after?.closed === true && bridgesOf(after).length > 0) this.#closed.set(after.pod, after)
    const pods = [...this.#closed.values()]
    const matches = pods.flatMap((pod) =>
      bridgesOf(pod).flatMap((name) =>
        pod.sourcePrefixes.flatMap(({ family, first, last }) => [
          `iifname ${quoted(name)} ${addressWord(family)} saddr ${rangeKey(family, first, last)}`,
          `oifname ${quoted(name)} ${addressWord(family)} daddr ${rangeKey(family, first, last)}`,
        ]),
      ),
    )
    this.#table.putChain(closedPrefixes([...new Set(matches)].sort()), pods.map((pod) => podOwner(pod.namespace, pod.name)))
  }

  #prefix({ id, family, key }: Prefix): void {
    const pods = [...(this.#prefixed.get(id)?.values() ?? [])]
    if (pods.length === 0) {
      this.#prefixed.delete(id)
      for (const set of [bridgedPrefixes(family), ...DIRECTIONS.map((direction) => byPrefix(direction, family))]) this.#table.removeElement(set, key)
      return
    }
    const owners = pods.map((pod) => pod.owner)
    this.#table.addElement(bridgedPrefixes(family), { key }, owners)
    for (const direction of DIRECTIONS) {
      const [only = 'drop', ...others] = new Set(pods.map((pod) => pod[direction]))
      this.#table.addElement(byPrefix(direction, family), { key, value: others.length === 0 ? only : 'drop' }, owners)
    }
  }

  #interface(name: string): void {
    const behind = this.#behind.get(name)
    const key = quoted(name)
    if (behind === undefined || behind.size === 0) {
      this.#behind.delete(name)
      for (const set of [NAMES.podInterfaces, NAMES.egressByInterface, NAMES.ingressByInterface, ...DIRECTIONS.map(droppedByInterface)]) this.#table.removeElement(set, key)
      return
    }
    const [only, ...others] = behind.values()
    const alone = others.length === 0 ? only : undefined
    const owners = [...behind.values()].map((pod) => pod.owner)
    this.#table.addElement(NAMES.podInterfaces, { key }, owners)
    this.#table.addElement(NAMES.egressByInterface, { key, value: alone?.egress ?? 'drop' }, owners)
    this.#table.addElement(NAMES.ingressByInterface, { key, value: alone?.ingress ?? 'drop' }, owners)
    for (const direction of DIRECTIONS) {
      const counter = alone?.dropped[direction] ?? null
      if (counter === null) this.#table.removeElement(droppedByInterface(direction), key)
      else this.#table.addElement(droppedByInterface(direction), { key, value: counter }, owners)
    }
  }
}

function put(map: Map<string, Map<PodUid, Behind>>, key: string, uid: PodUid, pod: Behind): void {
  const behind = map.get(key)
  if (behind === undefined) map.set(key, new Map([[uid, pod]]))
  else behind.set(uid, pod)
}

function verdict(pod: Attachment, direction: Direction): string {
  if (pod.closed) return 'drop'
  const profile = pod[direction]
  return profile === 'open' ? 'accept' : `goto ${profileChain(profile)}`
}

/** An interface's name as an nft string. */
export function quoted(name: string): string {
  return `"${name}"`
}

/** What is one element for each address or prefix; with a value, those of the maps by address. */
function elementsOf(pod: Attachment): [set: string, key: string, value?: string][] {
  const elements: [string, string, string?][] = []
  for (const key of pod.by) {
    const { address } = key
    const family = familyOf(address)
    if (key.via === 'interface') {
      elements.push([podAddresses(family), `${quoted(key.interface)} . ${address}`])
    } else {
      elements.push([bridgedPods(family), address])
      for (const direction of DIRECTIONS) {
        elements.push([byAddress(direction, family), address, verdict(pod, direction)])
        const counter = droppedBy(pod, direction)
        if (counter !== null) elements.push([droppedByAddress(direction, family), address, counter])
      }
    }
    if (!pod.closed) elements.push([self(family), `${address} . ${address}`], [localPods(family), address])
  }
  for (const name of new Set(interfacesOf(pod))) {
    for (const { family, key } of prefixKeys(name, pod.sourcePrefixes)) elements.push([podPrefixes(family), key])
  }
  return elements
}

interface Prefix {
  readonly id: string
  readonly family: Family
  readonly key: string
}

/** What a pod on a bridge may send as besides, by bridge. */
function prefixesOf(pod: Attachment): readonly Prefix[] {
  if (pod.closed) return []
  return bridgesOf(pod).flatMap((name) => prefixKeys(name, pod.sourcePrefixes).map(({ family, key }) => ({ id: `${family} ${key}`, family, key })))
}

/** Keys of (interface, range) for these prefixes, none inside of another. */
export function prefixKeys(name: string, prefixes: readonly Cidr[]): readonly { readonly family: Family; readonly key: string }[] {
  return FAMILIES.flatMap((family) => disjoint(prefixes.filter((p) => p.family === family)).map(({ first, last }) => ({ family, key: `${quoted(name)} . ${rangeKey(family, first, last)}` })))
}

/** Prefixes are nested or apart: the wider ones suffice. */
function disjoint<T extends { first: bigint; last: bigint }>(prefixes: readonly T[]): T[] {
  return prefixes.filter((p, i) => !prefixes.some((q, j) => i !== j && q.first <= p.first && p.last <= q.last && (q.first < p.first || p.last < q.last || j < i)))
}

