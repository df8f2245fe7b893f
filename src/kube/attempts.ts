// What one reflector remembers of its failures in a row: when to try again, and whether still from the same place.
//
// **Invariant:** a server that refuses where we are is never asked twice at once in a row; what was waited for a server
// that was away is not waited again once it is back.
import type { Clock } from '../lib/clock.ts'
import { Backoff } from './backoff.ts'
import type { ApiFailure, FailureCode } from './failures.ts'

/** Milliseconds. */
export interface Pauses {
  readonly first: number
  readonly longest: number
  /** A watch that lives so long counts as good. */
  readonly calm: number
}

export const USUAL_PAUSES: Pauses = { first: 500, longest: 30_000, calm: 5_000 }
/** Of those that may come of where we are, in a row. */
const FAILURES_BEFORE_LIST = 3
/** Failures that may come of where we are; the others say nothing about it. */
const OF_PLACE: readonly FailureCode[] = ['RequestRefused', 'UnknownServer', 'Garbage', 'TooLarge']
/** Ends of a watch that cost nothing where it had got further. */
const OF_CONNECTION: readonly FailureCode[] = ['Ended', 'Cut', 'Hung']
/** Not none: behind some balancers every other attempt reaches nobody. */
const FAILURES_WHEN_BACK = 1
/** Nobody was there to say anything about where we are. */
const UNANSWERED: readonly FailureCode[] = ['Unreachable', 'ServerError', 'Overloaded', 'Cut', 'Hung']

export class Attempts {
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #backoff: Backoff
  /** Of the last attempt; null where it went well. */
  #lastCode: FailureCode | null = null
  /** Failures in a row that may come of where we are. */
  #ofPlace = 0
  /** Ends the present pause. */
  #wake: (() => void) | null = null

  /** `random`: [0, 1). `signal` ends every pause. */
  constructor(clock: Clock, pauses: Pauses, random: () => number, signal: AbortSignal) {
    this.#clock = clock
    this.#signal = signal
    this.#backoff = new Backoff(pauses.first, pauses.longest, random)
  }

  /** In a row. */
  get failures(): number {
    return this.#backoff.failures
  }

  /** Whether nobody was reached the last time. */
  get unreachable(): boolean {
    return this.#lastCode === 'Unreachable'
  }

  /** A request was answered; whether the answer is worth anything shows later. */
  answered(): void {
    this.#lastCode = null
  }

  /** All is well again. */
  recovered(): void {
    this.#backoff.reset()
    this.#ofPlace = 0
  }

  /** One more. `progressed`: the watch that failed had got further. Milliseconds to wait, and whether the place is lost. */
  failed(failure: ApiFailure, progressed: boolean): { readonly pauseMs: number; readonly lost: boolean } {
    const { code } = failure
    const before = this.#lastCode
    this.#lastCode = code
    const ofPlace = OF_PLACE.includes(code)
    if (ofPlace) this.#ofPlace += 1
    const lost = code === 'Gone' || code === 'Internal' || (ofPlace && this.#ofPlace % FAILURES_BEFORE_LIST === 0)
    // A server that starts refuses for a second or two what it will allow (roles not loaded yet).
    if (before === 'Unreachable' && code !== 'Unreachable') this.#backoff.shorten(FAILURES_WHEN_BACK)
    const isBack = code === 'Gone' && before !== null && UNANSWERED.includes(before)
    if (isBack || (progressed && OF_CONNECTION.includes(code))) this.#backoff.reset()
    const atOnce = code === 'Gone' && this.#backoff.failures === 0
    const pause = this.#backoff.next()
    return { pauseMs: atOnce ? 0 : Math.max(pause, failure.retryAfterMs ?? 0), lost }
  }

  /** Ends before its time on the signal, or on wake(). */
  async pause(ms: number): Promise<void> {
    if (this.#signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        cancel()
        this.#wake = null
        this.#signal.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.#clock.after(ms, done)
      this.#wake = done
      this.#signal.addEventListener('abort', done)
    })
  }

  wake(): void {
    this.#wake?.()
  }
}
