// Records on standard output: the container's log, or whatever reads the agent's pipe.
//
// process.stdout writes to pipes synchronously, so that whoever does not read would stop the agent. Here a pipe is opened once more, for
// itself without blocking, which changes nothing for who else writes to it. **Invariant:** a line goes into a pipe whole, or not at all:
// PIPE_BUF is as long as the longest line.
import { constants, type Stats } from 'node:fs'
import fs from 'node:fs/promises'
import fsCallbacks from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { MAX_LINE } from '../flows/record.ts'
import type { QueuedLine } from './queue.ts'
import { QueuedSink, type SinkOptions, type Way } from './queued-sink.ts'
import type { SinkEvents } from './sink.ts'

const FILE_CHUNK = 64 * 1024
/** Milliseconds without anything taken, after which it counts as failed. */
const STALLED_MS = 5000
const LOOK_EVERY_MS = 20

/** `fd`: other than standard output in tests. `stalled`: milliseconds. */
export function openStdout(events: SinkEvents, options: SinkOptions & { readonly fd?: number; readonly stalled?: number } = {}): QueuedSink {
  return new QueuedSink('stdout', new DescriptorWay(options.fd ?? 1, options.stalled ?? STALLED_MS), events, options)
}

class DescriptorWay implements Way {
  readonly chunk: number
  readonly #given: number
  readonly #stalled: number
  readonly #isPipe: boolean
  #own: fs.FileHandle | null = null
  #isClosed = false
  /** Of a line that went out in part only. */
  #rest: Buffer | null = null

  constructor(fd: number, stalled: number) {
    this.#given = fd
    this.#stalled = stalled
    const stats = statsOf(fd)
    this.#isPipe = stats !== null && (stats.isFIFO() || stats.isCharacterDevice())
    this.chunk = this.#isPipe ? MAX_LINE : FILE_CHUNK
  }

  async write(lines: readonly QueuedLine[]): Promise<number> {
    if (this.#isPipe && this.#own === null) this.#own = await fs.open(`/proc/self/fd/${this.#given}`, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => null)
    const fd = this.#own?.fd ?? this.#given
    const text = Buffer.from(lines.map(({ line }) => `${line.line}\n`).join(''))
    this.#rest ??= text
    while (this.#rest.length > 0) this.#rest = this.#rest.subarray(await this.#some(fd, this.#rest))
    this.#rest = null
    return lines.length
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#own?.close()
  }

  /** How many bytes were taken. */
  async #some(fd: number, bytes: Buffer): Promise<number> {
    for (let waited = 0; ; waited += LOOK_EVERY_MS) {
      try {
        return await written(fd, bytes)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      }
      if (this.#isClosed) throw new Error('it is closed')
      if (waited >= this.#stalled) throw new Error(`nobody has read standard output for ${this.#stalled / 1000} s`)
      await sleep(LOOK_EVERY_MS)
    }
  }
}

function written(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => fsCallbacks.write(fd, bytes, (error, count) => (error === null ? resolve(count) : reject(error))))
}

function statsOf(fd: number): Stats | null {
  try {
    return fsCallbacks.fstatSync(fd)
  } catch {
    return null
  }
}
