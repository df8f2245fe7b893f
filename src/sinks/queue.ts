// What a sink has not written yet: so many records and bytes at most; what comes on top is lost, counted, and told once a second.
//
// The newest are lost, not the oldest: what is queued may be on its way already. Records of loss and of the agent itself find some room
// of their own behind a full queue, since they tell of others. **Invariant:** every record that was put in is in the queue, was taken out
// of it, or is counted as lost; never two of these.
import type { Clock } from '../lib/clock.ts'
import { LossCount, type Loss } from './loss.ts'
import type { RecordLine } from './sink.ts'

export interface QueueLimits {
  readonly records: number
  /** Of UTF-8, line feeds included. */
  readonly bytes: number
}

/** Some seconds of the most that is logged by default. */
const QUEUE_LIMITS: QueueLimits = { records: 8192, bytes: 8 * 1024 * 1024 }

/** As queued. */
export interface QueuedLine {
  readonly line: RecordLine
  /** Of `line.line` with a line feed. */
  readonly bytes: number
}

const TELL_EVERY_MS = 1000
/** What is of other types than `verdict` may go over the limits by this share. */
const RESERVE = 1 / 8

export class RecordQueue {
  readonly #limits: QueueLimits
  readonly #clock: Clock
  readonly #onLost: (loss: Loss) => void
  readonly #loss = new LossCount()
  #queued: QueuedLine[] = []
  /** Place of the first that is still there: taking from the front of an array costs its length. */
  #head = 0
  #bytes = 0
  #cancel: (() => void) | null = null

  constructor(clock: Clock, onLost: (loss: Loss) => void, limits: QueueLimits = QUEUE_LIMITS) {
    this.#clock = clock
    this.#onLost = onLost
    this.#limits = limits
  }

  get length(): number {
    return this.#queued.length - this.#head
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Records, ever. */
  get lost(): number {
    return this.#loss.total
  }

  /** False where it was lost. */
  push(line: RecordLine): boolean {
    const bytes = Buffer.byteLength(line.line) + 1
    const factor = line.record.type === 'verdict' ? 1 : 1 + RESERVE
    if (this.length + 1 > this.#limits.records * factor || this.#bytes + bytes > this.#limits.bytes * factor) {
      this.lose(line)
      return false
    }
    this.#queued.push({ line, bytes })
    this.#bytes += bytes
    return true
  }

  /** The oldest ones, as many as have `bytes` together, one at least; empty where none is queued. */
  take(bytes: number): readonly QueuedLine[] {
    const from = this.#head
    let size = 0
    while (this.#head < this.#queued.length) {
      const next = (this.#queued[this.#head] as QueuedLine).bytes
      if (size > 0 && size + next > bytes) break
      size += next
      this.#head += 1
    }
    const taken = this.#queued.slice(from, this.#head)
    this.#bytes -= size
    if (this.#head * 2 >= this.#queued.length) {
      this.#queued = this.#queued.slice(this.#head)
      this.#head = 0
    }
    return taken
  }

  /** Counts one that was taken out, or never put in, as lost. */
  lose({ record }: RecordLine): void {
    this.#loss.add(record.time)
    this.#tellSoon()
  }

  /** Counts so many of those that were taken out as lost, without knowing which: told with the times of all. */
  reject(lines: readonly QueuedLine[], count: number): void {
    const [first, last] = [lines[0], lines.at(-1)]
    if (count === 0 || first === undefined || last === undefined) return
    this.#loss.add(first.line.record.time, count, last.line.record.time)
    this.#tellSoon()
  }

  /** Everything that is still queued is lost, and told at once. */
  close(): void {
    for (const { line } of this.take(Infinity)) this.lose(line)
    this.#cancel?.()
    this.#cancel = null
    this.#tell()
  }

  #tellSoon(): void {
    this.#cancel ??= this.#clock.after(TELL_EVERY_MS, () => {
      this.#cancel = null
      this.#tell()
    })
  }

  #tell(): void {
    const loss = this.#loss.take()
    if (loss !== null) this.#onLost(loss)
  }
}
