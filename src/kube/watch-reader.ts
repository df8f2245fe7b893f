// Portions of a watch -> events for the inbox, and the version up to which they go.
//
// With WatchList the stream begins with the whole state, which ends with a marked bookmark: until then rows are collected, and
// become one `replace`. **Invariant:** `version` never runs ahead of the events that were given out, so that a watch
// which begins there misses nothing.
import { eventsOf, type EventStream } from './encodings.ts'
import { ApiFailure } from './failures.ts'
import type { WatchEvent } from './messages.ts'
import type { Resource } from './resources.ts'
import { keyOf, rowOf, versionOf, type RowEvent, type Rows } from './rows.ts'
import { eventFailure } from './statuses.ts'
import { isOlder } from '../lib/versions.ts'
import { show } from '../lib/show.ts'

const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'

export class WatchReader {
  readonly #resource: Resource
  readonly #events: EventStream
  #version: string | null
  /** The initial events so far; null once they are complete. */
  #collected: Rows | null
  #heard = 0

  /** `version`: from which the watch begins; null: with the whole state. `contentType`: of the answer. */
  constructor(resource: Resource, version: string | null, contentType = '') {
    this.#resource = resource
    this.#events = eventsOf(resource, contentType)
    this.#version = version
    this.#collected = version === null ? new Map() : null
  }

  /** Null while the initial events are not complete. */
  get version(): string | null {
    return this.#version
  }

  /** Events of any kind. */
  get heard(): number {
    return this.#heard
  }

  /** Appends to `events` what the portion says. ApiFailure where it cannot be read further; what was appended stands. */
  read(portion: Buffer, events: RowEvent[]): void {
    for (const event of this.#events.push(portion)) {
      this.#heard += 1
      this.#take(event, events)
    }
  }

  #take({ type, object }: WatchEvent, events: RowEvent[]): void {
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        this.#upsert(object, events)
        return this.#advance(object)
      case 'DELETED':
        this.#delete(object, events)
        return this.#advance(object)
      case 'BOOKMARK':
        if (this.#collected !== null && !isEnd(object)) return
        this.#complete(object, events)
        return this.#advance(object)
      case 'ERROR':
        throw eventFailure(object, this.#resource)
      default:
        throw new ApiFailure('Garbage', `an event of type ${show(type)} was sent in the watch of ${this.#resource.plural}`)
    }
  }

  #upsert(object: unknown, events: RowEvent[]): void {
    const { key, decoded } = rowOf(object, this.#resource)
    if (this.#collected !== null) this.#collected.set(key, decoded)
    else events.push({ verb: 'upsert', kind: this.#resource.rows, key, decoded })
  }

  #delete(object: unknown, events: RowEvent[]): void {
    const key = keyOf(object, this.#resource)
    if (this.#collected !== null) this.#collected.delete(key)
    else events.push({ verb: 'delete', kind: this.#resource.rows, key })
  }

  #complete(object: unknown, events: RowEvent[]): void {
    if (this.#collected === null) return
    if (versionOf(object) === null) throw new ApiFailure('Garbage', `the initial events of ${this.#resource.plural} ended without a resourceVersion`)
    events.push({ verb: 'replace', kind: this.#resource.rows, rows: this.#collected })
    this.#collected = null
  }

  /** Within the initial events an object's version says nothing about the others. */
  #advance(object: unknown): void {
    if (this.#collected !== null) return
    const version = versionOf(object)
    if (version === null) return
    if (this.#version !== null && isOlder(version, this.#version)) {
      throw new ApiFailure('Gone', `the history of ${this.#resource.plural} went back from ${this.#version} to ${version} (was etcd restored?)`)
    }
    this.#version = version
  }
}

function isEnd(object: unknown): boolean {
  const { metadata } = (object ?? {}) as { readonly metadata?: { readonly annotations?: Readonly<Record<string, unknown>> | null } | null }
  return metadata?.annotations?.[INITIAL_EVENTS_END] === 'true'
}
