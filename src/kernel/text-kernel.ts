// Kernel by way of nft text: renders transactions, parses listings, and tells what an answer means.
//
// The same for libnftables and for spawned nft: only the Runner below differs. Elements of sets that packets fill go past
// both, by netlink (elements-worker.ts), in the same order of calls; so do transactions of elements alone (element-commit.ts).
// What the kernel refuses of those goes as text after all, so that nft has the last word and says what is wrong.
// **Invariant:** one run at a time, in the order of the calls; a run without an answer is `unknown`, never `refused`.
import { systemClock } from '../lib/clock.ts'
import { PicketError } from '../lib/errors.ts'
import { parseListing, UnreadableListing, type CounterValue } from '../nft/listing.ts'
import type { Table, Transaction } from '../nft/objects.ts'
import { render } from '../nft/render.ts'
import { AskedWorker, STILL_HANGS } from './asked-worker.ts'
import { elementCommit, type ElementCommit } from './element-commit.ts'
import type { ElementsAnswer, ElementsRequest } from './elements-worker.ts'
import { decodeFlowtables } from './flowtables.ts'
import type { ClientSweep, CommitOutcome, ElementsChange, ElementsOutcome, ElementsTake, ForeignChange, ForeignFlowtable, Kernel, ReadBack, SweepOutcome } from './kernel.ts'
import { Notices } from './notices.ts'
import type { DoubtPost, NoticePost } from './notice-fold.ts'
import { firstError, OwnPorts, type Run, type RunResult, type Runner } from './runner.ts'

/** Milliseconds. 45,000 services take 3 s to load, 100,000 intervals about one. */
export interface Deadlines {
  readonly commit: number
  readonly list: number
}

export const DEADLINES: Deadlines = { commit: 30_000, list: 30_000 }

const TEXT_AFTER_LOSS_MS = 60_000

/** The name of our tables, in every family. */
const OURS = 'picket'

export class TextKernel implements Kernel {
  readonly description: string
  readonly #runner: Runner
  readonly #deadlines: Deadlines
  readonly #netns: string | undefined
  #last: Promise<unknown> = Promise.resolve()
  readonly #notices: Notices[] = []
  readonly #elements: AskedWorker<ElementsRequest, ElementsAnswer>
  readonly #elementsPorts = new OwnPorts()
  /** After the thread was lost, a machine that has no use for it gets on as before. */
  #textUntil = -Infinity
  /** The last run of text was not answered, and may land late: the runner waits for it, so what comes next goes there. */
  #textLost = false

  /** `netns`: path of the network namespace that the runner works in, where it is not the process's own. */
  constructor(description: string, runner: Runner, deadlines: Deadlines = DEADLINES, netns?: string) {
    this.#netns = netns
    this.description = description
    this.#runner = runner
    this.#deadlines = deadlines
    this.#elements = new AskedWorker('elements-worker', netns)
  }

  async commit(transaction: Transaction): Promise<CommitOutcome> {
    const elements = orRefused(() => elementCommit(transaction))
    if (elements !== null && 'kind' in elements) return elements
    return this.#inTurn(async () => (elements === null ? null : await this.#byNetlink(elements)) ?? (await this.#write(transaction, 'commit')))
  }

  async check(transaction: Transaction): Promise<CommitOutcome> {
    return this.#inTurn(() => this.#write(transaction, 'check'))
  }

  /** In turn already. */
  async #write(transaction: Transaction, mode: 'commit' | 'check'): Promise<CommitOutcome> {
    const text = orRefused(() => render(transaction))
    if (typeof text !== 'string') return text
    if (text === '') return { kind: 'acknowledged' }
    return outcome(await this.#text({ text, mode, deadline: this.#deadlines.commit }), text)
  }

  /** In turn already. Null where it has to go as text: the kernel holds what it held before. */
  async #byNetlink(commit: ElementCommit): Promise<CommitOutcome | null> {
    if (this.#textLost || systemClock.now() < this.#textUntil) return null
    const answer = await this.#askElements({ kind: 'commit', ...commit }, [commit.batch.buffer])
    if (typeof answer !== 'string') return answer.kind === 'done' ? { kind: 'acknowledged' } : null
    this.#textUntil = systemClock.now() + TEXT_AFTER_LOSS_MS
    return { kind: 'unknown', message: answer }
  }

  async readBack(table: Table): Promise<ReadBack> {
    const text = `list table ${table.family} ${table.name}`
    const result = await this.#run({ text, mode: 'json', deadline: this.#deadlines.list })
    if (result.kind === 'lost') return { kind: 'failed', message: result.message }
    if (result.kind === 'failed') return isAbsent(result.output) ? { kind: 'absent' } : { kind: 'failed', message: firstError(result.output, text) }
    try {
      return { kind: 'table', ...parseListing(result.output, table) }
    } catch (error) {
      if (error instanceof UnreadableListing) return { kind: 'unreadable', message: error.message }
      throw error
    }
  }

  async deleteTable(table: Table): Promise<CommitOutcome> {
    const text = `delete table ${table.family} ${table.name}\n`
    const result = await this.#run({ text, mode: 'commit', deadline: this.#deadlines.commit })
    return result.kind === 'failed' && isAbsent(result.output) ? { kind: 'acknowledged' } : outcome(result, text)
  }

