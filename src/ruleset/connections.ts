// What the table remembers of connections that lost their permission.
//
// cut-flows is written by the agent, one element a connection, as its client sends; both directions are dropped, and keep
// the element alive while there are packets (its timeout exceeds conntrack's longest, 5 days). So a server that goes on
// after conntrack forgot the connection finds no way back in (rules 78, 79, 83; decisions/0006).
// **Invariant:** elements here are never in the wanted table: the difference leaves them alone (nft/diff.ts).
import { FAMILIES, type Family } from '../model/ip.ts'
import type { NftSet } from '../nft/objects.ts'
import { cutFlows, NAMES } from './names.ts'
import { addressWord } from './words.ts'

const DAY = 86_400
/** nf_conntrack's own default maximum of a large machine. */
const MOST_CUTS = 262_144

/** Of the cut set; two a family in the rules, one the other way round. */
function flow(family: Family, reversed: boolean): string {
  const word = addressWord(family)
  const [from, to] = reversed ? ['d', 's'] : ['s', 'd']
  return `${word} ${from}addr . ${word} ${to}addr . meta l4proto . th ${from}port . th ${to}port`
}

export function connectionSets(): NftSet[] {
  const flags = ['dynamic', 'timeout'] as const
  return FAMILIES.map((family): NftSet => ({
    kind: 'set',
    name: cutFlows(family),
    key: flow(family, false).split(' . '),
    flags,
    timeout: 6 * DAY,
    size: MOST_CUTS,
    comment: 'connections that lost their permission, as their clients send',
  }))
}

/** In front of everything that lets replies pass. */
export function cutRules(): string[] {
  return FAMILIES.flatMap((family) =>
    [false, true].map((reversed) => {
      const key = flow(family, reversed)
      return `${key} @${cutFlows(family)} update @${cutFlows(family)} { ${key} } counter name "${NAMES.cut}" drop`
    }),
  )
}
