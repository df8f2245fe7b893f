// Changes of nf_tables' elements, and of the counters that they lead to -> one batch: all of it or nothing.
//
//   BATCH_BEGIN (the generation that it is for), NEWSETELEM, DELSETELEM, NEWOBJ or DELOBJ ..., BATCH_END
//
// Who sends it, and when, is another's business: its messages get their numbers afterwards.
// **Invariant:** a batch is answered by one acknowledgement behind every error: of its last message that changes something.
import { align4, textAttribute } from './attributes.ts'
import { MessageWriter } from './message-writer.ts'
import { HEADER_LENGTH, NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST } from './messages.ts'

const NFNL_SUBSYS_NFTABLES = 10
const BATCH_BEGIN = 0x10
const BATCH_END = 0x11
const BATCH_GENID = 1
export const NEWSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 12
export const GETSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 13
const DELSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 14
const NEWOBJ = (NFNL_SUBSYS_NFTABLES << 8) | 18
const DELOBJ = (NFNL_SUBSYS_NFTABLES << 8) | 20
/** The first byte of struct nfgenmsg. */
const FAMILY_NUMBERS = { inet: 1, bridge: 7 } as const

const LIST_TABLE = 1
const LIST_SET = 2
export const LIST_ELEMENTS = 3
const LIST_ELEM = 1
export const ELEM_KEY = 1
export const ELEM_DATA = 2
const ELEM_FLAGS = 3
const ELEM_OBJREF = 9
const ELEM_KEY_END = 10
export const DATA_VALUE = 1
const DATA_VERDICT = 2
const VERDICT_CODE = 1
const VERDICT_CHAIN = 2
const ELEM_INTERVAL_END = 1
const OBJ_TABLE = 1
const OBJ_NAME = 2
const OBJ_TYPE = 3
const OBJ_DATA = 4
/** NFT_OBJECT_COUNTER */
const COUNTER = 1
const ATTRIBUTE = 4
/** An attribute's length has 16 bits. */
const MOST_ATTRIBUTE_BYTES = 0xffff
/** Behind BATCH_BEGIN's header, nfgenmsg and the attribute's own. */
const GENERATION_AT = HEADER_LENGTH + 2 * ATTRIBUTE

/** linux/netfilter.h and nf_tables.h. */
const VERDICTS = { drop: 0, accept: 1, continue: -1, jump: -3, goto: -4, return: -5 } as const

export interface SetPlace {
  readonly family: keyof typeof FAMILY_NUMBERS
  readonly table: string
}

export interface SetElement {
  readonly key: Uint8Array
  /** Of sets with concatenated intervals. */
  readonly keyEnd?: Uint8Array
  /** It ends the interval before it, in sets with intervals of a single part. */
  readonly isEnd?: boolean
  readonly data?: Uint8Array
  readonly verdict?: { readonly word: keyof typeof VERDICTS; readonly chain: string | null }
  /** The counter that it leads to. */
  readonly counter?: string
}

export interface UnnumberedBatch {
  /** Messages are numbered from 0 on. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Of the messages between begin and end: the last one's number. */
  readonly count: number
}

/** One datagram, whose messages are numbered from `first` on; behind all errors `last` is answered, the last of a change. */
export interface Batch {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly first: number
  readonly last: number
}

export class ElementBatch {
  readonly #place: SetPlace
  readonly #writer = new MessageWriter()
  /** How many messages there are between begin and end. */
  #messages = 0
  #lastAt = 0

  constructor(place: SetPlace) {
    this.#place = place
    const at = this.#writer.message(BATCH_BEGIN, NLM_F_REQUEST, 0)
    this.#writer.raw(Uint8Array.of(0, 0, 0, NFNL_SUBSYS_NFTABLES))
    this.#writer.numberAttribute(BATCH_GENID, 0)
    this.#writer.closeMessage(at)
  }

  /** One that is there already is an error only where its data is another. */
  add(set: string, elements: Iterable<SetElement>): void {
    this.#elements(NEWSETELEM, NLM_F_REQUEST | NLM_F_CREATE, set, elements)
  }

  /** One that is not there is an error. */
  delete(set: string, elements: Iterable<SetElement>): void {
    this.#elements(DELSETELEM, NLM_F_REQUEST, set, elements)
  }

  flush(set: string): void {
    this.#writer.closeMessage(this.#begin(DELSETELEM, NLM_F_REQUEST, setHeader(this.#place, set)))
  }

