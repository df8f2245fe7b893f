// Desired objects in -> writes out: transitions only, coalesced, at a bounded rate, each on the version that it was computed from.
//
//   offer --differs in what people wait for--> waits debounceMs --> lane --a token, no quiet, still leader--> write --> stands
//         --differs in counts only--> waits until countsMs after its last write --> the last lane
//
// At the moment of a write only the newest offer counts: what went back meanwhile is never written. A new term of leadership takes
// a new publisher. **Invariant:** at most one write of an object is on its way; nothing is written in a time of quiet, or by who no longer leads.
import type { ApiFailure } from '../kube/failures.ts'
import { isOlder } from '../lib/versions.ts'
import type { Clock } from '../lib/clock.ts'
import { needOf, type Action, type Desired, type Standing, type Version } from './desired.ts'
import { Counts, type PublishCounts } from './publish-counts.ts'
import { Lanes, laneOf } from './lanes.ts'
import { Setbacks } from './setbacks.ts'
import { Timetable } from './timetable.ts'
import { TokenBucket } from './token-bucket.ts'

/** One request. `create`: without its status, which is applied next; `from`: what it has to stand on; null: on nothing. */
export interface Write<Body> {
  readonly key: string
  readonly action: Action
  /** Null where it is deleted for good. */
  readonly body: Body | null
  readonly from: Version | null
}

export interface PublisherTimes {
  /** Milliseconds from the first change of an object to its write. */
  readonly debounce: number
  /** Milliseconds from an object's last write to one of its counts alone. */
  readonly counts: number
  /** Writes a second. */
  readonly rate: number
  /** At once, after a rest. */
  readonly burst: number
  /** On their way at once. */
  readonly together: number
}

/** 12/s leave a fifth of the operator's budget of 15/s to others. */
export const USUAL_TIMES: PublisherTimes = { debounce: 1_000, counts: 600_000, rate: 12, burst: 24, together: 8 }

export interface PublisherOptions<Body> {
  readonly clock: Clock
  /** [0, 1) */
  readonly random: () => number
  /** The version after it; null after a deletion. ApiFailure where it fails, and the signal's reason once it is aborted. */
  readonly write: (write: Write<Body>, signal: AbortSignal) => Promise<Version | null>
  /** Whether we still lead: asked in front of each write. */
  readonly mayWrite: () => boolean
  /** Until when all is quiet, on the clock; Infinity: until wake(). */
  readonly quietUntil: () => number
  readonly times?: PublisherTimes
  /** The last failure in words; null once one went well again. */
  readonly onTrouble?: (message: string | null) => void
}

/** As our own last write left it, and the version of that; where it was deleted, what was deleted. */
interface Own extends Version {
  readonly standing: Standing | null
}

interface Entry<Body> {
  desired: Desired<Body>
  /** Null: nothing was written yet, or what was written is gone. */
  own: Own | null
  /** UID of the last one that was read and is there no more. */
  gone: string | null
  /** Since when a transition waits; null: none does. */
  since: number | null
  /** When what was last written of it, or first seen, was. */
  writtenAt: number
  writing: boolean
}

/** After which one who no longer leads looks whether it does. */
const LOOK_AGAIN_MS = 1_000
/** What is on its way at the end may take so long. */
const LONGEST_END_MS = 3_000

export class Publisher<Body> {
  readonly #options: PublisherOptions<Body>
  readonly #times: PublisherTimes
  readonly #entries = new Map<string, Entry<Body>>()
  readonly #due = new Timetable()
  readonly #lanes = new Lanes()
  readonly #bucket: TokenBucket
  readonly #setbacks: Setbacks
  readonly #counts = new Counts()
  readonly #stop = new AbortController()
  readonly #writing = new Set<Promise<void>>()
  #closed = false
  #cancel: () => void = () => {}

  constructor(options: PublisherOptions<Body>) {
    this.#options = options
    this.#times = options.times ?? USUAL_TIMES
    this.#bucket = new TokenBucket(this.#times.rate, this.#times.burst, options.clock.now())
    this.#setbacks = new Setbacks(options.random)
  }

  /** Objects that are known, waiting, and on their way; and what was done since the start. */
  counts(): PublishCounts {
    return this.#counts.now(this.#entries.size, this.#due.size + this.#lanes.size, this.#writing.size)
  }

