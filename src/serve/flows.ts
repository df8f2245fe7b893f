// GET /flows of the agent's socket: the records of late, then what comes, one JSON line each, for up to so many readers at once.
//
//   write(line) --> the last 4 MB --> each reader, at its own pace
//
// **Invariant:** a reader costs nobody else anything but its place: write() never waits for one, and memory does not grow with how slow they are.
import type http from 'node:http'
import { FilterError } from '../flows/filter.ts'
import { parseQuery, type FlowQuery } from '../flows/query.ts'
import { systemClock, type Clock } from '../lib/clock.ts'
import type { RecordLine } from '../sinks/sink.ts'
import { FlowReader } from './flow-reader.ts'
import { RecentLines } from './recent-lines.ts'

export interface FlowStreamOptions {
  readonly node: string
  readonly clock?: Clock
  /** Of lines that are kept. */
  readonly bytes?: number
  readonly readers?: number
  /** Milliseconds, after which a reader that takes nothing is cut off. */
  readonly patience?: number
}

export interface FlowStreamState {
  /** Readers now. */
  readonly readers: number
  /** Lines that are kept, their bytes, and how many fell out. */
  readonly kept: number
  readonly bytes: number
  readonly forgotten: number
}

const KEPT_BYTES = 4 * 1024 * 1024
const MOST_READERS = 32
const PATIENCE_MS = 60_000
/** What may come before readers are given it, at the latest in the same moment: far less than what is kept. */
const AT_ONCE_BYTES = 128 * 1024

export class FlowStream {
  readonly #options: Required<FlowStreamOptions>
  readonly #lines: RecentLines
  readonly #readers = new Set<FlowReader>()
  #fresh = 0
  #isPlanned = false
  #isClosed = false

  constructor(options: FlowStreamOptions) {
    this.#options = { clock: systemClock, bytes: KEPT_BYTES, readers: MOST_READERS, patience: PATIENCE_MS, ...options }
    this.#lines = new RecentLines(this.#options.bytes, (number, line) => {
      for (const reader of this.#readers) reader.passed(number, line)
    })
  }

  /** Never waits, and never throws. */
  write(line: RecordLine): void {
    if (this.#isClosed) return
    this.#lines.add(line)
    if (this.#readers.size === 0) return
    this.#fresh += line.line.length
    if (this.#fresh >= Math.min(AT_ONCE_BYTES, this.#options.bytes / 4)) return this.#pump()
    // Many lines of one moment are one write for each reader.
    if (this.#isPlanned) return
    this.#isPlanned = true
    setImmediate(() => {
      this.#isPlanned = false
      this.#pump()
    })
  }

  /** Answers GET /flows; 400 names the parameter that is wrong, 503 says that there are too many readers. */
  handle(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { node, clock, patience, readers } = this.#options
    const query = this.#queryOf(request, response)
    if (query === null) return
    if (this.#isClosed) return refuse(response, 503, 'the agent is stopping; ask again once it has started')
    if (this.#readers.size >= readers) return refuse(response, 503, `${readers} readers follow this agent already, expected fewer; end one of them, or ask again later`)
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store', 'picket-forgotten': String(this.#lines.first) })
    response.flushHeaders()
    // What goes wrong with a connection concerns nobody but its reader.
    response.on('error', () => undefined)
    const reader = new FlowReader(response, { query, lines: this.#lines, node, clock, patience })
    this.#readers.add(reader)
    response.once('close', () => this.#readers.delete(reader))
    // A connection that was gone before tells nothing any more.
    if (request.socket.destroyed) this.#readers.delete(reader)
    else reader.pump()
  }

  state(): FlowStreamState {
    const { first, end, bytes } = this.#lines
    return { readers: this.#readers.size, kept: end - first, bytes, forgotten: first }
  }

  /** Readers get what they can take at once, with a word of the rest; then their connections end. */
  close(): void {
    this.#isClosed = true
    for (const reader of this.#readers) reader.close()
  }

  #pump(): void {
    this.#fresh = 0
    for (const reader of this.#readers) reader.pump()
  }

  #queryOf(request: http.IncomingMessage, response: http.ServerResponse): FlowQuery | null {
    try {
      return parseQuery(new URL(request.url ?? '/', 'http://agent').searchParams, this.#options.clock.wallTime())
    } catch (error) {
      if (!(error instanceof FilterError)) throw error
      refuse(response, 400, error.message)
      return null
    }
  }
}

function refuse(response: http.ServerResponse, status: number, error: string): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify({ error })}\n`)
}
