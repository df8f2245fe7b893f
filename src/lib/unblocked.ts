// Standard output that never makes anybody wait: a pipe or terminal is opened once more, for us alone without blocking.
//
// O_NONBLOCK belongs to what was opened, and standard output may be shared with others; so it stays as it is. **Invariant:** a writer keeps
// so many bytes at most, and counts the texts that it drops.
import fs from 'node:fs'

/** A descriptor of its own; null where `fd` is something else than a pipe or terminal, or may not be opened. */
export function openUnblocked(fd: number): number | null {
  try {
    const stats = fs.fstatSync(fd)
    if (!stats.isFIFO() && !stats.isCharacterDevice()) return null
    return fs.openSync(`/proc/self/fd/${fd}`, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK)
  } catch {
    return null
  }
}

const MOST_KEPT_BYTES = 1024 * 1024
const LOOK_EVERY_MS = 20

/** Writes at once what is taken at once, and the rest as soon as that goes. */
export class UnblockedWriter {
  readonly #fd: number
  readonly #onResumed: (dropped: number) => string
  #kept: Buffer[] = []
  #bytes = 0
  #dropped = 0

  /** `onResumed`: what to write in place of so many texts. */
  constructor(fd: number, onResumed: (dropped: number) => string) {
    this.#fd = openUnblocked(fd) ?? fd
    this.#onResumed = onResumed
    process.once('exit', () => this.#flush())
  }

  /** Never throws. Whole lines. */
  write(text: string): void {
    const bytes = Buffer.from(text)
    const isIdle = this.#kept.length === 0
    if (this.#bytes + bytes.length > MOST_KEPT_BYTES) return void (this.#dropped += 1)
    // In the place of what was dropped.
    this.#tellDropped()
    this.#keep(bytes)
    if (isIdle && !this.#flush()) this.#flushLater()
  }

  #keep(bytes: Buffer): void {
    this.#kept.push(bytes)
    this.#bytes += bytes.length
  }

  #tellDropped(): void {
    if (this.#dropped === 0) return
    const told = Buffer.from(this.#onResumed(this.#dropped))
    this.#dropped = 0
    this.#keep(told)
  }

  #flushLater(): void {
    // A process that is done does not stay for this.
    setTimeout(() => {
      if (!this.#flush()) this.#flushLater()
    }, LOOK_EVERY_MS).unref()
  }

  /** Whether nothing is kept any more. */
  #flush(): boolean {
    while (this.#kept.length > 0) {
      const [first] = this.#kept as [Buffer]
      const count = this.#some(first)
      if (count === 0) return false
      this.#bytes -= count
      if (count === first.length) this.#kept.shift()
      else this.#kept[0] = first.subarray(count)
      if (this.#kept.length === 0) this.#tellDropped()
    }
    return true
  }

  /** How many bytes were taken: 0 where one would have to wait, all where nobody is there to take any. */
  #some(bytes: Buffer): number {
    try {
      return fs.writeSync(this.#fd, bytes)
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 0 : bytes.length
    }
  }
}
