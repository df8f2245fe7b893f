// What all sinks have in common: a queue, one write at a time, another attempt after a pause where it fails, and the words for that.
//
//   write() --> queue --> way.write() again and again --> written | failed: a pause | too much queued: lost
//
// **Invariant:** what a way could not write stays first in line, and is written, or counted as lost when the sink is closed.
import { systemClock, type Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import { RetryPause } from '../lib/retry-pause.ts'
import { printable } from '../lib/show.ts'
import { RecordQueue, type QueuedLine, type QueueLimits } from './queue.ts'
import type { RecordLine, Sink, SinkEvents, SinkState } from './sink.ts'

/** How a kind of sink writes. Calls never overlap. */
export interface Way {
  /** At most so many bytes are given at once, but one line at least. */
  readonly chunk: number
  /** Resolves with how many of the lines were taken, from the first; rejects where none could be. It ends within seconds, or when it is closed. */
  write(lines: readonly QueuedLine[]): Promise<number | Taken>
  /** Lets go at once, also in the middle of a write. */
  close(): Promise<void>
}

/** Where a server may take a request and yet not all of its records. */
export interface Taken {
  /** Not to be sent again. */
  readonly count: number
  /** So many of these are lost; nobody knows which ones. */
  readonly rejected: number
  readonly why: string
}

export interface SinkOptions {
  readonly clock?: Clock
  readonly limits?: QueueLimits
  /** Milliseconds, before the second attempt, and at most. */
  readonly pauses?: readonly [first: number, longest: number]
}

const PAUSES = [250, 10_000] as const
const CLOSING_MS = 1000
const LONGEST_MESSAGE = 300

export class QueuedSink implements Sink {
  readonly name: string
  readonly #way: Way
  readonly #events: SinkEvents
  readonly #clock: Clock
  readonly #queue: RecordQueue
  readonly #pause: RetryPause
  /** Taken out of the queue, and not written yet. */
  #pending: readonly QueuedLine[] = []
  #written = 0
  #failure: string | null = null
  #isWriting = false
  #cancelPause: (() => void) | null = null
  #isClosing = false
  #isClosed = false
  #onIdle: (() => void) | null = null

  constructor(name: string, way: Way, events: SinkEvents, { clock = systemClock, limits, pauses: [first, longest] = PAUSES }: SinkOptions = {}) {
    this.name = name
    this.#way = way
    this.#events = events
    this.#clock = clock
    this.#queue = new RecordQueue(clock, (loss) => events.onLost(loss), limits)
    this.#pause = new RetryPause(first, longest)
  }

  write(line: RecordLine): void {
    if (this.#isClosing) return this.#queue.lose(line)
    if (this.#queue.push(line)) this.#go()
  }

  state(): SinkState {
    return { written: this.#written, lost: this.#queue.lost, queued: this.#queue.length + this.#pending.length, failure: this.#failure }
  }

  async close(): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    if (this.#isBusy()) {
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(CLOSING_MS, resolve)
        this.#onIdle = () => {
          cancel()
          resolve()
        }
        this.#cancelPause?.()
        this.#cancelPause = null
        this.#go()
      })
    }
    this.#isClosed = true
    await this.#way.close().catch(() => undefined)
    for (const { line } of this.#pending) this.#queue.lose(line)
    this.#pending = []
    this.#queue.close()
  }

  #isBusy(): boolean {
    return this.#isWriting || this.#pending.length > 0 || this.#queue.length > 0
  }

  #go(): void {
    if (this.#isWriting || this.#cancelPause !== null || this.#isClosed) return
    this.#isWriting = true
    // Never rejects.
    void this.#drain()
  }

  async #drain(): Promise<void> {
    // What comes in the same moment goes along.
    await Promise.resolve()
    while (!this.#isClosed) {
      if (this.#pending.length === 0) this.#pending = this.#queue.take(this.#way.chunk)
      if (this.#pending.length === 0) break
      try {
        const taken = await this.#way.write(this.#pending)
        if (this.#isClosed) break
        const { count, rejected, why } = typeof taken === 'number' ? { count: taken, rejected: 0, why: '' } : taken
        this.#queue.reject(this.#pending.slice(0, count), rejected)
        this.#written += count - rejected
        this.#pending = this.#pending.slice(count)
        // Who takes nothing of what it is given works no better than who does not answer, and is not asked more often.
        if (rejected > 0 && rejected === count) throw new Error(why)
        this.#works()
      } catch (error) {
        if (!this.#isClosed) this.#fails(error)
        break
      }
    }
    this.#isWriting = false
    if (this.#isClosing) this.#onIdle?.()
  }

  #works(): void {
    this.#pause.reset()
    if (this.#failure === null) return
    this.#failure = null
    this.#events.onRecovered()
  }

  #fails(error: unknown): void {
    const isNew = this.#failure === null
    this.#failure = printable(messageOf(error), LONGEST_MESSAGE)
    if (!this.#isClosing) {
      this.#cancelPause = this.#clock.after(this.#pause.next(), () => {
        this.#cancelPause = null
        this.#go()
      })
    }
    if (isNew) this.#events.onFailed(this.#failure)
  }
}
