// Which of several processes leads: whoever holds a Lease, and says so again every few seconds.
//
//   nobody holds it | its holder gave no sign of life for its whole duration --replace at the version that was read--> leads
//   leads --renewed: goes on; somebody else has it, it is gone, or not renewed until the deadline: steps down--> waits again
//
// Clocks of others are never compared: only whether the Lease changes, by our own clock. **Invariant:** who leads has renewed the
// Lease, counted from the request's start, within a time that is shorter than any other one waits; leads() itself looks at the clock.
import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import { ApiFailure, type FailureCode } from './failures.ts'
import { heldBy, holdingOf, LEASE, newLease, released } from './lease.ts'
import type { ObjectWriter, StoredObject } from './object-writer.ts'

/** Milliseconds. */
export interface LeaseTimes {
  /** That others wait after the last sign of life. */
  readonly duration: number
  /** Without renewal for so long, the leader steps down: clearly less than the duration. */
  readonly deadline: number
  /** Between two attempts. */
  readonly retry: number
}

/** Those of client-go. */
export const USUAL_LEASE_TIMES: LeaseTimes = { duration: 15_000, deadline: 10_000, retry: 2_000 }

export interface LeaderOptions {
  readonly writer: Pick<ObjectWriter, 'get' | 'create' | 'replace'>
  readonly clock: Clock
  /** [0, 1) */
  readonly random: () => number
  readonly namespace: string
  readonly name: string
  /** No other process ever has the same: the pod's name and something random. */
  readonly identity: string
  readonly times?: LeaseTimes
  readonly onStarted: () => void
  /** Nothing may be written once its promise has resolved: the Lease is given back, or asked for again, only then. */
  readonly onStopped: () => void | Promise<void>
  /** The last failure in words, or null once it is over; conflicts are none. */
  readonly onTrouble?: (message: string | null) => void
}

interface Moment {
  readonly now: number
  readonly wall: number
}

/** Somebody was quicker: the next look shows who. */
const OF_OTHERS: readonly FailureCode[] = ['Conflict', 'AlreadyExists', 'NotFound']
/** Contenders do not all look at the same moment. */
const SPREAD = 0.2
const LONGEST_RELEASE_MS = 5_000

export class Leader {
  readonly #options: LeaderOptions
  readonly #times: LeaseTimes
  readonly #stop = new AbortController()
  #running: Promise<void> | null = null
  /** As last read or written. */
  #lease: StoredObject | null = null
  /** Since when the Lease stands as it is, by our clock. */
  #seen: { readonly version: string; readonly at: number } | null = null
  /** When the request began that last renewed it; null: does not lead. */
  #renewed: Moment | null = null
  /** A request that takes the Lease has no answer yet: the API server may have carried it out. */
  #mayHold = false
  #cancelDeadline: () => void = () => {}
  #stopping: Promise<void> = Promise.resolve()
  #trouble: string | null = null