  async changeElements({ family, name }: Table, changes: readonly ElementsChange[]): Promise<ElementsOutcome> {
    if (changes.every(({ verb, keys }) => verb !== 'flush' && keys.length === 0)) return { kind: 'acknowledged' }
    const answer = await this.#inTurn(() => this.#askElements({ place: { family, table: name }, kind: 'change', changes }))
    if (typeof answer === 'string') return { kind: 'unknown', message: answer }
    if (answer.kind === 'done') return { kind: 'acknowledged' }
    return answer.code === 'ENFILE' ? { kind: 'full', message: 'the set is full' } : { kind: 'refused', message: answer.message }
  }

  async takeElements({ family, name }: Table, takes: readonly ElementsTake[]): Promise<readonly Uint8Array[] | null> {
    const answer = await this.#inTurn(() => this.#askElements({ place: { family, table: name }, kind: 'take', takes }))
    return typeof answer !== 'string' && answer.kind === 'done' ? answer.keys : null
  }

  async sweepClients({ family, name }: Table, sweep: ClientSweep): Promise<SweepOutcome> {
    const answer = await this.#inTurn(() => this.#askElements({ place: { family, table: name }, kind: 'sweep', sweep }))
    if (typeof answer === 'string') return { kind: 'failed', message: answer }
    return answer.kind === 'done' ? { kind: 'done', forgotten: answer.removed } : { kind: 'failed', message: answer.message }
  }

  async readCounters({ family, name }: Table): Promise<ReadonlyMap<string, CounterValue> | null> {
    const answer = await this.#inTurn(() => this.#askElements({ place: { family, table: name }, kind: 'count' }))
    if (typeof answer === 'string' || answer.kind !== 'done') return null
    return new Map((answer.counters ?? []).map(({ name: counter, packets, bytes }) => [counter, { packets, bytes }]))
  }

  /** The answer, or why there is none. */
  async #askElements(request: ElementsRequest, transfer: readonly ArrayBuffer[] = []): Promise<ElementsAnswer | string> {
    let answer: ElementsAnswer | null = null
    const onAnswer = (one: ElementsAnswer): boolean => {
      this.#elementsPorts.add([one.port])
      answer = one
      return true
    }
    const lost = await this.#elements.ask(request, { deadline: this.#deadlines.commit, transfer, onAnswer })
    return answer ?? lost ?? 'no answer'
  }

  async flowtables(): Promise<readonly ForeignFlowtable[]> {
    const result = await this.#run({ text: 'list flowtables', mode: 'json', deadline: this.#deadlines.list })
    return result.kind === 'done' ? decodeFlowtables(result.output, OURS) : []
  }

  async watch(table: Table, onChange: (change: ForeignChange) => void): Promise<void> {
    const netns = this.#netns
    const notices = new Notices({ table, clock: systemClock, ...(netns === undefined ? {} : { netns }), onPost: (post) => this.#told(post, onChange) })
    this.#notices.push(notices)
    await notices.started
  }

  /** The answer to a run tells its port, and may come after the notification of what it did: so that is waited for. */
  #told(post: NoticePost | DoubtPost, onChange: (change: ForeignChange) => void): void {
    if (post.kind === 'doubt') return onChange({ by: `nobody knows (${post.reason})`, chains: 'all', sinceMs: post.sinceMs })
    if (this.#isOwn(post.port)) return
    const { by, chains, sinceMs } = post
    const from = systemClock.now()
    void this.#last.then(() => {
      if (!this.#isOwn(post.port)) onChange({ by, chains, sinceMs: sinceMs + systemClock.now() - from })
    })
  }

  #isOwn(port: number): boolean {
    return this.#runner.isOwnPort(port) || this.#elementsPorts.has(port)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#notices.map((notices) => notices.close()), this.#elements.close()])
    await this.#runner.close()
  }

  #run(run: Run): Promise<RunResult> {
    return this.#inTurn(() => this.#text(run))
  }

  /** In turn already. What was lost on the other way must not land behind this. */
  async #text(run: Run): Promise<RunResult> {
    const end = performance.now() + run.deadline
    const isAlone = await this.#elements.left(run.deadline)
    const result: RunResult = isAlone ? await this.#runner.run({ ...run, deadline: Math.ceil(end - performance.now()) }) : { kind: 'lost', message: STILL_HANGS }
    this.#textLost = result.kind === 'lost'
    return result
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action)
    this.#last = result.catch(() => undefined)
    return result
  }
}

/** What cannot be written safely is what the kernel would refuse: its owner is found in the same way. */
function orRefused<T>(write: () => T): T | { readonly kind: 'refused'; readonly message: string } {
  try {
    return write()
  } catch (error) {
    if (error instanceof PicketError) return { kind: 'refused', message: error.message }
    throw error
  }
}

function outcome(result: RunResult, text: string): CommitOutcome {
  if (result.kind === 'done') return { kind: 'acknowledged' }
  if (result.kind === 'lost') return { kind: 'unknown', message: result.message }
  return { kind: 'refused', message: firstError(result.output, text) }
}

/** ENOENT about the one table that was named; a kernel without that family has no such table either. */
function isAbsent(output: string): boolean {
  return /Error: (Could not process rule: )?(No such file or directory|Address family not supported|Operation not supported)/.test(output)
}
