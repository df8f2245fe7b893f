// Unions: one set in place of many, with its members counted by source.
//
// Addresses and pairs are counted one by one; where CIDRs are among the sources, ranges are merged into disjoint ones.
// **Invariant:** a member is in the kernel's set exactly while at least one source holds it.
import { toBits, type Family, type Range } from '../model/ip.ts'
import { Intervals } from '../nft/intervals.ts'
import type { Member, PeerSet, UnionDelta } from '../policy/plan.ts'
import { peerSet } from './names.ts'
import { familyOfMember, memberKey, rangeKey } from './policies.ts'
import type { WantedTable } from './wanted.ts'

type Union = Extract<PeerSet, { kind: 'union' }>

export class UnionElements {
  readonly #union: Union
  readonly #table: WantedTable
  readonly #sources = new Map<string, Set<string>>()
  readonly #ranges: Readonly<Record<Family, Intervals>> = { 4: new Intervals(), 6: new Intervals() }

  constructor(union: Union, table: WantedTable) {
    this.#union = union
    this.#table = table
  }

  change(delta: UnionDelta): void {
    for (const member of delta.removed) this.#remove(delta.source, member)
    for (const member of delta.added) this.#add(delta.source, member)
  }

  #add(source: string, member: Member): void {
    if (this.#union.holds === 'ranges') return this.#edit(familyOfMember(member), this.#ranges[familyOfMember(member)].add(source, rangeOf(member)))
    const key = memberKey(member)
    const sources = this.#sources.get(key)
    if (sources !== undefined) sources.add(source)
    else {
      this.#sources.set(key, new Set([source]))
      this.#table.addElement(peerSet(this.#union, familyOfMember(member)), { key })
    }
  }

  #remove(source: string, member: Member): void {
    if (this.#union.holds === 'ranges') return this.#edit(familyOfMember(member), this.#ranges[familyOfMember(member)].remove(source, rangeOf(member)))
    const key = memberKey(member)
    const sources = this.#sources.get(key)
    sources?.delete(source)
    if (sources?.size !== 0) return
    this.#sources.delete(key)
    this.#table.removeElement(peerSet(this.#union, familyOfMember(member)), key)
  }

  #edit(family: Family, delta: { readonly added: readonly Range[]; readonly removed: readonly Range[] }): void {
    const set = peerSet(this.#union, family)
    for (const range of delta.removed) this.#table.removeElement(set, rangeKey(family, range.first, range.last))
    for (const range of delta.added) this.#table.addElement(set, { key: rangeKey(family, range.first, range.last) })
  }
}

function rangeOf(member: Member): Range {
  if (member.kind === 'range') return { first: member.first, last: member.last }
  const bits = toBits(member.address)
  return { first: bits, last: bits }
}

