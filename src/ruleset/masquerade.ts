// The last stage: source NAT, when policy has seen the true source. Of services, of a pod that calls itself, of what leaves.
//
// **Invariant:** between pods and to nodes the pod's address stays; ranges of never-masqueraded are disjoint.
import { FAMILIES, familyOf, type Address, type Cidr, type Family } from '../model/ip.ts'
import type { MasqueradeDelta } from '../nat/masquerade.ts'
import { Intervals } from '../nft/intervals.ts'
import type { Chain, NftSet } from '../nft/objects.ts'
import { hex, type MarkLayout } from './marks.ts'
import { localPods, neverMasqueraded, self } from './names.ts'
import { rangeKey } from './policies.ts'
import type { WantedTable } from './wanted.ts'
import { addressWord } from './words.ts'

export interface MasqueradeOptions {
  /** Null: Services are somebody else's. */
  readonly mark: MarkLayout | null
  /** Whether what leaves the cluster gets the node's address. */
  readonly egress: boolean
  readonly randomFully: boolean
  /** Where ClusterIPs come from. */
  readonly serviceCidrs: readonly Cidr[]
}

export const NO_NAT: MasqueradeOptions = { mark: null, egress: false, randomFully: false, serviceCidrs: [] }

export function masqueradeSets(): NftSet[] {
  return FAMILIES.flatMap((family): NftSet[] => [
    { kind: 'set', name: localPods(family), key: [`${addressWord(family)} saddr`], flags: [], comment: 'addresses of local pods' },
    { kind: 'set', name: neverMasqueraded(family), key: [`${addressWord(family)} daddr`], flags: ['interval'], comment: 'nonMasqueradeCIDRs, pods, nodes' },
  ])
}

/** `sources`: where what leaves comes from; of a family that is missing, the address of its interface. */
export function postrouting(options: MasqueradeOptions, sources: readonly Address[]): Chain {
  const { mark, egress, randomFully } = options
  const masquerade = randomFully ? 'masquerade fully-random' : 'masquerade'
  const leave = (family: Family): string => {
    const word = addressWord(family)
    const source = sources.find((address) => familyOf(address) === family)
    const how = source === undefined ? masquerade : `snat ${word} to ${source}${randomFully ? ' fully-random' : ''}`
    return `${word} saddr @${localPods(family)} ${word} daddr != @${neverMasqueraded(family)} ${how}`
  }
  const services = mark === null ? [] : [
    `ct mark and ${hex(mark.masquerade)} != 0 ${masquerade}`,
    // Hairpin: a pod that reaches itself through a Service would answer itself past us.
    ...FAMILIES.map((f) => `ct status dnat ${addressWord(f)} saddr . ${addressWord(f)} daddr @${self(f)} ${masquerade}`),
  ]
  const base = { type: 'nat', hook: 'postrouting', priority: 'srcnat', policy: 'accept' } as const
  return { kind: 'chain', name: 'nat-postrouting', base, rules: [...services, ...(egress ? FAMILIES.map(leave) : [])] }
}

export class MasqueradeElements {
  readonly #options: MasqueradeOptions
  readonly #table: WantedTable
  readonly #ranges: Readonly<Record<Family, Intervals>> = { 4: new Intervals(), 6: new Intervals() }

  constructor(options: MasqueradeOptions, table: WantedTable) {
    this.#options = options
    this.#table = table
  }

  change({ spared, sources }: MasqueradeDelta): void {
    // Added before removed, so that a range that only changes its holder is not taken out and put in again.
    for (const { source, added } of spared) for (const range of added) this.#edit(range.family, this.#ranges[range.family].add(source, range))
    for (const { source, removed, added } of spared) {
      for (const range of removed) {
        if (!added.some(({ text }) => text === range.text)) this.#edit(range.family, this.#ranges[range.family].remove(source, range))
      }
    }
    if (sources !== null) this.#table.putChain(postrouting(this.#options, sources), [])
  }

  #edit(family: Family, { added, removed }: ReturnType<Intervals['add']>): void {
    for (const { first, last } of removed) this.#table.removeElement(neverMasqueraded(family), rangeKey(family, first, last))
    for (const { first, last } of added) this.#table.addElement(neverMasqueraded(family), { key: rangeKey(family, first, last) })
  }
}
