// A record as one line for people, the form of `picket observe` where no other is asked for:
//
//   12:00:01.123 shop/web-6d(web):57050 -> pay/api-5f:80 TCP SYN DROPPED ingress isolated-by pay/default-deny (+3) nearest pay/allow-web: port 80 not in [8080] x12
//
// **Invariant:** one record, one line; without the ink's escapes there is no character in it that a terminal obeys.
import type { AuditRecord, FlowRecord } from './record.ts'
import { clockOf, destinationOf, lossOf, protocolOf, remarksOf, safe, serviceOf, sourceOf, whyOf } from './words.ts'

/** Puts escapes for a colour around a text, or none. */
export type Ink = (ink: 'good' | 'bad' | 'faint' | 'note', text: string) => string

export const NO_INK: Ink = (_, text) => text

export function compactLine(record: AuditRecord, ink: Ink): string {
  const time = ink('faint', clockOf(record.time))
  switch (record.type) {
    case 'verdict':
      return `${time} ${verdictText(record, ink)}`
    case 'lost':
      return `${time} ${ink('note', lossOf(record))} on ${safe(record.node)}, ${clockOf(record.first)} to ${clockOf(record.last)}`
    case 'agent':
      return `${time} ${ink('note', `agent ${safe(record.event)}`)} on ${safe(record.node)}: ${safe(record.message)}`
  }
}

function verdictText(record: FlowRecord, ink: Ink): string {
  const { verdict, direction, is_reply: isReply, count } = record
  const service = serviceOf(record)
  return [
    sourceOf(record), '->', destinationOf(record),
    ...(service === null ? [] : [`via ${service}`]),
    protocolOf(record),
    ink(verdict === 'DROPPED' ? 'bad' : 'good', safe(verdict)),
    ...(direction === null ? [] : [safe(direction)]),
    ...(isReply ? ['reply'] : []),
    whyOf(record),
    ...remarksOf(record).map((remark) => ink('note', remark)),
    ...(count === 1 ? [] : [ink('faint', `x${count}`)]),
  ].join(' ')
}