  end(): UnnumberedBatch {
    if (this.#messages > 0) this.#writer.flag(this.#lastAt, NLM_F_ACK)
    const at = this.#writer.message(BATCH_END, NLM_F_REQUEST, this.#messages + 1)
    this.#writer.raw(Uint8Array.of(0, 0, 0, NFNL_SUBSYS_NFTABLES))
    this.#writer.closeMessage(at)
    return { bytes: this.#writer.done(), count: this.#messages }
  }

  addCounter(name: string): void {
    this.#counter(NEWOBJ, NLM_F_REQUEST | NLM_F_CREATE, name)
  }

  /** One that something still names is an error. */
  deleteCounter(name: string): void {
    this.#counter(DELOBJ, NLM_F_REQUEST, name)
  }

  #counter(type: number, flags: number, name: string): void {
    const writer = this.#writer
    const at = this.#begin(type, flags, familyHeader(this.#place))
    writer.raw(textAttribute(OBJ_TABLE, this.#place.table))
    writer.raw(textAttribute(OBJ_NAME, name))
    writer.numberAttribute(OBJ_TYPE, COUNTER)
    // The kernel wants one, and counts from 0 where it says nothing.
    if (type === NEWOBJ) writer.close(writer.open(OBJ_DATA))
    writer.closeMessage(at)
  }

  #begin(type: number, flags: number, header: Uint8Array): number {
    const at = this.#writer.message(type, flags, ++this.#messages)
    this.#lastAt = at
    this.#writer.raw(header)
    return at
  }

  /** As many messages as it takes. */
  #elements(type: number, flags: number, set: string, elements: Iterable<SetElement>): void {
    const writer = this.#writer
    let open: { readonly message: number; readonly list: number } | null = null
    let header: Uint8Array | null = null
    for (const element of elements) {
      const most = elementRoom(element)
      if (open !== null && writer.length - open.list + most > MOST_ATTRIBUTE_BYTES) {
        writer.close(open.list)
        writer.closeMessage(open.message)
        open = null
      }
      if (open === null) {
        header ??= setHeader(this.#place, set)
        const message = this.#begin(type, flags, header)
        open = { message, list: writer.open(LIST_ELEMENTS) }
      }
      writeElement(writer, element)
    }
    if (open === null) return
    writer.close(open.list)
    writer.closeMessage(open.message)
  }
}

/** Asks for the element of a set with intervals that covers a key: answered by it, or by ENOENT. */
export function coverRequest(place: SetPlace, set: string, key: Uint8Array): Uint8Array<ArrayBuffer> {
  const writer = new MessageWriter()
  const message = writer.message(GETSETELEM, NLM_F_REQUEST, 0)
  writer.raw(setHeader(place, set))
  const list = writer.open(LIST_ELEMENTS)
  writeElement(writer, { key })
  writer.close(list)
  writer.closeMessage(message)
  return writer.done()
}

/** Whose elements a message is about: struct nfgenmsg (family, version, resource id), table and set. */
export function setHeader(place: SetPlace, set: string): Uint8Array {
  return Buffer.concat([familyHeader(place), textAttribute(LIST_TABLE, place.table), textAttribute(LIST_SET, set)])
}

/** struct nfgenmsg of whatever is in a table. */
export function familyHeader({ family }: SetPlace): Uint8Array {
  return Uint8Array.of(FAMILY_NUMBERS[family], 0, 0, 0)
}

/** The batch itself, renumbered. */
export function numbered({ bytes, count }: UnnumberedBatch, sequence: number): Batch {
  renumber(bytes, sequence)
  return { bytes, first: sequence, last: sequence + count }
}

/** Gives the messages of a batch, or the one of a request, their numbers from `sequence` on, in place. */
export function renumber(bytes: Uint8Array, sequence: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < bytes.length; at += align4(view.getUint32(at, true))) view.setUint32(at + 8, sequence + view.getUint32(at + 8, true), true)
}

/** The batch is only for that generation of the ruleset: ERESTART where there was a commit since. 0: for any. */
export function bindTo(batch: Uint8Array, generation: number): void {
  new DataView(batch.buffer, batch.byteOffset).setUint32(GENERATION_AT, generation)
}

/** No less than it takes. */
function elementRoom({ key, keyEnd, data, verdict, counter }: SetElement): number {
  return 64 + 3 * (counter?.length ?? 0) + key.length + (keyEnd?.length ?? 0) + (data?.length ?? 0) + 3 * (verdict?.chain?.length ?? 0)
}

function writeElement(writer: MessageWriter, { key, keyEnd, isEnd, data, verdict, counter }: SetElement): void {
  const element = writer.open(LIST_ELEM)
  if (isEnd === true) writer.numberAttribute(ELEM_FLAGS, ELEM_INTERVAL_END)
  writeData(writer, ELEM_KEY, key)
  if (keyEnd !== undefined) writeData(writer, ELEM_KEY_END, keyEnd)
  if (data !== undefined) writeData(writer, ELEM_DATA, data)
  if (verdict !== undefined) {
    const nested = writer.open(ELEM_DATA)
    const value = writer.open(DATA_VERDICT)
    writer.numberAttribute(VERDICT_CODE, VERDICTS[verdict.word])
    if (verdict.chain !== null) writer.attribute(VERDICT_CHAIN, Buffer.from(`${verdict.chain}\0`))
    writer.close(value)
    writer.close(nested)
  }
  if (counter !== undefined) writer.attribute(ELEM_OBJREF, Buffer.from(`${counter}\0`))
  writer.close(element)
}

function writeData(writer: MessageWriter, type: number, bytes: Uint8Array): void {
  const nested = writer.open(type)
  writer.attribute(DATA_VALUE, bytes)
  writer.close(nested)
}
