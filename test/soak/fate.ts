// Judges what became of one packet by the states that were possible on its way: the source's node, then the destination's.
//
// Each node judges its own direction, and the two may be at different states: a packet must arrive where every possible
// state of both allows it, and must not where every possible state of one of them denies it. A reply is judged as its
// connection's first packet is, and may go on for CUT_MS after the permission is gone (rule 79).
// **Invariant:** silence is never taken for a denial, nor an arrival for a permission, where some possible state says otherwise.
import type { OracleVerdict } from '../support/oracle.ts'
import type { Timeline, Window } from './timeline.ts'

export interface SentPacket {
  /** Of the connection's client and server, whichever of them sent. */
  readonly fromNode: string
  readonly toNode: string
  readonly sentAt: number
  /** Null where it did not arrive. */
  readonly arrivedAt: number | null
  readonly isReply?: boolean
}

/** `open`: either fate was right. `exempt`: a foreign change was in force on its way. */
export type Fate = 'right' | 'open' | 'exempt' | 'leaked' | 'lost'

export interface Judged {
  readonly fate: Fate
  /** What was possible at the source's and at the destination's node. */
  readonly egress: Window
  readonly ingress: Window
}

/** A packet that did not arrive was judged within this time, or dropped by nobody whom we test. */
export const ON_ITS_WAY_MS = 1_000
/** Replies of a connection that lost its permission end within this, and its packets flow again within this (rules 78, 79). */
export const CUT_MS = 200
/** Replies flow again once the client said something since: it does every 300 ms. */
const ASKED_AGAIN_MS = 1_500

/** `verdictIn`: what the oracle says in the state of that number of the packet, or of the first one of its connection. */
export function judgeFate(timeline: Timeline, packet: SentPacket, verdictIn: (state: number) => OracleVerdict): Judged {
  const { fromNode, toNode, sentAt, arrivedAt, isReply = false } = packet
  const after = arrivedAt === null ? (isReply ? ASKED_AGAIN_MS : CUT_MS) : isReply ? CUT_MS : 0
  const until = arrivedAt ?? sentAt + ON_ITS_WAY_MS
  const [egress, ingress] = [timeline.window(fromNode, sentAt, until, after), timeline.window(toNode, sentAt, until, after)]
  const denials = (window: Window, side: keyof OracleVerdict): readonly boolean[] =>
    Array.from({ length: window.last - window.first + 1 }, (_, i) => verdictIn(window.first + i)[side] === 'deny')
  const stages = [denials(egress, 'egress'), denials(ingress, 'ingress')]
  const fate = (): Fate => {
    if ([fromNode, toNode].some((node) => timeline.isExempt(node, sentAt - after, until))) return 'exempt'
    if (stages.some((stage) => stage.every(Boolean))) return arrivedAt === null ? 'right' : 'leaked'
    if (stages.some((stage) => stage.some(Boolean))) return 'open'
    return arrivedAt === null ? 'lost' : 'right'
  }
  return { fate: fate(), egress, ingress }
}
