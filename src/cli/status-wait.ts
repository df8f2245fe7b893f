// How `picket status --wait` shows what it waits for: one line while it waits, and what is missing at the end.
//
// **Invariant:** progress goes to stderr only; on a terminal it is one line that is written anew, elsewhere a line every few seconds.
import type { Clock } from '../lib/clock.ts'
import { clipped } from '../lib/clipped.ts'
import type { Missing } from '../status/wait.ts'
import type { WaitProgress, WaitResult } from '../status/waiting.ts'

/** As many as fit on one screen. */
const MOST_LINES = 16
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

  /** `quietMs`: what takes less shows nothing. */
  constructor(stream: ProgressStream, clock: Clock, command = 'picket status', quietMs = 0) {
    this.#stream = stream
    this.#clock = clock
    this.#command = command
    this.#from = clock.now() + quietMs
  }

  show(text: string): void {
    const now = this.#clock.now()
    if (text === this.#shown || now < this.#from) return
    if (this.#stream.isTTY === true) this.#stream.write(`\r${clipped(text, (this.#stream.columns ?? 80) - 1)}\u001b[K`)
    else if (now >= this.#shownAt + PAUSE_MS) this.#stream.write(`${this.#command}: ${text}\n`)
    else return
    this.#shown = text
    this.#shownAt = now
  }

  /** The terminal's line is free again. */
  end(): void {
    if (this.#stream.isTTY === true && this.#shown !== '') this.#stream.write('\r\u001b[K')
    this.#shown = ''
  }
}

export function progressText({ policies, programmed, missing }: WaitProgress): string {
  const counted = countedText(programmed, policies)
  const [first] = missing
  if (first === undefined) return counted
  return `${counted}; waiting for ${textOf(first)}${missing.length > 1 ? ` and ${missing.length - 1} more` : ''}`
}

function countedText(programmed: number, policies: number): string {
  return `${programmed} of ${policies} ${policies === 1 ? 'policy is' : 'policies are'} programmed`
}

export function waitText(result: WaitResult, timeoutMs: number): string {
  const { policies, missing, isPastKnown } = result
  const unknown = isPastKnown ? [] : ['The API server tells nothing of what was deleted before the call: that was not waited for.']
  if (missing.length === 0) return [`${policies === 1 ? '1 policy is' : `${policies} policies are`} enforced`, ...unknown].join('\n')
  const listed = missing.slice(0, MOST_LINES).map((one) => `  ${textOf(one)}`)
  const more = missing.length > MOST_LINES ? [`  and ${missing.length - MOST_LINES} more`] : []
  return [`After ${timeoutMs / 1000} s ${countedText(result.programmed, policies)}; missing:`, ...listed, ...more, ...unknown].join('\n')
}

function textOf({ namespace, name, reason, message }: Missing): string {
  return name === '' ? message : `${namespace}/${name} (${reason}${message === '' ? '' : `: ${message}`})`
}
