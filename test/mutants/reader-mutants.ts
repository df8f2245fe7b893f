// Planted bugs of the reader of the kernel's log: what a packet says, what is one flow, what counts as lost.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const READER_MUTANTS: readonly Mutant[] = [
  { title: 'audit reader: a bridge is told, and not its port', file: 'audit/aggregate.ts', search: 'packet.inPort || packet.inInterface', replace: 'packet.inInterface', caughtBy: 'auditAggregate' },
  { title: 'audit reader: what two interfaces bring is one flow', file: 'audit/aggregate.ts', search: 'put32(key, 16, packet.outPort || packet.outInterface)', replace: '', caughtBy: 'auditAggregate' },
  { title: 'audit reader: marks are not told apart', file: 'audit/aggregate.ts', search: 'put32(key, 8, packet.mark)', replace: 'put32(key, 8, 0)', caughtBy: 'auditAggregate' },
  { title: 'audit reader: what was told is told again', file: 'audit/aggregate.ts', search: '    entry.count = 0\n', replace: '', caughtBy: 'auditAggregate' },
  { title: 'audit reader: a cut loses what was counted', file: 'audit/aggregate.ts', search: 'if (entry.isFresh || entry.count === 0) continue', replace: 'if (entry.count >= 0) continue', caughtBy: 'auditAggregate' },
  { title: 'audit reader: a cut tells new flows twice', file: 'audit/aggregate.ts', search: 'if (entry.isFresh || entry.count === 0) continue', replace: 'if (entry.count === 0) continue', caughtBy: 'auditAggregate' },
  { title: 'audit reader: a cut is of senders only', file: 'audit/aggregate.ts', search: ' && !addresses.has(key.slice(middle, middle + width))', replace: '', caughtBy: 'auditAggregate' },
  { title: 'audit reader: what finds no room is not counted', file: 'audit/aggregate.ts', search: "return this.#losses.add('queue', 1, time, time)", replace: 'return', caughtBy: 'auditAggregate' },
  { title: 'audit reader: there is room without end', file: 'audit/aggregate.ts', search: 'if (this.#entries.size >= this.#options.mostKeys && !this.#makeRoom())', replace: 'if (this.#entries.size < 0)', caughtBy: 'auditAggregate' },
  { title: 'audit reader: a gap before the first packet is none', file: 'audit/losses.ts', search: 'if (lost > 0) this.add', replace: 'if (lost > 0 && this.#before !== null) this.add', caughtBy: 'auditAggregate' },
  { title: 'audit reader: losses are told with every batch', file: 'audit/losses.ts', search: '(!all && now - loss.toldAt < LEAST_MS)', replace: 'now < 0 * LEAST_MS', caughtBy: 'auditAggregate' },
  { title: 'audit reader: a later fragment has ports', file: 'audit/packet.ts', search: '|| offset !== 0) return', replace: ') return', caughtBy: 'auditPacket' },
  { title: 'audit reader: a later fragment of IPv6 has ports', file: 'audit/packet.ts', search: '& 0xfff8) !== 0) return', replace: '& 0) !== 0) return', caughtBy: 'auditPacket' },
  { title: 'audit reader: options of IPv4 are ports', file: 'audit/packet.ts', search: 'readTransport(bytes, at + header, end, fields)', replace: 'readTransport(bytes, at + IPV4_HEADER, end, fields)', caughtBy: 'auditPacket' },
  { title: 'audit reader: an authentication header counts by eights', file: 'audit/packet.ts', search: '(says + 2) * 4', replace: '(says + 1) * 8', caughtBy: 'auditPacket' },
  { title: 'audit reader: what was cut off is read', file: 'audit/packet.ts', search: 'if (at + 4 > end) return\n    fields.kind', replace: 'fields.kind', caughtBy: 'auditPacket' },
]
