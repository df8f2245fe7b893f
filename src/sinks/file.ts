// Records in a file of this node: rotated by size and age, older parts compressed, a few of them kept.
//
// A full disk, or a folder that is gone, is a failure that ends by itself; what was written of half a line then is taken back.
// **Invariant:** the file is the owner's only, is no symbolic link, and holds whole lines, but for what a crash left of the last one, which
// is ended before anything follows it.
import { constants } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { systemClock, type Clock } from '../lib/clock.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import { rotatedName, tidyFolder } from './file-folder.ts'
import type { QueuedLine } from './queue.ts'
import { QueuedSink, type SinkOptions, type Way } from './queued-sink.ts'
import type { SinkEvents } from './sink.ts'

export interface FileOptions {
  /** Absolute. */
  readonly file: string
  /** Bytes, beyond which the file is rotated. */
  readonly maxSize: number
  /** Milliseconds since the file was begun, after which the next record begins another. */
  readonly maxAge: number
  /** Older parts. */
  readonly keep: number
  readonly compress: boolean
}

interface Opened {
  readonly handle: fs.FileHandle
  readonly inode: bigint
  /** Milliseconds since 1970. */
  readonly begun: number
  size: number
}

const CHUNK = 64 * 1024
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** How often it is looked whether the file still is the one of that name. Milliseconds. */
const LOOK_EVERY_MS = 1000

export function openFile(file: FileOptions, events: SinkEvents, options: SinkOptions = {}): QueuedSink {
  return new QueuedSink(`file ${file.file}`, new FileWay(file, options.clock ?? systemClock), events, options)
}

class FileWay implements Way {
  readonly chunk = CHUNK
  readonly #options: FileOptions
  readonly #clock: Clock
  readonly #closing = new AbortController()
  #opened: Opened | null = null
  #lookedAt = -Infinity
  /** Of the folder; one at a time. */
  #tidying: Promise<void> | null = null
  #isUntidy = true

  constructor(options: FileOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
  }

  async write(lines: readonly QueuedLine[]): Promise<number> {
    const { maxSize, maxAge } = this.#options
    await this.#look()
    let opened = (this.#opened ??= await this.#open())
    const first = (lines[0] as QueuedLine).bytes
    if (opened.size > 0 && (opened.size + first > maxSize || this.#clock.wallTime() - opened.begun >= maxAge)) {
      await this.#rotate(opened)
      opened = this.#opened = await this.#open()
    }
    if (this.#isUntidy) this.#tidy()
    let fits = 0
    let size = opened.size
    while (fits < lines.length && (fits === 0 || size + (lines[fits] as QueuedLine).bytes <= maxSize)) size += (lines[fits++] as QueuedLine).bytes
    return await this.#append(opened, lines.slice(0, fits))
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#opened?.handle.close()
    await this.#tidying
  }

  /** Whole lines only: how many; rejects where none fits. */
  async #append(opened: Opened, lines: readonly QueuedLine[]): Promise<number> {
    const bytes = Buffer.from(lines.map(({ line }) => `${line.line}\n`).join(''))
    let done = 0
    let failure: Error | null = null
    while (done < bytes.length && failure === null) {
      try {
        done += (await opened.handle.write(bytes, done)).bytesWritten
      } catch (error) {
        failure = error instanceof Error ? error : new Error(messageOf(error))
      }
    }
    let count = 0
    let whole = 0
    while (count < lines.length && whole + (lines[count] as QueuedLine).bytes <= done) whole += (lines[count++] as QueuedLine).bytes
    opened.size += whole
    if (failure === null) return count
    // Where even that fails, the half line is ended when the file is opened anew: what fails may be this one only.
    if (whole < done) await opened.handle.truncate(opened.size).catch(() => undefined)
    this.#opened = null
    await opened.handle.close().catch(() => undefined)
    if (count > 0) return count
    throw failure
  }

  async #open(): Promise<Opened> {
    const { file } = this.#options
    await fs.mkdir(path.dirname(file), { recursive: true, mode: 0o700 })
    const handle = await fs.open(file, FLAGS, 0o600).catch((error: unknown) => {
      throw (error as NodeJS.ErrnoException).code === 'ELOOP' ? new PicketError('InvalidFile', 'a symbolic link is there, expected a regular file; remove it, or name another file') : error
    })
    try {
      const stats = await handle.stat({ bigint: true })
      if (!stats.isFile()) throw new PicketError('InvalidFile', 'something else than a regular file is there; name another file')
      if ((Number(stats.mode) & 0o077) !== 0) await handle.chmod(0o600)
      let size = Number(stats.size)
      if (size > 0) {
        const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1)
        if (buffer[0] !== 10) size += (await handle.write('\n')).bytesWritten
      }
      // Filesystems that do not know when a file was made tell 0.
      const begun = Number(stats.birthtimeMs > 0n ? stats.birthtimeMs : stats.mtimeMs)
      return { handle, inode: stats.ino, begun: size === 0 ? this.#clock.wallTime() : begun, size }
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Somebody else may have moved it away, or deleted it. */
  async #look(): Promise<void> {
    const opened = this.#opened
    if (opened === null || this.#clock.now() - this.#lookedAt < LOOK_EVERY_MS) return
    this.#lookedAt = this.#clock.now()
    const stats = await fs.lstat(this.#options.file, { bigint: true }).catch(() => null)
    if (stats?.ino === opened.inode) {
      // Emptied by somebody, too.
      opened.size = Number(stats.size)
      return
    }
    this.#opened = null
    await opened.handle.close()
  }

  async #rotate(opened: Opened): Promise<void> {
    const { file } = this.#options
    await fs.rename(file, await rotatedName(file, this.#clock.wallTime()))
    this.#opened = null
    this.#isUntidy = true
    await opened.handle.close()
  }

  /** Beside the writing: compression takes a while. */
  #tidy(): void {
    if (this.#tidying !== null) return
    const { file, keep, compress } = this.#options
    this.#isUntidy = false
    this.#tidying = tidyFolder(file, keep, compress, this.#closing.signal)
      // On a full disk, say: the next rotation tries again.
      .catch(() => undefined)
      .finally(() => {
        this.#tidying = null
        if (this.#isUntidy && !this.#closing.signal.aborted) this.#tidy()
      })
  }
}
