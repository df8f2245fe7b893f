// One event and its repetitions: what the API has of it, when the next write of it is due, and the object that is written.
//
//   first time -> made at once; again -> a series, told at once; further ones -> told every half an hour, and once when it has ended
//
// As client-go's recorder does it: an event is one object that counts, and a server forgets it an hour after its last write.
// **Invariant:** how often something happened costs no request; every field is within the API's bounds.
import { createHash } from 'node:crypto'
import type { ObjectBody, ObjectKind } from '../kube/object-writer.ts'
import { microTime } from '../lib/api-time.ts'
import type { WantedEvent } from './events.ts'

export const EVENT: ObjectKind = { kind: 'Event', plural: 'events', group: 'events.k8s.io', version: 'v1', namespaced: true }

/** Milliseconds. */
export interface SeriesTimes {
  /** Without another one for so long, a series has ended. */
  readonly ended: number
  /** Between two writes of one that goes on. */
  readonly refresh: number
}

/** Those of client-go. */
export const USUAL_SERIES: SeriesTimes = { ended: 6 * 60_000, refresh: 30 * 60_000 }

export interface Moment {
  /** Of a clock that never goes back. */
  readonly now: number
  /** Since 1970. */
  readonly wall: number
}

export interface Reporter {
  readonly controller: string
  readonly instance: string
}

const NOTE_BYTES = 1024
const INSTANCE_BYTES = 128
const NAME_LENGTH = 253
/** Cluster-scoped objects' events are in this one: the API takes no other. */
const CLUSTER_NAMESPACE = 'default'

export class Series {
  readonly id: string
  readonly slot: string
  readonly name: string
  readonly namespace: string
  readonly #began: Moment
  readonly #times: SeriesTimes
  #wanted: WantedEvent
  #last: Moment
  #count = 1
  /** Count that the API has; 0: it is not made. */
  #told = 0
  #toldAt = -Infinity
  #uid: string | undefined
  /** Writes of it that failed in a row. */
  failures = 0

  /** `unique`: a text that no other event has. */
  constructor(wanted: WantedEvent, at: Moment, unique: string, times: SeriesTimes) {
    this.id = idOf(wanted)
    this.slot = slotOf(wanted)
    this.#wanted = wanted
    this.#began = at
    this.#last = at
    this.#times = times
    this.namespace = wanted.regarding.namespace ?? CLUSTER_NAMESPACE
    this.name = nameOf(wanted.regarding.name, createHash('sha256').update(`${this.id} ${at.wall} ${unique}`).digest('hex').slice(0, 16))
  }

  get isMade(): boolean {
    return this.#told > 0
  }

  get type(): WantedEvent['type'] {
    return this.#wanted.type
  }

  get count(): number {
    return this.#count
  }

  again(wanted: WantedEvent, at: Moment): void {
    this.#count += 1
    this.#last = at
    // Once it is made, the API lets nothing but the series change.
    if (!this.isMade) this.#wanted = wanted
  }

  /** When there is something to write, or, with nothing left to write, to forget. */
  dueAt(): number {
    const ended = this.#last.now + this.#times.ended
    if (!this.isMade) return -Infinity
    if (this.#count === this.#told) return ended
    return this.#told === 1 ? -Infinity : Math.min(this.#toldAt + this.#times.refresh, ended)
  }

  /** Everything is told, and nothing came for long. */
  isOver(now: number): boolean {
    return this.isMade && this.#count === this.#told && now >= this.#last.now + this.#times.ended
  }

  /** What is to be made. */
  body({ controller, instance }: Reporter): ObjectBody {
    const { regarding, type, reason, action, note } = this.#wanted
    const { namespace, resourceVersion, ...rest } = regarding
    return {
      metadata: { namespace: this.namespace, name: this.name },
      eventTime: microTime(this.#began.wall),
      reportingController: controller,
      // What tells pods of one Deployment apart is at the end.
      reportingInstance: instance.slice(-INSTANCE_BYTES),
      action,
      reason,
      type,
      regarding: { ...rest, ...(namespace === null ? {} : { namespace }), ...(resourceVersion === '' ? {} : { resourceVersion }) },
      note: within(note, NOTE_BYTES),
      ...this.#series(),
    }
  }

  /** What is to be applied: its count. With the UID, one that the API has forgotten is not made again without its fields. */
  patch(): ObjectBody {
    return { metadata: { namespace: this.namespace, name: this.name, ...(this.#uid === undefined ? {} : { uid: this.#uid }) }, ...this.#series() }
  }

  /** It was written as it stood with this count. `uid`: where it was made. */
  told(count: number, now: number, uid?: string): void {
    this.#told = count
    this.#toldAt = now
    this.#uid = uid ?? this.#uid
    this.failures = 0
  }

  #series(): { readonly series?: { readonly count: number; readonly lastObservedTime: string } } {
    return this.#count === 1 ? {} : { series: { count: this.#count, lastObservedTime: microTime(this.#last.wall) } }
  }
}

/** Of all that is the same event. */
export function idOf({ regarding, reason, key }: WantedEvent): string {
  return `${regarding.uid} ${reason} ${key}`
}

/** Of one object and reason only the newest waits. */
export function slotOf({ regarding, reason }: WantedEvent): string {
  return `${regarding.uid} ${reason}`
}

function nameOf(name: string, hex: string): string {
  // A name ends in a letter or a digit, and what is cut off may leave something else at the end.
  return `${name.slice(0, NAME_LENGTH - hex.length - 1).replace(/[^a-z0-9]+$/, '')}.${hex}`
}

/** Whole characters. */
function within(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text
  let held = 3
  let cut = ''
  for (const character of text) {
    held += Buffer.byteLength(character)
    if (held > bytes) break
    cut += character
  }
  return `${cut}...`
}
