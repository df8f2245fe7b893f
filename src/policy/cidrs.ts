// ipBlocks -> disjoint ranges of each family: rules 46-52 and 56.
//
// **Invariant:** ranges are sorted, disjoint and not adjacent, so that equal coverage gives equal ranges, and the kernel
// never sees two that overlap. Families never mix (rule 50).
import type { Range, Family } from '../model/ip.ts'
import { FAMILIES } from '../model/ip.ts'
import type { Peer, PolicyRule } from '../model/policy.ts'
import type { Member } from './plan.ts'

export type RangeMember = Extract<Member, { kind: 'range' }>

/** What the rule's ipBlocks cover together, excepts subtracted, IPv4 first. */
export function coveredBy(rule: PolicyRule): RangeMember[] {
  const blocks = rule.peers === 'all' ? [] : rule.peers.filter((p) => p.kind === 'ipBlock')
  return FAMILIES.flatMap((family) => merge(blocks.flatMap((b) => block(b, family))).map((range) => ({ kind: 'range' as const, family, ...range })))
}

/** "except is a slice of CIDRs that should not be included within an IPBlock": of its own block only (rule 46). */
function block(peer: Extract<Peer, { kind: 'ipBlock' }>, family: Family): Range[] {
  if (peer.cidr.family !== family) return []
  const except = merge(peer.except.filter((e) => e.family === family))
  const left: Range[] = []
  let first = peer.cidr.first
  for (const hole of except) {
    if (hole.last < first || hole.first > peer.cidr.last) continue
    if (hole.first > first) left.push({ first, last: hole.first - 1n })
    first = hole.last + 1n
  }
  if (first <= peer.cidr.last) left.push({ first, last: peer.cidr.last })
  return left
}

function merge(ranges: readonly Range[]): Range[] {
  const sorted = [...ranges].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const merged: { first: bigint; last: bigint }[] = []
  for (const range of sorted) {
    const open = merged.at(-1)
    if (open !== undefined && range.first <= open.last + 1n) {
      if (range.last > open.last) open.last = range.last
    } else merged.push({ first: range.first, last: range.last })
  }
  return merged
}

/** Whether one of the ranges, as coveredBy gives them, holds the address. Cost: the logarithm of their number. */
export function covers(ranges: readonly RangeMember[], family: Family, bits: bigint): boolean {
  let [low, high] = [0, ranges.length - 1]
  while (low <= high) {
    const middle = (low + high) >> 1
    const range = ranges[middle] as RangeMember
    if (range.family < family || (range.family === family && range.last < bits)) low = middle + 1
    else if (range.family > family || range.first > bits) high = middle - 1
    else return true
  }
  return false
}

/** What has to be added to and removed from `before` to get `after`. */
export function changedRanges(before: readonly RangeMember[], after: readonly RangeMember[]): { added: RangeMember[]; removed: RangeMember[] } {
  const key = (m: RangeMember): string => `${m.family} ${m.first}-${m.last}`
  const old = new Set(before.map(key))
  const now = new Set(after.map(key))
  return { added: after.filter((m) => !old.has(key(m))), removed: before.filter((m) => !now.has(key(m))) }
}
