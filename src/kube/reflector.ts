// One resource of the API server, kept up with: list, watch, resume, list again. Rows go out as events for the inbox.
//
//   list (WatchList or pages) --replace, synced--> watch --upsert, delete--> ended or failed: resume where we are
//   410, a history that went back, or repeated failures: list again, as one `replace`; what vanished meanwhile is gone with it
//
// **Invariant:** nothing is said to be gone but by a DELETED event or by a complete list; a failure says nothing at all,
// so that what is known stays in force.
import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'
import { Attempts, type Pauses } from './attempts.ts'
import { Calm } from './calm.ts'
import { acceptOf } from './encodings.ts'
import { ApiFailure, problemOf, type FailureCode } from './failures.ts'
import { readList } from './list.ts'
import type { Resource } from './resources.ts'
import type { RowEvent } from './rows.ts'
import type { Server } from './server.ts'
import type { Answer, Transport } from './transport.ts'
import { WatchReader } from './watch-reader.ts'

export interface ReflectorOptions {
  readonly resource: Resource
  readonly transport: Transport
  readonly server: Server
  readonly clock: Clock
  /** [0, 1) */
  readonly random: () => number
  readonly pauses: Pauses
  /** In order; never again after close() was called. */
  readonly onEvents: (events: readonly RowEvent[]) => void
  /** `problem` is another than before. */
  readonly onProblem: () => void
  /** The server answered after it could not be reached. */
  readonly onReached: () => void
}

/** Seconds after which the server ends a watch; up to twice as long, so that not all nodes come back at once. */
const SHORTEST_WATCH_S = 300
/** A server that does not end it by then is taken for hung. */
const OVERDUE_MS = 30_000
/** Failures of WatchList after which the list is read in pages, the next time. */
const OF_WATCH_LIST: readonly FailureCode[] = ['Garbage', 'TooLarge', 'Hung', 'Cut', 'Internal']
/** A whole list in pages. */
const LONGEST_LIST_MS = 600_000

export interface ResourceState {
  /** `pods` */
  readonly resource: string
  readonly synced: boolean
  /** Where a watch would go on; null: with a list. */
  readonly resourceVersion: string | null
  /** Milliseconds since 1970: an object's event or list; null for none yet. */
  readonly lastEventAt: number | null
  /** Anything, bookmarks too. */
  readonly lastHeardAt: number | null
  readonly lists: number
  /** Watches that were opened after the first. */
  readonly reconnects: number
  /** Of the last failure, whether or not it is over. */
  readonly lastError: string | null
  /** Failures since the start, by code. */
  readonly errors: Readonly<Partial<Record<FailureCode, number>>>
}

export class Reflector {
  readonly #options: ReflectorOptions
  readonly #attempts: Attempts
  readonly #stop = new AbortController()
  #running: Promise<void> | null = null
  #version: string | null = null
  #synced = false
  #lists = 0
  /** That were opened. */
  #watches = 0
  #lastEventAt: number | null = null
  #lastHeardAt: number | null = null
  #lastError: string | null = null
  readonly #errors: Partial<Record<FailureCode, number>> = {}
  #problem: Problem | null = null
  /** WatchList failed for another reason than that there is none: the next list is read in pages. */
  #pagesNext = false
  /** The present watch got further than where it began. */
  #progressed = false

  constructor(options: ReflectorOptions) {
    this.#options = options
    this.#attempts = new Attempts(options.clock, options.pauses, options.random, this.#stop.signal)
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'))
    await this.#running
  }

