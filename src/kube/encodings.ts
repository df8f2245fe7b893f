// In which encoding objects come: protobuf where we can read it and the server gives it, JSON otherwise.
//
// Protobuf is asked for first; the answer's content type says what was given, so that servers and proxies which know only JSON are
// served as well. **Invariant:** whatever the encoding, the same objects give the same rows and the same kinds of failure.
import { FrameSplitter } from './frames.ts'
import { ItemSplitter } from './items.ts'
import { LineSplitter } from './lines.ts'
import { MessageListSplitter } from './message-list.ts'
import { readWatchEvent, type MessageKind, type WatchEvent } from './messages.ts'
import { readProtobuf } from './protobuf.ts'
import { MOST_OBJECT_BYTES, parseJson } from './rows.ts'

/** Of objects of one kind. */
export interface Encoded {
  readonly plural: string
  /** How its protobuf is read; absent or null: JSON is asked for. */
  readonly message?: MessageKind | null
}

/** Each gives what ends in the portion; ApiFailure where it cannot be read further. */
export interface EventStream {
  push(portion: Buffer): Iterable<WatchEvent>
}

export interface ItemStream {
  push(portion: Buffer): Iterable<unknown>
  /** The list without its items; ApiFailure where it has not ended. */
  end(): unknown
}

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const JSON_TYPE = 'application/json'

/** For the header `accept`. */
export function acceptOf({ message }: Encoded, verb: 'list' | 'watch'): string {
  const types = message ? [PROTOBUF, JSON_TYPE] : [JSON_TYPE]
  return types.map((type) => (verb === 'watch' ? `${type};stream=watch` : type)).join(', ')
}

/** `contentType`: of the answer; empty for none. */
export function eventsOf(encoded: Encoded, contentType: string): EventStream {
  const what = `an event of the watch of ${encoded.plural}`
  const message = messageIn(encoded, contentType)
  return message === null ? jsonEvents(what) : messageEvents(message, what)
}

/** `contentType`: of the answer; empty for none. */
export function itemsOf(encoded: Encoded, contentType: string): ItemStream {
  const message = messageIn(encoded, contentType)
  return message === null ? jsonItems(encoded.plural) : messageItems(message, encoded.plural)
}

function messageIn({ message }: Encoded, contentType: string): MessageKind | null {
  const [type = ''] = contentType.split(';')
  return type.trim().toLowerCase() === PROTOBUF ? (message ?? null) : null
}

function jsonEvents(what: string): EventStream {
  const lines = new LineSplitter(MOST_OBJECT_BYTES)
  return {
    *push(portion) {
      for (const line of lines.push(portion)) {
        const event = parseJson(line, what)
        yield typeof event === 'object' && event !== null ? event : {}
      }
    },
  }
}

function messageEvents(message: MessageKind, what: string): EventStream {
  const frames = new FrameSplitter(MOST_OBJECT_BYTES)
  return {
    *push(portion) {
      for (const frame of frames.push(portion)) yield readProtobuf(frame, what, (cursor) => readWatchEvent(cursor, message))
    },
  }
}

function jsonItems(plural: string): ItemStream {
  const items = new ItemSplitter(MOST_OBJECT_BYTES)
  return {
    *push(portion) {
      for (const item of items.push(portion)) yield parseJson(item, `an item of the list of ${plural}`)
    },
    end: () => parseJson(items.end(), `the list of ${plural}`),
  }
}

function messageItems(message: MessageKind, plural: string): ItemStream {
  const items = new MessageListSplitter(message, MOST_OBJECT_BYTES, `the list of ${plural}`)
  return {
    *push(portion) {
      for (const item of items.push(portion)) yield readProtobuf(item, `an item of the list of ${plural}`, message.read)
    },
    end: () => items.end(),
  }
}
