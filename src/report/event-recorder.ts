// Events wanted -> Events in the API, as series and within a budget: what does not fit is dropped and counted.
//
//   record --new, or a series' turn--> queue --a token, no quiet, still leader--> create | apply series
//          --again, told lately------> counted; timetable --its time--> queue
//
// **Invariant:** no more requests than the budget gives, whatever is recorded; nothing is tried more often than a few times, and
// nothing here holds up what records.
import { Backoff } from '../kube/backoff.ts'
import { ApiFailure, isOfServer } from '../kube/failures.ts'
import type { ObjectWriter } from '../kube/object-writer.ts'
import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import { EventQueue } from './event-queue.ts'
import { EVENT, idOf, Series, USUAL_SERIES, type SeriesTimes } from './event-series.ts'
import type { WantedEvent } from './events.ts'
import { Timetable } from './timetable.ts'
import { TokenBucket } from './token-bucket.ts'

export interface EventLimits extends SeriesTimes {
  /** Writes a second. */
  readonly rate: number
  /** At once, after a rest. */
  readonly burst: number
  /** So many wait. */
  readonly room: number
  /** Writes of one event that fail in a row, before it is dropped. */
  readonly tries: number
}

/** "events and leases 5 writes/s": two operators renew, or look at, their Lease every 2 s. */
export const USUAL_LIMITS: EventLimits = { ...USUAL_SERIES, rate: 3, burst: 10, room: 1_000, tries: 5 }

export interface EventRecorderOptions {
  readonly clock: Clock
  /** [0, 1) */
  readonly random: () => number
  readonly writer: Pick<ObjectWriter, 'create' | 'apply'>
  /** `picket.dev/operator` */
  readonly reportingController: string
  /** Name of the pod. */
  readonly reportingInstance: string
  /** Whether we still lead: asked in front of each write. Who does not tells nothing that waits. */
  readonly mayWrite: () => boolean
  /** Until when all is quiet, on the clock; Infinity: until wake(). */
  readonly quietUntil?: () => number
  readonly limits?: EventLimits
  /** What is wrong in words, once; null once it is over. */
  readonly onTrouble?: (message: string | null) => void
}

export interface EventCounts {
  /** Now. */
  readonly waiting: number
  /** Events of which repetitions are still counted: now. */
  readonly series: number
  readonly recorded: number
  /** Of them, those that were the same event once more. */
  readonly repeated: number
  /** A newer one of the same object and reason came before they were written. */
  readonly superseded: number
  /** Requests that were taken. */
  readonly created: number
  readonly patched: number
  /** Requests that failed. */
  readonly failed: number
  /** Never told, or not to the end: there was no room, they failed, or somebody else leads. */
  readonly dropped: number
}

/** Counts of two recorders, one after the other: what is now is the second one's, or nothing where there is none. */
export function joinedEvents(before: EventCounts, after: EventCounts | null): EventCounts {
  const sum = (key: keyof EventCounts): number => before[key] + (after?.[key] ?? 0)
  return {
    waiting: after?.waiting ?? 0,
    series: after?.series ?? 0,
    recorded: sum('recorded'),
    repeated: sum('repeated'),
    superseded: sum('superseded'),
    created: sum('created'),
    patched: sum('patched'),
    failed: sum('failed'),
    dropped: sum('dropped'),
  }
}

const FIRST_MS = 1_000
const LONGEST_MS = 30_000
/** What is on its way at the end may take so long. */
const LONGEST_END_MS = 3_000

export class EventRecorder {
  readonly #options: EventRecorderOptions
  readonly #limits: EventLimits
  readonly #series = new Map<string, Series>()
  readonly #queue: EventQueue
  readonly #later = new Timetable()
  readonly #bucket: TokenBucket
  readonly #backoff: Backoff
  readonly #stop = new AbortController()
  readonly #counts = { recorded: 0, repeated: 0, superseded: 0, created: 0, patched: 0, failed: 0, dropped: 0 }
  #pausedUntil = -Infinity
  #writing: Promise<void> | null = null
  /** What is on its way. */
  #written: Series | null = null
  #isFull = false
  #trouble: string | null = null
  #isClosed = false
  #cancel: () => void = () => {}

  constructor(options: EventRecorderOptions) {
    this.#options = options
    this.#limits = options.limits ?? USUAL_LIMITS
    this.#queue = new EventQueue(this.#limits.room)
    this.#bucket = new TokenBucket(this.#limits.rate, this.#limits.burst, options.clock.now())
    this.#backoff = new Backoff(FIRST_MS, LONGEST_MS, options.random)
  }

