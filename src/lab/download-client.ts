// A flow that comes: one request, and numbered messages from the server at a steady rate from then on, over TCP or UDP.
//
// Nothing but TCP's own acknowledgements goes the other way, so it lives or ends by what happens to its replies.
// **Invariant:** lost is a number that did not come while a later one did; what came after the last one is not known.
import { randomBytes } from 'node:crypto'
import type dgram from 'node:dgram'
import net from 'node:net'
import { familyOf } from '../model/ip.ts'
import type { FlowSpec } from './messages.ts'
import { freshUdpSocket } from './sockets.ts'
import type { FlowSilence, FlowStats } from './testbed.ts'
import { parseReply, streamRequest } from './wire.ts'

const BEGIN_TIMEOUT = 3000
/** Where nothing came for so long at the end, that is a silence. Milliseconds. */
const PATIENCE = 100

interface Arrival {
  readonly number: number
  /** Milliseconds since 1970, with fractions. */
  readonly at: number
}

export class DownloadClient {
  readonly #spec: FlowSpec
  readonly #prefix = `d${randomBytes(6).toString('hex')}:`
  readonly #socket: net.Socket | dgram.Socket
  readonly #begun = Promise.withResolvers<void>()
  readonly #seen = new Set<number>()
  readonly #by: Record<string, number> = {}
  /** Where numbers are missing: between which arrivals. */
  readonly #gaps: { readonly before: Arrival; readonly after: Arrival }[] = []
  #last: Arrival | null = null
  #duplicated = 0
  #longestGap = 0
  #broken: string | null = null
  #endedAt: number | null = null
  #stopped = false

  /** In the namespace of the host that asks. */
  constructor(spec: FlowSpec) {
    this.#spec = spec
    this.#socket = spec.protocol === 'TCP' ? this.#connect() : this.#open()
  }

  /** Resolves with the first message. Rejects with an error that says why where none comes within 3 seconds. */
  async start(): Promise<void> {
    const timeout = setTimeout(() => this.#begun.reject(new Error('no message within 3 seconds')), BEGIN_TIMEOUT)
    const request = streamRequest(this.#prefix, this.#spec.packetsPerSecond)
    if (!(this.#socket instanceof net.Socket)) this.#socket.send(request, this.#spec.port, this.#spec.address, () => undefined)
    try {
      await this.#begun.promise
    } catch (error) {
      this.#close()
      throw error
    } finally {
      clearTimeout(timeout)
    }
  }

  #connect(): net.Socket {
    const { address, port } = this.#spec
    const socket = net.connect({ host: address, port, family: familyOf(address), noDelay: true })
    let rest = ''
    socket.on('connect', () => socket.write(`${streamRequest(this.#prefix, this.#spec.packetsPerSecond)}\n`))
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
    return socket
  }

  #break(why: string): void {
    this.#begun.reject(new Error(why))
    if (!this.#stopped) this.#broken ??= why
  }

  #receive(line: string): void {
    const reply = parseReply(line)
    if (this.#endedAt !== null || reply === null || !reply.token.startsWith(this.#prefix)) return
    const arrival = { number: Number(reply.token.slice(this.#prefix.length)), at: wallTime() }
    if (this.#seen.has(arrival.number)) {
      this.#duplicated++
      return
    }
    this.#seen.add(arrival.number)
    this.#by[reply.by.key] = (this.#by[reply.by.key] ?? 0) + 1
    const before = this.#last ?? { number: -1, at: arrival.at }
    this.#longestGap = Math.max(this.#longestGap, arrival.at - before.at)
    // Datagrams of one way are not overtaken by each other: a number that comes late closes no gap, and counts as come.
    if (arrival.number > before.number + 1) this.#gaps.push({ before, after: arrival })
    if (arrival.number > before.number) this.#last = arrival
    this.#begun.resolve()
  }

  stats(): FlowStats {
    const now = this.#endedAt ?? wallTime()
    const sent = (this.#last?.number ?? -1) + 1
    const answered = this.#seen.size
    const quiet = this.#last === null ? 0 : now - this.#last.at
    return {
      sent,
      answered,
      lost: sent - answered,
      duplicated: this.#duplicated,
      lastAnswerAt: this.#last?.at ?? null,
      longestGapMs: Math.max(this.#longestGap, quiet),
      by: { ...this.#by },
      silences: [...this.#gaps.map(silenceOf), ...(this.#last !== null && quiet >= PATIENCE ? [lastSilence(this.#last, now)] : [])],
      broken: this.#broken,
    }
  }

  /** Takes no more: the final numbers. */
  async stop(): Promise<FlowStats> {
    this.#endedAt ??= wallTime()
    this.#close()
    return this.stats()
  }

  /** For a source that goes away: ends at once; the numbers stay. */
  abandon(): void {
    this.#endedAt ??= wallTime()
    this.#break('the source was removed')
    this.#close()
  }

  #close(): void {
    if (this.#stopped) return
    this.#stopped = true
    if (!(this.#socket instanceof net.Socket)) this.#socket.close()
    else if (this.#socket.connecting) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
  }
}

function wallTime(): number {
  return performance.timeOrigin + performance.now()
}

function silenceOf({ before, after }: { readonly before: Arrival; readonly after: Arrival }): FlowSilence {
  return { first: before.number + 1, last: after.number - 1, firstSentAt: before.at, lastSentAt: after.at, nextSentAt: after.at }
}

/** Nothing comes any more. */
function lastSilence({ number, at }: Arrival, now: number): FlowSilence {
  return { first: number + 1, last: number + 1, firstSentAt: at, lastSentAt: now, nextSentAt: null }
}
