// What the table remembers of connections: those that were cut, and who was answered on which port.
//
// cut-flows is written by the agent, one element a connection, as its client sends; both directions are dropped, and keep
// the element alive while there are packets (its timeout exceeds conntrack's longest, 5 days). So a server that goes on
// after conntrack forgot the connection finds no way back in.
// answered is written by packets. Where conntrack forgets a connection that still lives, the server's next packet makes an
// entry in reverse, and the client's packets would pass as replies. Whoever was answered on a port is its client: what it
// sends there is judged, whichever direction the entry says (rule 83; decisions/0006).
// **Invariant:** elements here are never in the wanted table: the difference leaves them alone (nft/diff.ts).
import { FAMILIES, type Family } from '../model/ip.ts'
import type { Chain, NftSet } from '../nft/objects.ts'
import { answered, cutFlows, NAMES } from './names.ts'
import { addressWord } from './words.ts'

const DAY = 86_400
/** nf_conntrack's own default maximum of a large machine. */
const MOST_CUTS = 262_144
const MOST_ANSWERED = 131_072

/** Of the cut set; two a family in the rules, one the other way round. */
function flow(family: Family, reversed: boolean): string {
  const word = addressWord(family)
  const [from, to] = reversed ? ['d', 's'] : ['s', 'd']
  return `${word} ${from}addr . ${word} ${to}addr . meta l4proto . th ${from}port . th ${to}port`
}

/** (server, port, client), in a packet from the server or, reversed, to it. */
function answer(family: Family, reversed: boolean): string {
  const word = addressWord(family)
  const [from, to] = reversed ? ['d', 's'] : ['s', 'd']
  return `${word} ${from}addr . meta l4proto . th ${from}port . ${word} ${to}addr`
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
      name: answered(family),
      key: answer(family, false).split(' . '),
      flags,
      timeout: DAY,
      size: MOST_ANSWERED,
      comment: 'server, port, client: who was answered on which port',
    },
  ])
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

/** A reply that is no client's packet in a connection that was picked up in reverse. */
export function isAnAnswer(family: Family): string {
  return `ct direction reply ${answer(family, true)} != @${answered(family)}`
}

export const ANSWERS = 'ct direction reply jump note-answers'

/** In the first stage only, which every forwarded packet passes. Returns where the packet is a client's. */
export const NOTE_ANSWERS: Chain = {
  kind: 'chain',
  name: 'note-answers',
  comment: 'replies pass, and who was answered is remembered',
  rules: [
    ...FAMILIES.map((family) => `${answer(family, true)} @${answered(family)} return`),
    ...FAMILIES.map((family) => {
      const key = answer(family, false)
      return `meta l4proto { tcp, udp, sctp } ${key} != @${answered(family)} update @${answered(family)} { ${key} }`
    }),
    'accept',
  ],
}
