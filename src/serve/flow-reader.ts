// One who reads GET /flows: how far it is, what it is sent next, and what it has missed.
//
// It has no lines of its own: it goes along those that are kept for all, as fast as its connection takes them, and what falls out there
// before it comes by is lost to it. **Invariant:** each line that it asked for is sent once, or counted in a `lost` record that is sent to it.
import type http from 'node:http'
import { matches } from '../flows/filter.ts'
import type { FlowQuery } from '../flows/query.ts'
import { SCHEMA, type LostRecord } from '../flows/record.ts'
import type { Clock } from '../lib/clock.ts'
import { LossCount } from '../sinks/loss.ts'
import type { RecordLine } from '../sinks/sink.ts'
import type { RecentLines } from './recent-lines.ts'

export interface ReaderOptions {
  readonly query: FlowQuery
  readonly lines: RecentLines
  readonly node: string
  readonly clock: Clock
  /** Milliseconds, within which it must take what it was sent last. */
  readonly patience: number
}

/** What is handed over at once, and not taken back. Bytes. */
const CHUNK = 32 * 1024
const TELL_EVERY_MS = 1000
/** So that many lines that do not match hold nobody up. */
const MOST_LOOKED_AT = 2000

export class FlowReader {
  readonly #response: http.ServerResponse
  readonly #options: ReaderOptions
  readonly #loss = new LossCount()
  #next: number
  /** Whatever was there before it came; `since` is about these. */
  readonly #live: number
  readonly #end: number
  #toldAt = -Infinity
  #cancelTelling: (() => void) | null = null
  #cancelPatience: (() => void) | null = null
  #isWaiting = false
  #isPlanned = false
  #isOver = false

  constructor(response: http.ServerResponse, options: ReaderOptions) {
    this.#response = response
    this.#options = options
    this.#live = options.lines.end
    this.#end = options.query.follow ? Infinity : this.#live
    this.#next = this.#start()
    response.on('drain', () => {
      this.#isWaiting = false
      this.#cancelPatience?.()
      this.pump()
    })
    response.once('close', () => this.#over())
  }

  /** Sends what there is, as far as the connection takes it. */
  pump(): void {
    const { lines } = this.#options
    let looked = 0
    while (!this.#isWaiting && !this.#isOver) {
      const chunk: string[] = []
      let size = 0
      this.#tellLoss(chunk)
      const end = Math.min(lines.end, this.#end)
      while (this.#next < end && size < CHUNK && looked < MOST_LOOKED_AT) {
        const line = lines.at(this.#next) as RecordLine
        if (this.#isWanted(this.#next, line)) {
          chunk.push(line.line)
          size += line.line.length
        }
        this.#next += 1
        looked += 1
      }
      if (chunk.length > 0) this.#send(`${chunk.join('\n')}\n`)
      else if (looked < MOST_LOOKED_AT) break
      if (looked < MOST_LOOKED_AT) continue
      return this.#pumpLater()
    }
    if (!this.#isWaiting && !this.#isOver && this.#next >= this.#end) this.#finish()
  }

  /** A line falls out. */
  passed(number: number, line: RecordLine): void {
    if (this.#isOver || number !== this.#next || number >= this.#end) return
    if (this.#isWanted(number, line)) this.#loss.add(line.record.time)
    this.#next = number + 1
  }

  /** What it has missed is told, and nothing more comes. */
  close(): void {
    this.pump()
    if (!this.#isOver) this.#finish()
  }

  #isWanted(number: number, { record }: RecordLine): boolean {
    const { since, filter } = this.#options.query
    return (since === null || number >= this.#live || Date.parse(record.time) >= since) && matches(filter, record)
  }

  /** Number of the line to begin with. */
  #start(): number {
    const { lines, query } = this.#options
    const { follow, since, last } = query
    if (last === null) return follow && since === null ? lines.end : lines.first
    let start = lines.end
    for (let number = lines.end - 1, found = 0; found < last && number >= lines.first; number--) {
      if (!this.#isWanted(number, lines.at(number) as RecordLine)) continue
      found += 1
      start = number
    }
    return start
  }

  #pumpLater(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    setImmediate(() => {
      this.#isPlanned = false
      this.pump()
    })
  }

  #send(text: string): void {
    if (this.#response.write(text)) return
    this.#isWaiting = true
    // Whoever reads nothing any more would keep its place for ever.
    this.#cancelPatience = this.#options.clock.after(this.#options.patience, () => this.#response.req.socket.destroy())
  }

  #tellLoss(chunk: string[]): void {
    const { clock } = this.#options
    if (this.#loss.pending === 0) return
    const wait = this.#toldAt + TELL_EVERY_MS - clock.now()
    if (wait <= 0) return this.#pushLoss(chunk)
    this.#cancelTelling ??= clock.after(wait, () => {
      this.#cancelTelling = null
      this.pump()
    })
  }

  #pushLoss(chunk: string[]): void {
    const { clock, node } = this.#options
    const loss = this.#loss.take()
    if (loss === null) return
    this.#toldAt = clock.now()
    const record: LostRecord = { schema: SCHEMA, type: 'lost', time: new Date(clock.wallTime()).toISOString(), node, stage: 'client', name: null, ...loss }
    chunk.push(JSON.stringify(record))
  }

  #finish(): void {
    const { lines } = this.#options
    const chunk: string[] = []
    // At the end of everything, even of what has not come by: nobody would tell it later.
    for (let number = this.#next, end = Math.min(lines.end, this.#end); number < end; number++) this.passed(number, lines.at(number) as RecordLine)
    this.#pushLoss(chunk)
    this.#response.end(chunk.map((line) => `${line}\n`).join(''))
    // It still has to take what it was sent.
    this.#cancelPatience?.()
    this.#cancelPatience = this.#options.clock.after(this.#options.patience, () => this.#response.req.socket.destroy())
    this.#cancelTelling?.()
    this.#isOver = true
  }

  #over(): void {
    this.#isOver = true
    this.#cancelPatience?.()
    this.#cancelTelling?.()
  }
}
