// The stream of one agent, taken up again whenever it breaks: without what was shown already, and with a word where something may be missing.
//
// What it goes back to is reckoned from when the agent was last heard, by no clock but the agent's own. **Invariant:** no line is given out
// twice; where it cannot be known that none is missing, that is said.
import { setTimeout as sleep } from 'node:timers/promises'
import { readLine } from '../flows/read-line.ts'
import type { AuditRecord } from '../flows/record.ts'
import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import { RetryPause } from '../lib/retry-pause.ts'
import { SeenLines } from './observe-seen.ts'

export interface Shown {
  readonly record: AuditRecord
  /** As it came. */
  readonly line: string
}

export interface Opening {
  /** Null: what was asked for at first. Else a duration: all of so far back. */
  readonly since: string | null
  readonly signal: AbortSignal
  /** Who answers, before any line: another one does not know what the one before knew. */
  readonly answers: (who: string) => void
  /** Lines as they come; an empty one says that the agent is there. */
  readonly onLine: (line: string) => Promise<void> | void
}

export interface FollowOptions {
  /** Resolves when the stream ends by itself; rejects where it breaks or cannot be opened. */
  readonly open: (opening: Opening) => Promise<void>
  readonly clock: Clock
  /** Whether it is not worth another attempt; `heard`: whether the agent has ever answered. */
  readonly isFinal: (error: unknown, heard: boolean) => boolean
  readonly onRecord: (shown: Shown) => Promise<void> | void
  /** For people: what goes wrong, or may be missing. */
  readonly note: (text: string) => void
}

/** Milliseconds. */
const OVERLAP = 5_000
const FIRST_PAUSE = 500
const LONGEST_PAUSE = 10_000
/** After so long without an answer it is told. */
const PATIENCE = 3_000
/** How often a line that is no record is told of one agent. */
const MOST_COMPLAINTS = 3

/** Follows until `signal` is aborted. Rejects where isFinal says so of an error. */
export async function follow(options: FollowOptions, signal: AbortSignal): Promise<void> {
  const stream = new FollowedStream(options)
  const pause = new RetryPause(FIRST_PAUSE, LONGEST_PAUSE)
  while (!signal.aborted) {
    const before = stream.heardAt
    try {
      await options.open(stream.opening(signal))
    } catch (error) {
      if (signal.aborted) return
      if (options.isFinal(error, stream.heardAt !== null)) throw error
      stream.broke(error)
    }
    if (stream.heardAt !== before) pause.reset()
    await sleep(pause.next(), undefined, { signal }).catch(() => undefined)
  }
}

class FollowedStream {
  readonly #options: FollowOptions
  readonly #seen = new SeenLines()
  readonly #lines: Lines
  readonly #began: number
  #heardAt: number | null = null
  #who: string | null = null
  #isTold = false

  constructor(options: FollowOptions) {
    this.#options = options
    this.#lines = new Lines(options.note)
    this.#began = options.clock.now()
  }

  get heardAt(): number | null {
    return this.#heardAt
  }

  opening(signal: AbortSignal): Opening {
    const { clock, note } = this.#options
    const heardAt = this.#heardAt
    const since = heardAt === null ? null : `${Math.ceil(clock.now() - heardAt + OVERLAP)}ms`
    // Whoever goes so far back must see this one again; that it came a moment after its own time is allowed for.
    const mark = heardAt === null ? null : this.#seen.lastSince(heardAt - OVERLAP / 2)
    let isKnown = mark === null
    return {
      since,
      signal,
      answers: (who) => {
        if (this.#who !== null && this.#who !== who) note(`another agent answers now (${who}): what the one before logged at its end may be missing`)
        // It is said already.
        if (this.#who !== who) isKnown = true
        this.#who = who
      },
      onLine: async (line) => {
        this.#heard()
        if (line === '') return
        if (since !== null && this.#seen.has(line)) return void (isKnown = true)
        const record = this.#lines.read(line)
        if (record === null || (since !== null && record.time < this.#seen.firstTime)) return
        if (!isKnown && mark !== null && record.time > mark) {
          isKnown = true
          note(`records between ${mark} and ${record.time} may be missing: the stream was broken, and the agent no longer has what was seen last`)
        }
        this.#seen.add(line, record.time, clock.now())
        await this.#options.onRecord({ record, line })
      },
    }
  }

  broke(error: unknown): void {
    const { clock, note } = this.#options
    if (this.#isTold || clock.now() - (this.#heardAt ?? this.#began) < PATIENCE) return
    this.#isTold = true
    note(`${messageOf(error)}; it is tried again`)
  }

  #heard(): void {
    this.#heardAt = this.#options.clock.now()
    if (this.#isTold) this.#options.note('answers again')
    this.#isTold = false
  }
}

/** Lines to records; what is none is told a few times. */
export class Lines {
  #complaints = 0
  readonly #note: (text: string) => void

  constructor(note: (text: string) => void) {
    this.#note = note
  }

  read(line: string): AuditRecord | null {
    const { record, wrong } = readLine(line)
    if (record !== null) return record
    this.#complaints += 1
    if (this.#complaints <= MOST_COMPLAINTS) this.#note(`a line that is no record: ${wrong}: is it of this version?`)
    return null
  }
}