  /** What one object should be by now; the newest counts. */
  offer(desired: Desired<Body>): void {
    if (this.#closed) return
    const { key } = desired
    const now = this.#options.clock.now()
    const before = this.#entries.get(key)
    const entry = before ?? { desired, own: null, gone: null, since: null, writtenAt: now, writing: false }
    if (before === undefined) this.#entries.set(key, entry)
    this.#counts.offered(entry.since !== null)
    const seen = entry.desired.from
    entry.desired = desired
    if (seen !== null && seen.uid !== desired.from?.uid) entry.gone = seen.uid
    // Somebody wrote it, and what was offered now was computed from that: what the write stumbled over may be gone.
    if (seen?.resourceVersion !== desired.from?.resourceVersion) this.#setbacks.seen(key, desired.from)
    // That there is none may be from before we made it, unless it was read already.
    if (entry.own?.uid === entry.gone) entry.own = null
    this.#plan(entry, now)
    this.#pump()
  }

  /** Something else than an object changed: quiet, or whether we lead. */
  wake(): void {
    this.#pump()
  }

  /** Begins no write any more; resolves when none is on its way, after three seconds at most and what giving up takes. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    const cancel = this.#options.clock.after(LONGEST_END_MS, () => this.#stop.abort(new Error('closed')))
    while (this.#writing.size > 0) await Promise.all(this.#writing)
    cancel()
  }

  /** When it is to be looked at, and in which lane. */
  #plan(entry: Entry<Body>, now: number): void {
    const { key } = entry.desired
    if (entry.writing) return
    const need = needOf(entry.desired, standingOf(entry))
    entry.since = need.kind === 'transition' ? (entry.since ?? now) : null
    if (need.kind === 'nothing') {
      this.#due.remove(key)
      this.#lanes.remove(key)
      if (entry.desired.body === null) this.#forget(entry)
      return
    }
    const usual = need.kind === 'counts' ? entry.writtenAt + this.#times.counts : (entry.since ?? now) + this.#times.debounce
    const at = Math.max(usual, this.#setbacks.notBefore(key))
    const lane = laneOf(need.kind, entry.desired.urgent)
    if (at <= now && this.#lanes.has(key, lane)) return
    this.#lanes.remove(key)
    if (at <= now) {
      this.#due.remove(key)
      this.#lanes.add(key, lane)
    } else this.#due.set(key, at)
  }

  /** There is none, and there should be none: once that is what is read, too. */
  #forget({ own, desired: { key, from } }: Entry<Body>): void {
    if (from !== null || own !== null) return
    this.#entries.delete(key)
    this.#setbacks.forget(key)
  }

  #pump(): void {
    this.#cancel()
    if (this.#closed) return
    const now = this.#options.clock.now()
    for (let key = this.#due.take(now); key !== null; key = this.#due.take(now)) {
      const entry = this.#entries.get(key)
      if (entry !== undefined) this.#plan(entry, now)
    }
    let again = this.#due.next()
    while (this.#lanes.size > 0 && this.#writing.size < (this.#setbacks.trying ? 1 : this.#times.together)) {
      const waitMs = this.#waitMs(now)
      if (waitMs > 0) {
        again = Math.min(again, now + waitMs)
        break
      }
      const key = this.#lanes.take()
      const entry = key === null ? undefined : this.#entries.get(key)
      if (entry !== undefined) this.#begin(entry, now)
    }
    if (again < Infinity) this.#cancel = this.#options.clock.after(Math.max(1, again - now), () => this.#pump())
  }

  /** Before anything may be written; 0: now, and a token is taken at begin(). */
  #waitMs(now: number): number {
    const { mayWrite, quietUntil } = this.#options
    if (!mayWrite()) return LOOK_AGAIN_MS
    return Math.max(quietUntil() - now, this.#setbacks.pausedUntil - now, this.#bucket.waitMs(now))
  }

  #begin(entry: Entry<Body>, now: number): void {
    const { desired } = entry
    const standing = standingOf(entry)
    const need = needOf(desired, standing)
    if (need.kind === 'nothing') return this.#plan(entry, now)
    this.#bucket.take(now)
    this.#counts.began(need.kind, need.action)
    const { since } = entry
    entry.writing = true
    entry.since = null
    const from = standing === null ? null : { uid: standing.uid, resourceVersion: standing.resourceVersion }
    const done = this.#write(entry, { key: desired.key, action: need.action, body: desired.body, from }, desired, since).finally(() => {
      this.#writing.delete(done)
      entry.writing = false
      this.#plan(entry, this.#options.clock.now())
      this.#pump()
    })
    this.#writing.add(done)
  }

  /** `since`: what it waited since, and goes on waiting since where this fails. */
  async #write(entry: Entry<Body>, write: Write<Body>, told: Desired<Body>, since: number | null): Promise<void> {
    const { clock, onTrouble } = this.#options
    const { key, action, from } = write
    try {
      const version = await this.#options.write(write, this.#stop.signal)
      entry.own = ownAfter(write, version, told, entry.gone)
      // A new one is written at once with what it tells, and one that made room for another likewise.
      if (action !== 'apply') entry.since = clock.now() - this.#times.debounce
      else entry.writtenAt = clock.now()
      this.#counts.done()
      this.#setbacks.wentWell(key)
      onTrouble?.(null)
    } catch (error) {
      if (this.#stop.signal.aborted) return
      const failure = error as ApiFailure
      entry.since = since
      const setback = this.#setbacks.failed(key, failure, from, clock.now())
      if (setback === 'missing' && from !== null) entry.own = ownAfter(write, null, told, entry.gone)
      this.#counts.failed(setback)
      if (setback !== 'conflict') onTrouble?.(failure.message)
    }
  }
}

/** The newer one of what we wrote and what was read. */
function standingOf<Body>({ own, desired: { from } }: Entry<Body>): Standing | null {
  if (own === null) return from
  return from !== null && isOlder(own.resourceVersion, from.resourceVersion) ? from : own.standing
}

function ownAfter<Body>({ action, from }: Write<Body>, version: Version | null, { owner, transition, counts }: Desired<Body>, gone: string | null): Own | null {
  // What is read may show the deleted one for a while, or only then.
  if (action === 'delete' || version === null) return from === null || from.uid === gone ? null : { ...from, standing: null }
  const told = action === 'create' ? { transition: null, counts: null } : { transition, counts }
  return { ...version, standing: { ...version, owner, ...told } }
}
