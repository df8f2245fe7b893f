// A flow that goes on: numbered messages at a steady rate over one TCP connection or one UDP socket, and what came back.
//
// Each message is `TOKEN:NUMBER`; the server's reply repeats it. **Invariant:** an answer counts once, however often it
// comes; what is neither answered nor young is lost.
import { randomBytes } from 'node:crypto'
import { FlowSocket } from './flow-socket.ts'
import type { FlowSpec } from './messages.ts'
import type { FlowSilence, FlowStats } from './testbed.ts'
import { parseReply } from './wire.ts'

/** A message that is not answered after this time is lost. Milliseconds. */
const PATIENCE = 500
const LAST_ANSWERS = 250

export class FlowClient {
  readonly #spec: FlowSpec
  readonly #prefix = `f${randomBytes(6).toString('hex')}:`
  readonly #socket: FlowSocket
  /** Number -> when it was sent; oldest first. */
  readonly #pending = new Map<number, number>()
  /** Number of a message that the next one overtook -> when that next one was sent. */
  readonly #overtaken = new Map<number, number>()
  readonly #by: Record<string, number> = {}
  #timer: NodeJS.Timeout | null = null
  #startedAt = 0
  #sent = 0
  #answered = 0
  #duplicated = 0
  #lastAnswerAt: number | null = null
  #lastAnswer = 0
  #longestGap = 0
  /** When it was asked to end: what comes or does not come later makes no gap. */
  #endedAt: number | null = null

  /** In the namespace of the host that sends. */
  constructor(spec: FlowSpec) {
    this.#spec = spec
    this.#socket = new FlowSocket(spec, { onOpen: () => this.#socket.begin(), onLine: (line) => this.#receive(line), onBroken: () => this.#pause() })
  }

  /** Begins to send. Rejects with an error that says why where a TCP connection is not there within 3 seconds. */
  async start(): Promise<void> {
    await this.#socket.begun('connection')
    this.#startedAt = this.#lastAnswer = performance.now()
    this.#timer = setInterval(() => this.#sendDue(), Math.max(1, Math.floor(1000 / this.#spec.packetsPerSecond)))
    this.#sendDue()
  }

  #pause(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  #sendDue(): void {
    const now = performance.now()
    const due = Math.floor(((now - this.#startedAt) / 1000) * this.#spec.packetsPerSecond) + 1
    while (this.#sent < due) {
      const number = this.#sent++
      this.#pending.set(number, now)
      this.#socket.send(`${this.#prefix}${number}`)
    }
  }

  #receive(line: string): void {
    const reply = parseReply(line)
    if (reply === null || !reply.token.startsWith(this.#prefix)) return
    const now = performance.now()
    const number = Number(reply.token.slice(this.#prefix.length))
    const sentAt = this.#pending.get(number)
    if (sentAt === undefined) {
      this.#duplicated++
      return
    }
    this.#pending.delete(number)
    this.#overtaken.delete(number)
    if (this.#pending.has(number - 1)) this.#overtaken.set(number - 1, sentAt)
    this.#answered++
    this.#by[reply.by.key] = (this.#by[reply.by.key] ?? 0) + 1
    this.#longestGap = Math.max(this.#longestGap, now - this.#lastAnswer)
    this.#lastAnswer = now
    this.#lastAnswerAt = Date.now()
  }

  stats(): FlowStats {
    const now = performance.now()
    const lost = [...this.#pending].filter(([, sentAt]) => this.#socket.closed || now - sentAt >= PATIENCE)
    return {
      sent: this.#sent,
      answered: this.#answered,
      lost: lost.length,
      duplicated: this.#duplicated,
      lastAnswerAt: this.#lastAnswerAt,
      longestGapMs: Math.max(this.#longestGap, (this.#endedAt ?? now) - this.#lastAnswer),
      by: { ...this.#by },
      silences: silencesOf(lost, this.#overtaken),
      broken: this.#socket.broken,
    }
  }

  async stop(): Promise<FlowStats> {
    this.#endedAt ??= performance.now()
    this.#pause()
    const until = performance.now() + LAST_ANSWERS
    while (this.#pending.size > 0 && this.#socket.broken === null && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    this.#close()
    return this.stats()
  }

  /** For a source that goes away: ends at once; the numbers stay. */
  abandon(): void {
    this.#endedAt ??= performance.now()
    this.#socket.break('the source was removed')
    this.#close()
  }

  #close(): void {
    this.#pause()
    this.#socket.close()
  }
}

/** Runs of numbers that follow each other, from [number, when it was sent] in order. */
function silencesOf(lost: readonly (readonly [number, number])[], overtaken: ReadonlyMap<number, number>): readonly FlowSilence[] {
  const runs: FlowSilence[] = []
  for (const [number, at] of lost) {
    const sentAt = performance.timeOrigin + at
    const next = overtaken.get(number)
    const end = { last: number, lastSentAt: sentAt, nextSentAt: next === undefined ? null : performance.timeOrigin + next }
    const before = runs.at(-1)
    if (before?.last === number - 1) runs[runs.length - 1] = { ...before, ...end }
    else runs.push({ first: number, firstSentAt: sentAt, ...end })
  }
  return runs
}
