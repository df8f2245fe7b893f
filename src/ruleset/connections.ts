// What the table remembers of connections that lost their permission.
//
// cut-flows is written by the agent, one element a connection, as its client sends; both directions are dropped, and keep
// the element alive while there are packets (its timeout exceeds conntrack's longest, 5 days). So a server that goes on
// after conntrack forgot the connection finds no way back in (rules 78, 79, 83; decisions/0006). ICMP errors about it are
// dropped with it, by conntrack's own record of whom they are about (rule 75). restored-flows lets connections of cut-flows
// go on: packets put back what they met, so they stop meeting it before it goes (agent/cut-set.ts). replied is written by
// packets, and read while the agent judges connections of pods in under-review: who is answered right now comes first.
// **Invariant:** elements here are never in the wanted table: the difference leaves them alone (nft/diff.ts).
import { FAMILIES, type Family } from '../model/ip.ts'
import type { Chain, NftSet } from '../nft/objects.ts'
import { cutFlows, NAMES, replied, restoredFlows, underReview } from './names.ts'
import { addressWord } from './words.ts'

const DAY = 86_400
/** nf_conntrack's own default maximum of a large machine. Who is silent goes where they are more (agent/cut-set.ts). */
const MOST_CUTS = 262_144
/** Looked at every few milliseconds. What finds no place is found by the dump. */
const MOST_REPLIED = 65_536
const MOST_UNDER_REVIEW = 1_024
/** Seconds after which they go, should the agent end in between. */
const REPLIED_TIMEOUT = 10
const UNDER_REVIEW_TIMEOUT = 60

/** Of the cut set; two a family in the rules, one the other way round. */
function flow(family: Family, reversed: boolean): string {
  const word = addressWord(family)
  const [from, to] = reversed ? ['d', 's'] : ['s', 'd']
  return `${word} ${from}addr . ${word} ${to}addr . meta l4proto . th ${from}port . th ${to}port`
}

export function connectionSets(): NftSet[] {
  const flags = ['dynamic', 'timeout'] as const
  return FAMILIES.flatMap((family): NftSet[] => [
    {
      kind: 'set',
      name: cutFlows(family),
      key: flow(family, false).split(' . '),
      flags,
      timeout: 6 * DAY,
      size: MOST_CUTS,
      comment: 'connections that lost their permission, as their clients send',
    },
    {
      kind: 'set',
      name: restoredFlows(family),
      key: flow(family, false).split(' . '),
      flags,
      timeout: 6 * DAY,
      size: MOST_CUTS,
      comment: 'those of them that are about to go, as they have it again',
    },
    {
      kind: 'set',
      name: underReview(family),
      key: [`${addressWord(family)} saddr`],
      flags,
      timeout: UNDER_REVIEW_TIMEOUT,
      size: MOST_UNDER_REVIEW,
      comment: 'pods whose connections are being judged',
    },
    {
      kind: 'set',
      name: replied(family),
      key: flow(family, false).split(' . '),
      flags,
      timeout: REPLIED_TIMEOUT,
      size: MOST_REPLIED,
      comment: 'their connections that are answered, as their clients send',
    },
  ])
}

/** In front of everything that lets replies pass. */
export function cutRules(): string[] {
  const flows = FAMILIES.flatMap((family) =>
    [false, true].map((reversed) => {
      const key = flow(family, reversed)
      return `${key} @${cutFlows(family)} ${key} != @${restoredFlows(family)} update @${cutFlows(family)} { ${key} } counter name "${NAMES.cut}" drop`
    }),
  )
  return [...flows, `ct state related jump ${RELATED}`]
}

const RELATED = 'cut-related'

/**
 * The connection that an ICMP error is about, as an element: its entry's source, and who replies (behind DNAT, before SNAT);
 * the other way round where a server's packet made the entry. Either end or any router may have sent the error.
 */
function relatedTo(family: Family, reversed: boolean): string {
  const word = addressWord(family)
  const [client, server] = reversed ? ['reply', 'original'] : ['original', 'reply']
  return `ct ${client} ${word} saddr . ct ${server} ${word} saddr . ct protocol . ct ${client} proto-src . ct ${server} proto-src`
}

/** nft 1.0.6 takes `proto-src` into a key only behind a match of the packet's own protocol, whichever it is. */
export function cutRelated(): Chain {
  const rules = FAMILIES.flatMap((family) =>
    [false, true].map((reversed) => `meta l4proto ${family === 4 ? 'icmp' : 'icmpv6'} ${relatedTo(family, reversed)} @${cutFlows(family)} ${relatedTo(family, reversed)} != @${restoredFlows(family)} counter name "${NAMES.cut}" drop`),
  )
  return { kind: 'chain', name: RELATED, comment: 'ICMP errors about connections that lost their permission', rules }
}

/** Behind those, for replies: who is answered is judged first. */
export const REPLIES: Chain = {
  kind: 'chain',
  name: 'replies',
  comment: 'notes who is answered, of pods whose connections are being judged',
  rules: FAMILIES.flatMap((family) =>
    ['saddr', 'daddr'].map((side) => `${addressWord(family)} ${side} @${underReview(family)} update @${replied(family)} { ${flow(family, true)} }`),
  ),
}