  counts(): EventCounts {
    return { waiting: this.#queue.size, series: this.#series.size, ...this.#counts }
  }

  record(wanted: WantedEvent): void {
    if (this.#isClosed) return
    const { clock, random } = this.#options
    const at = { now: clock.now(), wall: clock.wallTime() }
    this.#counts.recorded += 1
    const known = this.#series.get(idOf(wanted))
    if (known === undefined || known.isOver(at.now)) {
      const series = new Series(wanted, at, String(random()), this.#limits)
      this.#series.set(series.id, series)
      this.#enqueue(series)
    } else {
      this.#counts.repeated += 1
      known.again(wanted, at)
      // What becomes of it shows when its write has ended.
      if (known !== this.#written) this.#plan(known)
    }
    this.#pump()
  }

  /** Something else changed: quiet, or whether we lead. */
  wake(): void {
    this.#pump()
  }

  /** Tells nothing any more; resolves when nothing is on its way, after three seconds at most and what giving up takes. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel()
    const cancel = this.#options.clock.after(LONGEST_END_MS, () => this.#stop.abort(new Error('closed')))
    await this.#writing
    cancel()
  }

  /** Its turn now, or when it is due. */
  #plan(series: Series): void {
    const now = this.#options.clock.now()
    const at = series.dueAt()
    if (series.isOver(now)) this.#forget(series)
    else if (at > now) this.#later.set(series.id, at)
    else this.#enqueue(series)
  }

  #enqueue(series: Series): void {
    this.#later.remove(series.id)
    const replaced = this.#queue.add(series)
    if (replaced !== null) {
      this.#counts.superseded += 1
      this.#forget(replaced)
    }
    for (let lost = this.#queue.overflow(); lost !== null; lost = this.#queue.overflow()) {
      this.#isFull = true
      this.#drop(lost)
    }
    if (this.#isFull) this.#tell()
  }

  #drop(series: Series): void {
    this.#counts.dropped += 1
    this.#forget(series)
  }

  #forget(series: Series): void {
    this.#later.remove(series.id)
    if (this.#series.get(series.id) === series) this.#series.delete(series.id)
  }

  #pump(): void {
    this.#cancel()
    if (this.#isClosed) return
    const { clock } = this.#options
    const now = clock.now()
    for (let id = this.#later.take(now); id !== null; id = this.#later.take(now)) {
      const series = this.#series.get(id)
      if (series !== undefined) this.#plan(series)
    }
    if (this.#queue.size > 0 && !this.#options.mayWrite()) this.#giveUp()
    let again = this.#later.next()
    if (this.#queue.size > 0 && this.#writing === null) {
      const waitMs = Math.max((this.#options.quietUntil?.() ?? -Infinity) - now, this.#pausedUntil - now, this.#bucket.waitMs(now))
      if (waitMs <= 0) this.#begin(this.#queue.take() as Series, now)
      else again = Math.min(again, now + waitMs)
    }
    if (again < Infinity) this.#cancel = clock.after(Math.max(1, again - now), () => this.#pump())
  }

  /** Whoever leads now tells what changes from here on. */
  #giveUp(): void {
    for (let series = this.#queue.take(); series !== null; series = this.#queue.take()) this.#drop(series)
  }

  #begin(series: Series, now: number): void {
    this.#bucket.take(now)
    this.#written = series
    this.#writing = this.#write(series).finally(() => {
      this.#writing = null
      this.#pump()
    })
  }

  async #write(series: Series): Promise<void> {
    const { clock, writer, reportingController, reportingInstance } = this.#options
    const { signal } = this.#stop
    const { isMade, count } = series
    try {
      const { metadata } = isMade
        ? await writer.apply(EVENT, series.patch(), { force: true }, signal)
        : await writer.create(EVENT, series.body({ controller: reportingController, instance: reportingInstance }), signal)
      this.#taken(series, count, metadata.uid)
    } catch (error) {
      if (signal.aborted) return
      // The answer to an earlier attempt was lost: the name is ours alone.
      if (error instanceof ApiFailure && error.code === 'AlreadyExists' && series.failures > 0) this.#taken(series, 1, undefined)
      else this.#missed(series, error, clock.now())
    }
  }

  #taken(series: Series, count: number, uid: string | undefined): void {
    this.#written = null
    if (series.isMade) this.#counts.patched += 1
    else this.#counts.created += 1
    this.#backoff.reset()
    series.told(count, this.#options.clock.now(), uid)
    if (this.#queue.size === 0) this.#isFull = false
    this.#tell()
    this.#plan(series)
  }

  /** A server that is away is asked again, later and not for ever; whatever was refused stays so. */
  #missed(series: Series, error: unknown, now: number): void {
    this.#written = null
    this.#counts.failed += 1
    const failure = error instanceof ApiFailure ? error : null
    const isAway = failure !== null && isOfServer(failure)
    series.failures += 1
    if (isAway) this.#pausedUntil = now + Math.max(this.#backoff.next(), failure.retryAfterMs ?? 0)
    if (!isAway || series.failures >= this.#limits.tries || this.#queue.holdsOther(series)) this.#drop(series)
    else this.#enqueue(series)
    // Gone with its namespace, or forgotten by the server: that is no trouble.
    if (failure?.code !== 'NotFound' && failure?.code !== 'Conflict') this.#tell(messageOf(error))
  }

  /** Once for as long as it lasts. */
  #tell(failure: string | null = null): void {
    const { rate, room } = this.#limits
    const message = this.#isFull ? `more than ${room} events wait to be told, of which ${rate} a second are: some are dropped; the statuses have all of it` : failure
    if (message === this.#trouble) return
    this.#trouble = message
    this.#options.onTrouble?.(message)
  }
}
