// The canary's watch: a round a minute, again at once where one fails, and what that comes to: a state, problems, a count.
//
//   the kernel holds the first ruleset -> round -> good: wait the interval -> ...
//                                         not good: the table is read back now, and rounds follow until three of them failed
//
// One round may fail beside a change of somebody that the committer puts right, or a commit; such rounds do not count, up to a limit.
// **Invariant:** nothing is told of one round alone, and a state that was told stays until a good round, or three of another kind.
import { judgeFamily, judgeRound, type CanaryResult, type Round, type Verdict } from '../canary/verdict.ts'
import type { CanaryAnswer } from '../canary/canary-worker.ts'
import { AskedWorker } from '../kernel/asked-worker.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import type { AgentConfig } from '../settings.ts'

export interface CanaryState {
  /** `pending`: no round has been judged yet. Else as verdict.ts says; `ok` and nothing else proves the table. */
  readonly result: CanaryResult | 'pending'
  /** Since when that is so, and when the last round ended: milliseconds since 1970; null before the first. */
  readonly since: number | null
  readonly lastRound: number | null
  /** Also of `ok`, where there is something to say. */
  readonly message: string
}

export interface CanaryOptions {
  readonly clock: Clock
  /** Milliseconds from the end of a good round to the next. */
  readonly interval: number
  /** A text says why there was none. */
  readonly round: () => Promise<Round | string>
  /** The table may not be what it should be: it is to be read back now. */
  readonly recheck: () => void
  readonly onProblems: (problems: readonly Problem[]) => void
  /** Of each round, told or not. */
  readonly onRound: (family: Family, result: CanaryResult) => void
  readonly onClosed?: () => Promise<void>
}

/** So many rounds have to fail before it is told. */
const TELLING_ROUNDS = 3
/** Those count also where somebody commits all the time. */
const MOST_ROUNDS = 10
/** A repair takes half a second at the longest. */
const AGAIN_MS = 1_000
/** Of a round: rtnetlink's lock may be held for seconds. */
const DEADLINE_MS = 30_000
/** While something is told. */
const TOLD_INTERVAL_MS = 10_000

export class Canary {
  state: CanaryState = { result: 'pending', since: null, lastRound: null, message: 'no round has ended yet' }
  readonly #options: CanaryOptions
  #running: Promise<void> | null = null
  #cancel: (() => void) | null = null
  #closed = false
  #started = false
  /** Rounds one after another that failed alike, and all that failed. */
  #failed = 0
  #rounds = 0
  #last: CanaryResult = 'ok'

  constructor(options: CanaryOptions) {
    this.#options = options
  }

  /** The kernel holds a ruleset: the first time, rounds begin. */
  held(): void {
    if (this.#started || this.#closed) return
    this.#started = true
    this.#next(0)
  }

  /** What it stands on stays. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel?.()
    await this.#options.onClosed?.()
    await this.#running
  }

  #next(pause: number): void {
    this.#cancel = this.#options.clock.after(pause, () => {
      this.#running = this.#round()
    })
  }

  async #round(): Promise<void> {
    const { interval } = this.#options
    const round = await this.#options.round()
    if (this.#closed) return
    const verdict: Verdict = typeof round === 'string' ? { result: 'failed', message: round } : judgeRound(round)
    this.#count(round)
    if (isGood(verdict.result)) return this.#tell(verdict, interval)
    if (verdict.result !== this.#last) this.#failed = 0
    this.#last = verdict.result
    this.#rounds++
    if (typeof round === 'string' || round.quiet) this.#failed++
    if (verdict.result === 'leaked' || verdict.result === 'dropped') this.#options.recheck()
    const isTold = this.#failed >= TELLING_ROUNDS || this.#rounds >= MOST_ROUNDS
    if (isTold) return this.#tell(verdict, Math.min(interval, TOLD_INTERVAL_MS))
    this.state = { ...this.state, lastRound: this.#options.clock.wallTime() }
    this.#next(Math.min(interval, AGAIN_MS))
  }

  #count(round: Round | string): void {
    for (const family of FAMILIES) this.#options.onRound(family, typeof round === 'string' ? 'failed' : judgeFamily(family, round.families[family]).result)
  }

  #tell({ result, message }: Verdict, pause: number): void {
    const now = this.#options.clock.wallTime()
    const since = this.state.result === result ? this.state.since : now
    ;[this.#failed, this.#rounds, this.#last] = [0, 0, result]
    this.state = { result, since, lastRound: now, message }
    this.#options.onProblems(isGood(result) ? [] : [problemOf(result, message)])
    this.#next(pause)
  }
}

export interface CanaryParts {
  readonly config: Pick<AgentConfig, 'canary' | 'canaryInterval'>
  readonly clock: Clock
  readonly recheck: () => void
  readonly onProblems: (problems: readonly Problem[]) => void
  readonly onRound: CanaryOptions['onRound']
}

/** Of the agent, with its thread; null where the settings want none. */
export function startCanary({ config, ...parts }: CanaryParts): Canary | null {
  if (!config.canary) return null
  // Not while the agent starts: that is when processors are needed elsewhere.
  let worker: AskedWorker<object, CanaryAnswer> | null = null
  return new Canary({
    ...parts,
    interval: config.canaryInterval,
    round: async () => {
      worker ??= new AskedWorker<object, CanaryAnswer>('canary-worker')
      const answers: CanaryAnswer[] = []
      const lost = await worker.ask({}, { deadline: DEADLINE_MS, onAnswer: (answer) => answers.push(answer) > 0 })
      const [answer] = answers
      if (answer === undefined) return lost ?? 'no answer'
      return answer.kind === 'done' ? answer.round : answer.message
    },
    onClosed: async () => worker?.close(),
  })
}

function isGood(result: CanaryResult): boolean {
  return result === 'ok' || result === 'skipped'
}

const SAID: Readonly<Record<Exclude<CanaryResult, 'ok' | 'skipped'>, Pick<Problem, 'code' | 'severity'> & { readonly so: string }>> = {
  leaked: { code: 'CanaryLeaked', severity: 'error', so: 'policy may not be enforced on this node; the table is read back and put right, and this is tried again every 10 s' },
  dropped: { code: 'CanaryDropped', severity: 'error', so: 'pods may lose what policy allows on this node; the table is read back and put right, and this is tried again every 10 s' },
  blocked: { code: 'CanaryBlocked', severity: 'warning', so: 'so nothing is proven of the table; look for other firewalls of this node (nft list ruleset, iptables-save)' },
  failed: { code: 'CanaryFailed', severity: 'warning', so: 'so nothing is proven of the table; this is tried again every 10 s' },
}

function problemOf(result: keyof typeof SAID | 'ok' | 'skipped', message: string): Problem {
  const { code, severity, so } = SAID[result as keyof typeof SAID]
  return { code, severity, object: 'table inet picket', message: `the canary's packets: ${message}; ${so}` }
}
