// Judges what became of one packet by the states that were possible on its way: the source's node, then the destination's.
//
// Each node judges its own direction, and the two may be at different states: a packet must arrive where every possible
// state of both allows it, and must not where every possible state of one of them denies it.
// **Invariant:** silence is never taken for a denial, nor an arrival for a permission, where some possible state says otherwise.
import type { OracleVerdict } from '../support/oracle.ts'
import type { Timeline, Window } from './timeline.ts'

export interface SentPacket {
  readonly fromNode: string
  readonly toNode: string
  readonly sentAt: number
  /** Null where it did not arrive. */
  readonly arrivedAt: number | null
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
const ON_ITS_WAY_MS = 1_000

/** `verdictIn`: what the oracle says of the packet in the state of that number. */
export function judgeFate(timeline: Timeline, packet: SentPacket, verdictIn: (state: number) => OracleVerdict): Judged {
  const { fromNode, toNode, sentAt, arrivedAt } = packet
  const until = arrivedAt ?? sentAt + ON_ITS_WAY_MS
  const [egress, ingress] = [timeline.window(fromNode, sentAt, until), timeline.window(toNode, sentAt, until)]
  const denials = (window: Window, side: keyof OracleVerdict): readonly boolean[] =>
    Array.from({ length: window.last - window.first + 1 }, (_, i) => verdictIn(window.first + i)[side] === 'deny')
  const stages = [denials(egress, 'egress'), denials(ingress, 'ingress')]
  const fate = (): Fate => {
    if (timeline.isExempt(fromNode, sentAt, until) || timeline.isExempt(toNode, sentAt, until)) return 'exempt'
    if (stages.some((stage) => stage.every(Boolean))) return arrivedAt === null ? 'right' : 'leaked'
    if (stages.some((stage) => stage.some(Boolean))) return 'open'
    return arrivedAt === null ? 'lost' : 'right'
  }
  return { fate: fate(), egress, ingress }
}
