// Elements of nf_tables' sets as messages: keys as the kernel compares them -> batches, and what a dump tells -> keys.
//
//   BATCH_BEGIN, NEWSETELEM or DELSETELEM ..., BATCH_END: all of it or nothing
//
// A key has the parts of a set's type one after another, each in network order and padded to 4 bytes.
// **Invariant:** a batch is answered by one acknowledgement behind every error: of its last element message.
import { align4, joined, need, NetlinkMessageError, readAttributes, readU16, textAttribute } from './attributes.ts'
import { encodeMessage, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, type NetlinkMessage } from './messages.ts'

/** `remove` takes no offence at what is not there (any more); `flush` empties the set and has no keys. */
export interface ElementsChange {
  readonly verb: 'add' | 'remove' | 'flush'
  readonly set: string
  /** One after another, each of `keyLength` bytes, which are a multiple of 4. */
  readonly keys: Uint8Array
  readonly keyLength: number
}

const NFNL_SUBSYS_NFTABLES = 10
const BATCH_BEGIN = 0x10
const BATCH_END = 0x11
const NEWSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 12
const GETSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 13
const DELSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 14
/** struct nfgenmsg: family, version, resource id. */
const GENMSG_LENGTH = 4
const FAMILY_NUMBERS = { inet: 1, bridge: 7 } as const

const LIST_TABLE = 1
const LIST_SET = 2
const LIST_ELEMENTS = 3
const LIST_ELEM = 1
const ELEM_KEY = 1
const ELEM_EXPIRATION = 5
const DATA_VALUE = 1
const NLA_F_NESTED = 0x8000
const ATTRIBUTE = 4
/** An attribute's length has 16 bits. */
const MOST_LIST_BYTES = 0xffff - ATTRIBUTE

export interface SetPlace {
  readonly family: keyof typeof FAMILY_NUMBERS
  readonly table: string
}

/** One datagram, whose messages are numbered from `first` on; behind all errors `last` is answered, the last of a change. */
export interface Batch {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly first: number
  readonly last: number
}

export function encodeBatch({ family, table }: SetPlace, changes: readonly ElementsChange[], sequence: number): Batch {
  const header = Uint8Array.of(FAMILY_NUMBERS[family], 0, 0, 0)
  const contents: { readonly type: number; readonly set: string; readonly list: Uint8Array | null }[] = []
  for (const { verb, set, keys, keyLength } of changes) {
    if (verb === 'flush') contents.push({ type: DELSETELEM, set, list: null })
    // Added first, so that each is there to be deleted: DESTROYSETELEM came with Linux 6.3.
    else for (const type of verb === 'add' ? [NEWSETELEM] : [NEWSETELEM, DELSETELEM]) for (const list of elementLists(keys, keyLength)) contents.push({ type, set, list })
  }
  const batch = Uint8Array.of(0, 0, 0, NFNL_SUBSYS_NFTABLES)
  const messages = [encodeMessage({ type: BATCH_BEGIN, flags: NLM_F_REQUEST, sequence, port: 0 }, [batch])]
  contents.forEach(({ type, set, list }, i) => {
    const flags = NLM_F_REQUEST | (type === NEWSETELEM ? NLM_F_CREATE : 0) | (i === contents.length - 1 ? NLM_F_ACK : 0)
    const parts = [header, textAttribute(LIST_TABLE, table), textAttribute(LIST_SET, set), ...(list === null ? [] : [list])]
    messages.push(encodeMessage({ type, flags, sequence: sequence + i + 1, port: 0 }, parts))
  })
  messages.push(encodeMessage({ type: BATCH_END, flags: NLM_F_REQUEST, sequence: sequence + contents.length + 1, port: 0 }, [batch]))
  return { bytes: joined(messages), first: sequence, last: sequence + contents.length }
}

/** The attributes LIST_ELEMENTS, as many as it takes. Written by hand: there are thousands, and each is the same but for its key. */
function elementLists(keys: Uint8Array, keyLength: number): readonly Uint8Array[] {
  const elementLength = keyLength + 3 * ATTRIBUTE
  const most = Math.floor(MOST_LIST_BYTES / elementLength)
  const lists: Uint8Array[] = []
  for (let first = 0; first * keyLength < keys.length; first += most) {
    const count = Math.min(most, keys.length / keyLength - first)
    const bytes = new Uint8Array(ATTRIBUTE + count * elementLength)
    const view = new DataView(bytes.buffer)
    const write = (at: number, length: number, type: number): void => {
      view.setUint16(at, length, true)
      view.setUint16(at + 2, type, true)
    }
    write(0, bytes.length, LIST_ELEMENTS | NLA_F_NESTED)
    for (let i = 0; i < count; i++) {
      const at = ATTRIBUTE + i * elementLength
      write(at, elementLength, LIST_ELEM | NLA_F_NESTED)
      write(at + ATTRIBUTE, elementLength - ATTRIBUTE, ELEM_KEY | NLA_F_NESTED)
      write(at + 2 * ATTRIBUTE, ATTRIBUTE + keyLength, DATA_VALUE)
      bytes.set(keys.subarray((first + i) * keyLength, (first + i + 1) * keyLength), at + 3 * ATTRIBUTE)
    }
    lists.push(bytes)
  }
  return lists
}

export function elementsDumpRequest({ family, table }: SetPlace, set: string, sequence: number): Uint8Array<ArrayBuffer> {
  const header = Uint8Array.of(FAMILY_NUMBERS[family], 0, 0, 0)
  return encodeMessage({ type: GETSETELEM, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence, port: 0 }, [header, textAttribute(LIST_TABLE, table), textAttribute(LIST_SET, set)])
}

export interface HeldElement {
  readonly key: Uint8Array
  /** Milliseconds until it goes by itself; null where it stays. */
  readonly expiresIn: number | null
}

/** The elements in one message of a dump; null where it is of another kind. Throws NetlinkMessageError. */
export function decodeElements(message: NetlinkMessage, keyLength: number): readonly HeldElement[] | null {
  if (message.type !== NEWSETELEM) return null
  const list = readAttributes(message.payload, GENMSG_LENGTH, 'elements').get(LIST_ELEMENTS)
  const elements: HeldElement[] = []
  // A list: all of one type, of which readAttributes() would keep the last.
  for (let at = 0; list !== undefined && at < list.length; ) {
    const length = list.length - at < ATTRIBUTE ? 0 : readU16(list, at, 'elements')
    if (length < ATTRIBUTE || length > list.length - at) throw new NetlinkMessageError(`elements: one says ${length} bytes where ${ATTRIBUTE} to ${list.length - at} are possible`)
    elements.push(decodeElement(list.subarray(at + ATTRIBUTE, at + length), keyLength))
    at += align4(length)
  }
  return elements
}

function decodeElement(bytes: Uint8Array, keyLength: number): HeldElement {
  const attributes = readAttributes(bytes, 0, 'element')
  const nested = attributes.get(ELEM_KEY)
  const key = nested === undefined ? undefined : readAttributes(nested, 0, 'key of an element').get(DATA_VALUE)
  if (key?.length !== keyLength) throw new NetlinkMessageError(`element: a key of ${key?.length ?? 0} bytes where ${keyLength} were expected`)
  const expiration = attributes.get(ELEM_EXPIRATION)
  if (expiration === undefined) return { key, expiresIn: null }
  need(expiration, 8, 'expiration of an element')
  return { key, expiresIn: Number(new DataView(expiration.buffer, expiration.byteOffset).getBigUint64(0)) }
}
