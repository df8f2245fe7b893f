// Writes that failed: what waits for it, the one object or all of them, and for how long.
//
// A server that is away or overloaded is a matter of all; a conflict or a refusal of the one object, until so many in a row say otherwise.
// **Invariant:** one object that is refused again and again holds up no other; a server that takes nothing is not asked at the full rate.
import { Backoff } from '../kube/backoff.ts'
import { ApiFailure, isOfServer } from '../kube/failures.ts'
import { isOlder } from '../lib/versions.ts'
import type { Version } from './desired.ts'

/** `missing`: the object is gone; `away`: whether it was carried out is not known. */
export type Setback = 'conflict' | 'missing' | 'refused' | 'away'

/** Milliseconds. */
const FIRST_MS = 1_000
const LONGEST_MS = 30_000
const FIRST_REFUSAL_MS = 10_000
const LONGEST_REFUSAL_MS = 300_000
/** Objects that were refused with nothing taken in between. */
const REFUSED_TOGETHER = 5

interface Waiting {
  readonly backoff: Backoff
  readonly kind: Setback
  notBefore: number
  /** What the write stood on. */
  from: Version | null
}

export class Setbacks {
  readonly #random: () => number
  readonly #all: Backoff
  readonly #waiting = new Map<string, Waiting>()
  #pausedUntil = -Infinity
  readonly #refused = new Set<string>()

  /** `random`: [0, 1) */
  constructor(random: () => number) {
    this.#random = random
    this.#all = new Backoff(FIRST_MS, LONGEST_MS, random)
  }

  /** Before it nothing at all is written. */
  get pausedUntil(): number {
    return this.#pausedUntil
  }

  /** Nothing was taken since the last pause: one write alone shows whether anything is. */
  get trying(): boolean {
    return this.#all.failures > 0
  }

  /** Before it the object is not written. */
  notBefore(key: string): number {
    return this.#waiting.get(key)?.notBefore ?? -Infinity
  }

  failed(key: string, error: unknown, from: Version | null, now: number): Setback {
    const kind = kindOf(error)
    if (kind === 'away') this.#pause(now, error instanceof ApiFailure ? error.retryAfterMs : null)
    else this.#wait(key, kind, from, now)
    if (kind === 'refused') this.#refused.add(key)
    if (kind === 'refused' && this.#refused.size > REFUSED_TOGETHER) this.#pause(now, null)
    return kind
  }

  wentWell(key: string): void {
    this.#waiting.delete(key)
    this.#all.reset()
    this.#refused.clear()
  }

  /** It was read anew: a conflict, or an object that was gone, is over where that is newer than what the write stood on. */
  seen(key: string, from: Version | null): void {
    const waiting = this.#waiting.get(key)
    if (waiting === undefined || waiting.kind === 'refused') return
    if (from !== null && waiting.from !== null && !isOlder(waiting.from.resourceVersion, from.resourceVersion)) return
    waiting.notBefore = -Infinity
  }

  forget(key: string): void {
    this.#waiting.delete(key)
    this.#refused.delete(key)
  }

  #wait(key: string, kind: Setback, from: Version | null, now: number): void {
    const before = this.#waiting.get(key)
    const backoff = before?.kind === kind ? before.backoff : kind === 'refused' ? new Backoff(FIRST_REFUSAL_MS, LONGEST_REFUSAL_MS, this.#random) : new Backoff(FIRST_MS, LONGEST_MS, this.#random)
    this.#waiting.set(key, { backoff, kind, from, notBefore: now + backoff.next() })
  }

  /** Those that were on their way together are one failure. */
  #pause(now: number, askedMs: number | null): void {
    const usual = this.#pausedUntil > now ? 0 : this.#all.next()
    this.#pausedUntil = Math.max(this.#pausedUntil, now + Math.max(usual, askedMs ?? 0))
  }
}

function kindOf(error: unknown): Setback {
  if (!(error instanceof ApiFailure)) return 'refused'
  if (error.code === 'Conflict' || error.code === 'AlreadyExists') return 'conflict'
  if (error.code === 'NotFound') return 'missing'
  return isOfServer(error) ? 'away' : 'refused'
}
