// What a command says while it takes long: one line on stderr.
//
// **Invariant:** on a terminal it is one line that is written anew and cleared at the end, elsewhere a line every few seconds.
import type { Clock } from '../lib/clock.ts'
import { clipped } from '../lib/clipped.ts'

const PAUSE_MS = 5_000

/** A stream that may be a terminal. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export class ProgressLine {
  readonly #stream: ProgressStream
  readonly #clock: Clock
  readonly #command: string
  readonly #from: number
  #shown = ''
  #shownAt = -Infinity
  /** What was said too early, until it is time. */
  #early = ''
  #cancel: (() => void) | null = null

  /** `quietMs`: what takes less shows nothing; what was said last until then is shown when it is over. */
  constructor(stream: ProgressStream, clock: Clock, command: string, quietMs = 0) {
    this.#stream = stream
    this.#clock = clock
    this.#command = command
    this.#from = clock.now() + quietMs
  }

  show(text: string): void {
    const now = this.#clock.now()
    if (now < this.#from) return this.#showLater(text, this.#from - now)
    if (text === this.#shown) return
    if (this.#stream.isTTY === true) this.#stream.write(`\r${clipped(text, (this.#stream.columns ?? 80) - 1)}\u001b[K`)
    else if (now >= this.#shownAt + PAUSE_MS) this.#stream.write(`${this.#command}: ${text}\n`)
    else return
    this.#shown = text
    this.#shownAt = now
  }

  /** The terminal's line is free again. */
  end(): void {
    this.#cancel?.()
    this.#cancel = null
    if (this.#stream.isTTY === true && this.#shown !== '') this.#stream.write('\r\u001b[K')
    this.#shown = ''
  }

  #showLater(text: string, ms: number): void {
    this.#early = text
    this.#cancel ??= this.#clock.after(Math.ceil(ms), () => {
      this.#cancel = null
      this.show(this.#early)
    })
  }
}