  constructor(options: LeaderOptions) {
    this.#options = options
    this.#times = options.times ?? USUAL_LEASE_TIMES
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** At this very moment, after a pause of the whole process too: to be asked in front of each write. */
  leads(): boolean {
    return this.#renewed !== null && !this.#stop.signal.aborted && this.#age(this.#renewed) < this.#times.deadline
  }

  /** Whoever holds it as far as is known; null: nobody. */
  get holder(): string | null {
    return this.#lease === null ? null : holdingOf(this.#lease).holder
  }

  /** Steps down, then gives the Lease back where it is ours. Never fails. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'))
    this.#stepDown()
    await this.#running
    await this.#stopping
    await this.#release()
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#pause(await this.#attempt())
    }
  }

  /** One look, and what follows from it. Milliseconds until the next. */
  async #attempt(): Promise<number> {
    const { clock, random } = this.#options
    const { deadline, retry } = this.#times
    const overdue = new AbortController()
    const left = this.#renewed === null ? deadline : Math.max(0, deadline - (clock.now() - this.#renewed.now))
    const cancel = clock.after(left, () => overdue.abort(new ApiFailure('Hung', `the Lease ${this.#path} could not be renewed in time`)))
    try {
      await this.#contend(AbortSignal.any([this.#stop.signal, overdue.signal]))
      this.#tell(null)
    } catch (error) {
      if (this.#stop.signal.aborted) return 0
      this.#failed(error)
      if (error instanceof ApiFailure && error.retryAfterMs !== null) return Math.max(retry, error.retryAfterMs)
    } finally {
      cancel()
    }
    if (this.#renewed !== null) return retry
    const wait = this.#waitMs()
    const usual = retry * (1 + SPREAD * random())
    return wait > 0 ? Math.min(usual, wait) : usual
  }

  async #contend(signal: AbortSignal): Promise<void> {
    const { writer, clock, identity, namespace, name } = this.#options
    const { duration } = this.#times
    if (this.#renewed !== null && this.#lease !== null && (await this.#renew(this.#lease, signal))) return
    const lease = await writer.get(LEASE, { namespace, name }, signal)
    this.#see(lease)
    // What came in between is not ours any more, even if nobody has it yet.
    if (this.#renewed !== null && this.holder !== identity) this.#stepDown()
    await this.#stopping
    if (signal.aborted) throw signal.reason
    const from = this.#moment()
    this.#mayHold = lease === null || this.#waitMs() <= 0
    if (lease === null) return this.#took(await writer.create(LEASE, newLease(namespace, name, identity, duration, clock.wallTime()), signal), from)
    if (this.#waitMs() > 0) return
    this.#took(await writer.replace(LEASE, heldBy(lease, identity, duration, clock.wallTime()), {}, signal), from)
  }

  /**
   * Without a look before it: where nobody touched the Lease, this is all that a leader asks, and proof that nobody led
   * meanwhile, however late it is. False where somebody touched it.
   */
  async #renew(lease: StoredObject, signal: AbortSignal): Promise<boolean> {
    const { writer, clock, identity } = this.#options
    const from = this.#moment()
    try {
      this.#took(await writer.replace(LEASE, heldBy(lease, identity, this.#times.duration, clock.wallTime()), {}, signal), from)
      return true
    } catch (error) {
      if (error instanceof ApiFailure && OF_OTHERS.includes(error.code)) return false
      throw error
    }
  }

  #took(lease: StoredObject, from: Moment): void {
    this.#mayHold = false
    if (this.#stop.signal.aborted) {
      this.#lease = lease
      return
    }
    const led = this.#renewed !== null
    this.#see(lease)
    const left = this.#times.deadline - this.#age(from)
    // So late that others may have it by now: the next attempt shows.
    if (left <= 0) return
    this.#renewed = from
    this.#cancelDeadline()
    this.#cancelDeadline = this.#options.clock.after(left, () => this.#stepDown())
    if (!led) this.#options.onStarted()
  }

  #see(lease: StoredObject | null): void {
    this.#lease = lease
    const version = lease?.metadata.resourceVersion ?? ''
    if (this.#seen?.version !== version) this.#seen = { version, at: this.#options.clock.now() }
  }

  /** Until it may be taken, in milliseconds. */
  #waitMs(): number {
    if (this.#lease === null || this.#seen === null) return 0
    const { holder, durationMs } = holdingOf(this.#lease)
    if (holder === null || holder === this.#options.identity) return 0
    return this.#seen.at + (durationMs ?? this.#times.duration) - this.#options.clock.now()
  }

  #stepDown(): void {
    this.#cancelDeadline()
    if (this.#renewed === null) return
    this.#renewed = null
    const { onStopped } = this.#options
    this.#stopping = Promise.resolve(onStopped()).catch((error: unknown) => this.#tell(`what the leader does could not be stopped: ${messageOf(error)}`))
  }

  /** By both clocks: the one stands still while a machine sleeps, the other is set by people. */
  #age(since: Moment): number {
    const { now, wall } = this.#moment()
    return Math.max(now - since.now, wall - since.wall)
  }

  #moment(): Moment {
    return { now: this.#options.clock.now(), wall: this.#options.clock.wallTime() }
  }

  get #path(): string {
    return `${this.#options.namespace}/${this.#options.name}`
  }

  #failed(error: unknown): void {
    if (error instanceof ApiFailure && OF_OTHERS.includes(error.code) && error.code !== 'NotFound') return
    this.#tell(error instanceof ApiFailure ? error.message : `a mistake of our own: ${messageOf(error)}`)
  }

  #tell(message: string | null): void {
    if (message === this.#trouble) return
    this.#trouble = message
    this.#options.onTrouble?.(message)
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        cancel()
        signal.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.#options.clock.after(ms, done)
      signal.addEventListener('abort', done)
    })
  }

  /** Read anew where the end cut off the request that takes it; twice, where an answer was lost that had renewed it. */
  async #release(): Promise<void> {
    const { writer, clock, identity, namespace, name } = this.#options
    const overdue = new AbortController()
    const cancel = clock.after(LONGEST_RELEASE_MS, () => overdue.abort(new Error('released by time alone')))
    try {
      if (this.#mayHold) this.#lease = await writer.get(LEASE, { namespace, name }, overdue.signal)
      for (let i = 0; i < 2 && this.#lease !== null && this.holder === identity; i += 1) {
        try {
          this.#lease = await writer.replace(LEASE, released(this.#lease, clock.wallTime()), {}, overdue.signal)
        } catch (error) {
          if (!(error instanceof ApiFailure && error.code === 'Conflict')) throw error
          this.#lease = await writer.get(LEASE, { namespace, name }, overdue.signal)
        }
      }
    } catch {
      // Others wait until it has expired.
    } finally {
      cancel()
    }
  }
}