  /** Somebody else reached the server: a pause that waits for nothing else ends. */
  reachable(): void {
    if (this.#attempts.unreachable) this.#attempts.wake()
  }

  get problem(): Problem | null {
    return this.#problem
  }

  state(): ResourceState {
    return {
      resource: this.#options.resource.title ?? this.#options.resource.plural,
      synced: this.#synced,
      resourceVersion: this.#version,
      lastEventAt: this.#lastEventAt,
      lastHeardAt: this.#lastHeardAt,
      lists: this.#lists,
      reconnects: Math.max(0, this.#watches - 1),
      lastError: this.#lastError,
      errors: { ...this.#errors },
    }
  }

  get #closed(): boolean {
    return this.#stop.signal.aborted
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#round()
      } catch (error) {
        if (this.#closed) return
        await this.#attempts.pause(this.#failed(error))
      }
    }
  }

  async #round(): Promise<void> {
    const { server } = this.#options
    if (this.#version !== null) return this.#watch(this.#version)
    const byWatch = (await server.wantsWatchList(this.#stop.signal)) && !this.#pagesNext
    if (byWatch) return this.#watch(null)
    return this.#watch(await this.#list())
  }

  /** In pages. The version from which to watch. */
  async #list(): Promise<string> {
    const { clock, resource, transport } = this.#options
    const overdue = new AbortController()
    const cancel = clock.after(LONGEST_LIST_MS, () => overdue.abort(new ApiFailure('Hung', `the list of ${resource.plural} does not come to its end`)))
    try {
      const { rows, version } = await readList(transport, resource, AbortSignal.any([this.#stop.signal, overdue.signal]))
      this.#tell([{ verb: 'replace', kind: resource.rows, rows }])
      this.#version = version
      this.#pagesNext = false
      return version
    } finally {
      cancel()
    }
  }

  /** Until the server ends it; `version` null: beginning with the whole state. */
  async #watch(version: string | null): Promise<void> {
    const { clock, random, resource, server } = this.#options
    const seconds = Math.round(SHORTEST_WATCH_S * (1 + random()))
    const overdue = new AbortController()
    const late = new ApiFailure('Hung', `the server does not end its watch of ${resource.plural}, which is over`)
    const cancel = clock.after(seconds * 1000 + OVERDUE_MS, () => overdue.abort(late))
    this.#progressed = false
    try {
      const answer = await this.#open(version, seconds, AbortSignal.any([this.#stop.signal, overdue.signal]))
      if (answer === null) return server.hasNoWatchList()
      await this.#follow(answer, version)
    } catch (error) {
      const ofList = version === null && this.#version === null && error instanceof ApiFailure && OF_WATCH_LIST.includes(error.code)
      if (ofList) this.#pagesNext = true
      throw error
    } finally {
      cancel()
    }
  }

  /** Null where the server has no WatchList. */
  async #open(version: string | null, seconds: number, signal: AbortSignal): Promise<Answer | null> {
    const { transport, resource } = this.#options
    const from: Record<string, string> = version === null ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' } : { resourceVersion: version }
    try {
      const query = { watch: 'true', allowWatchBookmarks: 'true', timeoutSeconds: String(seconds), ...resource.query, ...from }
      const answer = await transport.get({ verb: 'watch', resource, path: resource.path, query, accept: acceptOf(resource, 'watch') }, signal)
      this.#watches += 1
      this.#reached()
      this.#attempts.answered()
      return answer
    } catch (error) {
      if (version === null && error instanceof ApiFailure && error.code === 'RequestRefused') return null
      throw error
    }
  }

  async #follow({ body, contentType, server }: Answer, version: string | null): Promise<void> {
    const { resource, transport } = this.#options
    const reader = new WatchReader(resource, version, contentType)
    const calm = new Calm(this.#options.clock, this.#options.pauses.calm, () => this.#recovered())
    try {
      if (version !== null) calm.begin()
      for await (const portion of body) {
        this.#read(reader, portion)
        if (reader.version !== null) calm.begin()
      }
      if (reader.version === null) throw new ApiFailure('Cut', `${server} ended the initial events of ${resource.plural} before they were complete`)
      if (!calm.reached) throw new ApiFailure('Ended', `${server} ended the watch of ${resource.plural} as soon as it had begun`)
    } catch (error) {
      if (error instanceof ApiFailure && error.code !== 'Gone') transport.leave(server)
      // Not even a bookmark: the server may wait for a version that it will not reach (etcd restored from a backup).
      if (error instanceof ApiFailure && error.code === 'Hung' && reader.heard === 0) this.#version = null
      throw error
    } finally {
      calm.end()
    }
  }

  /** What was read before a failure is told all the same. */
  #read(reader: WatchReader, portion: Buffer): void {
    const events: RowEvent[] = []
    const before = { heard: reader.heard, version: reader.version }
    try {
      reader.read(portion, events)
    } finally {
      if (reader.heard > before.heard) this.#lastHeardAt = this.#options.clock.wallTime()
      if (reader.version !== before.version) this.#progressed = true
      if (before.version === null && reader.version !== null) this.#options.server.hasWatchList()
      this.#tell(events)
      if (!this.#closed) this.#version = reader.version
    }
  }

  #tell(events: readonly RowEvent[]): void {
    if (events.length === 0 || this.#closed) return
    const { resource, clock, onEvents } = this.#options
    this.#lastEventAt = clock.wallTime()
    const listed = events.some(({ verb }) => verb === 'replace')
    if (listed) this.#lists += 1
    onEvents(listed && !this.#synced ? [...events, { verb: 'synced', kind: resource.rows }] : events)
    if (listed) this.#synced = true
  }

  /** The pause before the next attempt, in milliseconds. */
  #failed(error: unknown): number {
    const failure = error instanceof ApiFailure ? error : new ApiFailure('Internal', `a mistake of our own: ${messageOf(error)}`)
    this.#lastError = failure.message
    this.#errors[failure.code] = (this.#errors[failure.code] ?? 0) + 1
    if (failure.code !== 'Unreachable') this.#reached()
    const { pauseMs, lost } = this.#attempts.failed(failure, this.#progressed)
    this.#progressed = false
    if (lost) this.#version = null
    this.#setProblem(problemOf(failure, this.#options.resource.plural, this.#attempts.failures, this.#synced))
    return pauseMs
  }

  #reached(): void {
    if (this.#attempts.unreachable) this.#options.onReached()
  }

  #recovered(): void {
    this.#attempts.recovered()
    this.#setProblem(null)
  }

  #setProblem(problem: Problem | null): void {
    const changed = problem?.message !== this.#problem?.message
    this.#problem = problem
    if (changed && !this.#closed) this.#options.onProblem()
  }
}
