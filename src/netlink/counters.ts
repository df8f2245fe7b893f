// nf_tables' named counters by netlink: one asked for by name, or all of a table, and what they have counted.
//
// nft lists a whole table for that. **Invariant:** bytes that are no counter end in a NetlinkMessageError.
import { attribute, attributeText, need, NetlinkMessageError, readAttributes, textAttribute } from './attributes.ts'
import { familyHeader, type SetPlace } from './element-batch.ts'
import { encodeMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, type NetlinkMessage } from './messages.ts'

const NFNL_SUBSYS_NFTABLES = 10
const NEWOBJ = (NFNL_SUBSYS_NFTABLES << 8) | 18
const GETOBJ = (NFNL_SUBSYS_NFTABLES << 8) | 19
const GENMSG_LENGTH = 4
const OBJECT = { TABLE: 1, NAME: 2, TYPE: 3, DATA: 4 } as const
const COUNTER_BYTES = 1
const COUNTER_PACKETS = 2
/** NFT_OBJECT_COUNTER, in network order. */
const COUNTER = Uint8Array.of(0, 0, 0, 1)

/** ENOENT where there is no such counter, or no table. */
export function counterRequest(place: SetPlace, name: string, sequence: number): Uint8Array<ArrayBuffer> {
  const parts = [familyHeader(place), textAttribute(OBJECT.TABLE, place.table), textAttribute(OBJECT.NAME, name), attribute(OBJECT.TYPE, COUNTER)]
  return encodeMessage({ type: GETOBJ, flags: NLM_F_REQUEST | NLM_F_ACK, sequence, port: 0 }, parts)
}

/** All counters of the table, one message each. */
export function countersRequest(place: SetPlace, sequence: number): Uint8Array<ArrayBuffer> {
  const parts = [familyHeader(place), textAttribute(OBJECT.TABLE, place.table), attribute(OBJECT.TYPE, COUNTER)]
  return encodeMessage({ type: GETOBJ, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence, port: 0 }, parts)
}

/** Packets. */
export function countedIn(messages: readonly NetlinkMessage[]): number {
  const message = messages.find(({ type }) => type === NEWOBJ)
  if (message === undefined) throw new NetlinkMessageError('counter: the answer has none')
  return decodeCounter(message)?.packets ?? 0
}

export interface CounterReading {
  readonly name: string
  readonly packets: number
  readonly bytes: number
}

/** Null where the message is of another kind. */
export function decodeCounter(message: NetlinkMessage): CounterReading | null {
  if (message.type !== NEWOBJ) return null
  const attributes = readAttributes(message.payload, GENMSG_LENGTH, 'counter')
  const data = attributes.get(OBJECT.DATA)
  const values = data === undefined ? undefined : readAttributes(data, 0, 'counter')
  const packets = values?.get(COUNTER_PACKETS)
  if (packets === undefined) throw new NetlinkMessageError('counter: it does not say how many packets')
  const bytes = values?.get(COUNTER_BYTES)
  return { name: attributeText(attributes, OBJECT.NAME) ?? '', packets: numberIn(packets, 'packets of a counter'), bytes: bytes === undefined ? 0 : numberIn(bytes, 'bytes of a counter') }
}

function numberIn(bytes: Uint8Array, what: string): number {
  need(bytes, 8, what)
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0))
}
