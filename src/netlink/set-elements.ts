// Elements of nf_tables' sets as messages: keys as the kernel compares them -> batches, and what a dump tells -> keys.
//
// A key has the parts of a set's type one after another, each in network order and padded to 4 bytes.
// **Invariant:** bytes that are no elements end in a NetlinkMessageError.
import { align4, need, NetlinkMessageError, readAttributes, readU16 } from './attributes.ts'
import { DATA_VALUE, ELEM_DATA, ELEM_KEY, ElementBatch, GETSETELEM, LIST_ELEMENTS, NEWSETELEM, numbered, setHeader, type Batch, type SetElement, type SetPlace } from './element-batch.ts'
import { encodeMessage, NLM_F_DUMP, NLM_F_REQUEST, type NetlinkMessage } from './messages.ts'

/** `remove` takes no offence at what is not there (any more); `flush` empties the set and has no keys. */
export interface ElementsChange {
  readonly verb: 'add' | 'remove' | 'flush'
  readonly set: string
  /** One after another, each of `keyLength` bytes, which are a multiple of 4. */
  readonly keys: Uint8Array
  readonly keyLength: number
}

/** An element of a map that was read. */
export interface PlacedElement {
  readonly set: string
  readonly key: Uint8Array
  readonly data: Uint8Array
}

/** struct nfgenmsg: family, version, resource id. */
const GENMSG_LENGTH = 4
const ELEM_EXPIRATION = 5
const ATTRIBUTE = 4

export function encodeBatch(place: SetPlace, changes: readonly ElementsChange[], sequence: number): Batch {
  const batch = new ElementBatch(place)
  for (const { verb, set, keys, keyLength } of changes) {
    if (verb === 'flush') batch.flush(set)
    // Added first, so that each is there to be deleted: DESTROYSETELEM came with Linux 6.3.
    else batch.add(set, keysIn(keys, keyLength))
    if (verb === 'remove') batch.delete(set, keysIn(keys, keyLength))
  }
  return numbered(batch.end(), sequence)
}

/** Takes no offence at what is not there (any more); EEXIST where one leads elsewhere by now. */
export function encodeRemoval(place: SetPlace, elements: readonly PlacedElement[], sequence: number): Batch {
  const batch = new ElementBatch(place)
  for (const [set, own] of Map.groupBy(elements, (one) => one.set)) {
    // As above.
    batch.add(set, own)
    batch.delete(set, own.map(({ key }) => ({ key })))
  }
  return numbered(batch.end(), sequence)
}

function* keysIn(keys: Uint8Array, keyLength: number): Generator<SetElement, void> {
  for (let at = 0; at < keys.length; at += keyLength) yield { key: keys.subarray(at, at + keyLength) }
}

export function elementsDumpRequest(place: SetPlace, set: string, sequence: number): Uint8Array<ArrayBuffer> {
  return encodeMessage({ type: GETSETELEM, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence, port: 0 }, [setHeader(place, set)])
}

export interface HeldElement {
  readonly key: Uint8Array
  /** What a map leads to; null of sets, and where it is a verdict. */
  readonly data: Uint8Array | null
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
  const value = attributes.get(ELEM_DATA)
  const data = (value === undefined ? undefined : readAttributes(value, 0, 'data of an element').get(DATA_VALUE)) ?? null
  const expiration = attributes.get(ELEM_EXPIRATION)
  if (expiration === undefined) return { key, data, expiresIn: null }
  need(expiration, 8, 'expiration of an element')
  return { key, data, expiresIn: Number(new DataView(expiration.buffer, expiration.byteOffset).getBigUint64(0)) }
}
