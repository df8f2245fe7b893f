// A flow that comes: one request, and numbered messages from the server at a steady rate from then on, over TCP or UDP.
//
// Nothing but TCP's own acknowledgements goes the other way, so it lives or ends by what happens to its replies.
// **Invariant:** lost is a number that did not come while a later one did; what came after the last one is not known.
import { randomBytes } from 'node:crypto'
import { FlowSocket } from './flow-socket.ts'
import type { FlowSpec } from './messages.ts'
import type { FlowSilence, FlowStats } from './testbed.ts'
import { parseReply, streamRequest } from './wire.ts'

/** Where nothing came for so long at the end, that is a silence. Milliseconds. */
const PATIENCE = 100

interface Arrival {
  readonly number: number
  /** Milliseconds since 1970, with fractions. */
  readonly at: number
}

export class DownloadClient {
  readonly #prefix = `d${randomBytes(6).toString('hex')}:`
  readonly #socket: FlowSocket
  readonly #seen = new Set<number>()
  readonly #by: Record<string, number> = {}
  /** Where numbers are missing: between which arrivals. */
  readonly #gaps: { readonly before: Arrival; readonly after: Arrival }[] = []
  #last: Arrival | null = null
  #duplicated = 0
  #longestGap = 0
  #endedAt: number | null = null

  /** In the namespace of the host that asks. */
  constructor(spec: FlowSpec) {
    const onOpen = (): void => this.#socket.send(streamRequest(this.#prefix, spec.packetsPerSecond))
    this.#socket = new FlowSocket(spec, { onOpen, onLine: (line) => this.#receive(line) })
  }

  /** Resolves with the first message. Rejects with an error that says why where none comes within 3 seconds. */
  start(): Promise<void> {
    return this.#socket.begun('message')
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
    this.#socket.begin()
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
      broken: this.#socket.broken,
    }
  }

  /** Takes no more: the final numbers. */
  async stop(): Promise<FlowStats> {
    this.#endedAt ??= wallTime()
    this.#socket.close()
    return this.stats()
  }

  /** For a source that goes away: ends at once; the numbers stay. */
  abandon(): void {
    this.#endedAt ??= wallTime()
    this.#socket.break('the source was removed')
    this.#socket.close()
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
