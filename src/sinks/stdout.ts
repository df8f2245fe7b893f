// Records on standard output: the container's log, or whatever reads the agent's pipe.
//
// process.stdout writes to pipes synchronously, so that whoever does not read would stop the agent. Here a pipe is opened once more, for
// itself without blocking, which changes nothing for who else writes to it. **Invariant:** a line goes into a pipe whole, or not at all:
// PIPE_BUF is as long as the longest line.
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { MAX_LINE } from '../flows/record.ts'
import { openUnblocked } from '../lib/unblocked.ts'
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
  /** Null where it is no pipe, or cannot be had; the one that was given then, which may wait, but in a thread of its own. */
  #own: number | null
  #isWriting = false
  #isClosed = false
  /** Of a line that went out in part only. */
  #rest: Buffer | null = null

  constructor(fd: number, stalled: number) {
    this.#given = fd
    this.#stalled = stalled
    this.#own = openUnblocked(fd)
    this.chunk = this.#own !== null ? MAX_LINE : FILE_CHUNK
  }

  async write(lines: readonly QueuedLine[]): Promise<number> {
    const fd = this.#own ?? this.#given
    const text = Buffer.from(lines.map(({ line }) => `${line.line}\n`).join(''))
    this.#rest ??= text
    this.#isWriting = true
    try {
      while (this.#rest.length > 0) this.#rest = this.#rest.subarray(await this.#some(fd, this.#rest))
    } finally {
      this.#isWriting = false
      if (this.#isClosed) this.#letGo()
    }
    this.#rest = null
    return lines.length
  }

  close(): Promise<void> {
    this.#isClosed = true
    if (!this.#isWriting) this.#letGo()
    return Promise.resolve()
  }

  /** Not under a write: the number may be somebody else's file the next moment. */
  #letGo(): void {
    if (this.#own !== null) fs.closeSync(this.#own)
    this.#own = null
  }

  /** How many bytes were taken. */
  async #some(fd: number, bytes: Buffer): Promise<number> {
    for (let waited = 0; ; waited += LOOK_EVERY_MS) {
      if (this.#isClosed) throw new Error('it is closed')
      try {
        return await written(fd, bytes)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      }
      if (waited >= this.#stalled) throw new Error(`nobody has read standard output for ${this.#stalled / 1000} s`)
      await sleep(LOOK_EVERY_MS)
    }
  }
}

function written(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => fs.write(fd, bytes, (error, count) => (error === null ? resolve(count) : reject(error))))
}
