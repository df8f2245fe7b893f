// Attachments of local pods -> elements of the pods' sets and of the verdict maps, by interface or by address.
//
// Several pods behind one interface cannot be told apart by it: nothing is opened for them (value `drop`).
// **Invariant:** an interface is in pod-interfaces exactly while some attachment names it, and has a verdict in both maps.
import type { Change } from '../model/changes.ts'
import { FAMILIES, familyOf } from '../model/ip.ts'
import type { PodUid } from '../model/objects.ts'
import { DIRECTIONS } from '../model/policy.ts'
import { podOwner, type Owner } from '../model/owner.ts'
import { interfacesOf, type Attachment, type ProfileId } from '../policy/plan.ts'
import { bridgedPods, byAddress, NAMES, podAddresses, podPrefixes, profileChain, self } from './names.ts'
import { rangeKey } from './policies.ts'
import type { WantedTable } from './wanted.ts'

interface Behind {
  readonly owner: Owner
  readonly ingress: string
  readonly egress: string
}

export class PodElements {
  readonly #behind = new Map<string, Map<PodUid, Behind>>()
  readonly #table: WantedTable

  constructor(table: WantedTable) {
    this.#table = table
  }

  /** All of a turn's changes at once: what leaves goes first, so that an address may change its owner. */
  change(changes: Iterable<Change<Attachment>>): void {
    const touched = new Set<string>()
    const all = [...changes]
    for (const { before } of all) if (before !== null) this.#remove(before, touched)
    for (const { after } of all) if (after !== null) this.#add(after, touched)
    for (const name of touched) this.#interface(name)
  }

  #remove(pod: Attachment, touched: Set<string>): void {
    for (const [set, key] of elementsOf(pod)) this.#table.removeElement(set, key)
    for (const name of interfacesOf(pod)) {
      this.#behind.get(name)?.delete(pod.pod)
      touched.add(name)
    }
  }

  #add(pod: Attachment, touched: Set<string>): void {
    const owner = podOwner(pod.namespace, pod.name)
    for (const [set, key, value] of elementsOf(pod)) this.#table.addElement(set, value === undefined ? { key } : { key, value }, [owner])
    const verdicts = { owner, ingress: verdict(pod.ingress), egress: verdict(pod.egress) }
    for (const name of interfacesOf(pod)) {
      const behind = this.#behind.get(name)
      if (behind === undefined) this.#behind.set(name, new Map([[pod.pod, verdicts]]))
      else behind.set(pod.pod, verdicts)
      touched.add(name)
    }
  }

  #interface(name: string): void {
    const behind = this.#behind.get(name)
    const key = quoted(name)
    if (behind === undefined || behind.size === 0) {
      this.#behind.delete(name)
      for (const set of [NAMES.podInterfaces, NAMES.egressByInterface, NAMES.ingressByInterface]) this.#table.removeElement(set, key)
      return
    }
    const [only, ...others] = behind.values()
    const alone = others.length === 0 ? only : undefined
    const owners = [...behind.values()].map((pod) => pod.owner)
    this.#table.addElement(NAMES.podInterfaces, { key }, owners)
    this.#table.addElement(NAMES.egressByInterface, { key, value: alone?.egress ?? 'drop' }, owners)
    this.#table.addElement(NAMES.ingressByInterface, { key, value: alone?.ingress ?? 'drop' }, owners)
  }
}

function verdict(profile: ProfileId | 'open'): string {
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
      for (const direction of DIRECTIONS) elements.push([byAddress(direction, family), address, verdict(pod[direction])])
    }
    elements.push([self(family), `${address} . ${address}`])
  }
  for (const name of new Set(interfacesOf(pod))) {
    for (const family of FAMILIES) {
      for (const { first, last } of disjoint(pod.sourcePrefixes.filter((p) => p.family === family))) {
        elements.push([podPrefixes(family), `${quoted(name)} . ${rangeKey(family, first, last)}`])
      }
    }
  }
  return elements
}

/** Prefixes are nested or apart: the wider ones suffice. */
function disjoint<T extends { first: bigint; last: bigint }>(prefixes: readonly T[]): T[] {
  return prefixes.filter((p, i) => !prefixes.some((q, j) => i !== j && q.first <= p.first && p.last <= q.last && (q.first < p.first || p.last < q.last || j < i)))
}

