// A flow that goes on: numbered messages at a steady rate over one TCP connection or one UDP socket, and what came back.
//
// Each message is `TOKEN:NUMBER`; the server's reply repeats it. **Invariant:** an answer counts once, however often it
// comes; what is neither answered nor young is lost.
import { randomBytes } from 'node:crypto'
import type dgram from 'node:dgram'
import net from 'node:net'
import { familyOf } from '../model/ip.ts'
import type { FlowSpec } from './messages.ts'
import { freshUdpSocket } from './sockets.ts'
import type { FlowSilence, FlowStats } from './testbed.ts'
import { parseReply } from './wire.ts'

/** A message that is not answered after this time is lost. Milliseconds. */
const PATIENCE = 500
const LAST_ANSWERS = 250
const CONNECT_TIMEOUT = 3000

export class FlowClient {
  readonly #spec: FlowSpec
  readonly #prefix = `f${randomBytes(6).toString('hex')}:`
  readonly #socket: net.Socket | dgram.Socket
  readonly #connected = Promise.withResolvers<void>()
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
  #broken: string | null = null
  /** When it was asked to end: what comes or does not come later makes no gap. */
  #endedAt: number | null = null
  #stopped = false

  /** In the namespace of the host that sends. */
  constructor(spec: FlowSpec) {
    this.#spec = spec
    this.#socket = spec.protocol === 'TCP' ? this.#connect() : this.#open()
  }

  /** Begins to send. Rejects with an error that says why where a TCP connection is not there within 3 seconds. */
  async start(): Promise<void> {
    const timeout = setTimeout(() => this.#connected.reject(new Error('no connection within 3 seconds')), CONNECT_TIMEOUT)
    try {
      await this.#connected.promise
    } catch (error) {
      this.#close()
      throw error
    } finally {
      clearTimeout(timeout)
    }
    this.#startedAt = this.#lastAnswer = performance.now()
    this.#timer = setInterval(() => this.#sendDue(), Math.max(1, Math.floor(1000 / this.#spec.packetsPerSecond)))
    this.#sendDue()
  }

  #connect(): net.Socket {
    const { address, port } = this.#spec
    const socket = net.connect({ host: address, port, family: familyOf(address), noDelay: true })
    let rest = ''
    socket.on('connect', () => this.#connected.resolve())
    socket.on('data', (bytes) => {
      const lines = (rest + bytes.toString('latin1')).split('\n')
      rest = lines.pop() as string
      for (const line of lines) this.#receive(line)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => this.#break(error.code ?? error.message))
    socket.on('close', () => this.#break('closed by the other side'))
    return socket
  }

  #open(): dgram.Socket {
    const { address, port } = this.#spec
    const socket = freshUdpSocket(familyOf(address))
    socket.on('error', () => undefined)
    socket.on('message', (bytes, from) => {
      if (from.address === address && from.port === port) this.#receive(bytes.toString('latin1'))
    })
    this.#connected.resolve()
    return socket
  }

  #break(why: string): void {
    this.#connected.reject(new Error(why))
    if (this.#stopped) return
    this.#broken ??= why
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  #sendDue(): void {
    const now = performance.now()
    const due = Math.floor(((now - this.#startedAt) / 1000) * this.#spec.packetsPerSecond) + 1
    while (this.#sent < due) {
      const number = this.#sent++
      this.#pending.set(number, now)
      const text = `${this.#prefix}${number}`
      if (this.#socket instanceof net.Socket) this.#socket.write(`${text}\n`)
      else this.#socket.send(text, this.#spec.port, this.#spec.address, () => undefined)
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
    const lost = [...this.#pending].filter(([, sentAt]) => this.#stopped || now - sentAt >= PATIENCE)
    return {
      sent: this.#sent,
      answered: this.#answered,
      lost: lost.length,
      duplicated: this.#duplicated,
      lastAnswerAt: this.#lastAnswerAt,
      longestGapMs: Math.max(this.#longestGap, (this.#endedAt ?? now) - this.#lastAnswer),
      by: { ...this.#by },
      silences: silencesOf(lost, this.#overtaken),
      broken: this.#broken,
    }
  }

  async stop(): Promise<FlowStats> {
    this.#endedAt ??= performance.now()
    if (this.#timer !== null) clearInterval(this.#timer)
    const until = performance.now() + LAST_ANSWERS
    while (this.#pending.size > 0 && this.#broken === null && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    this.#close()
    return this.stats()
  }

  /** For a source that goes away: ends at once; the numbers stay. */
  abandon(): void {
    this.#endedAt ??= performance.now()
    this.#break('the source was removed')
    this.#close()
  }

  #close(): void {
    if (this.#stopped) return
    this.#stopped = true
    if (this.#timer !== null) clearInterval(this.#timer)
    if (!(this.#socket instanceof net.Socket)) this.#socket.close()
    else if (this.#socket.connecting) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
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
