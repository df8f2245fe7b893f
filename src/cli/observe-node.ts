// `picket observe` on a node: the stream of its agent, by its socket. It is what is called in agents' pods from outside, too.
//
// **Invariant:** it only asks; what is no stream of an agent is an error, and nothing of it is shown as a record.
import http from 'node:http'
import { LineSplitter } from '../kube/lines.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import { show } from '../lib/show.ts'
import type { Clock } from '../lib/clock.ts'
import { queryOf, type Asked } from './observe-options.ts'
import { follow, Lines, type Shown } from './observe-stream.ts'

/** Whose calls from outside go through a WebSocket that says nothing when whoever asks has gone. Milliseconds. */
export interface Lease {
  /** It ends by itself after so long: whoever still wants it asks again. */
  readonly length: number
  /** An empty line so often; where nobody reads any more, that ends it. */
  readonly beat: number
  readonly onBeat: () => void
}

interface NodeOptions {
  readonly socket: string
  readonly asked: Asked
  /** Milliseconds, for an answer to begin; not following, for each silence in it, too. */
  readonly timeout: number
  readonly clock: Clock
  readonly onRecord: (shown: Shown) => Promise<void> | void
  readonly note: (text: string) => void
  readonly lease: Lease | null
}

/** Many records at once. */
const MOST_LINE_BYTES = 64 * 1024
const MOST_ERROR_BYTES = 16 * 1024

/** Resolves at the end of what there is; following, when `signal` is aborted or the lease is over. Throws PicketError (NoAgent, NotAnswered). */
export async function observeNode(options: NodeOptions, signal: AbortSignal): Promise<void> {
  const { asked, socket, timeout, clock, onRecord, note, lease } = options
  if (!asked.follow) {
    const lines = new Lines(note)
    return streamOver(socket, queryOf(asked), timeout, false, signal, async (line) => {
      const record = line === '' ? null : lines.read(line)
      if (record !== null) await onRecord({ record, line })
    })
  }
  const leased = lease === null ? signal : AbortSignal.any([signal, AbortSignal.timeout(lease.length)])
  const beat = lease === null ? undefined : setInterval(lease.onBeat, lease.beat)
  lease?.onBeat()
  try {
    await follow({
      open: ({ since, signal: ours, onLine }) => streamOver(socket, queryOf(since === null ? asked : { ...asked, since, last: null }), timeout, true, ours, onLine),
      clock,
      // Where there never was one, none is waited for; and no question becomes right by being asked again.
      isFinal: (error, heard) => !heard || (error instanceof PicketError && error.code === 'NotAnswered'),
      onRecord,
      note,
    }, leased)
  } finally {
    clearInterval(beat)
  }
}

async function streamOver(socket: string, query: string, timeout: number, endless: boolean, signal: AbortSignal, onLine: (line: string) => Promise<void> | void): Promise<void> {
  const response = await opened(socket, query, timeout, signal)
  if (response.statusCode !== 200) throw refusal(socket, response.statusCode ?? 0, await firstPart(response))
  // An empty line: it answers.
  await onLine('')
  if (endless) response.setTimeout(0)
  const lines = new LineSplitter(MOST_LINE_BYTES)
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      for (const line of lines.push(chunk)) await onLine(line.toString())
    }
  } catch (error) {
    if (signal.aborted) return
    throw error instanceof PicketError ? error : new PicketError('NoAgent', `socket ${socket}: the agent's stream broke off (${messageOf(error)})`)
  }
}

function opened(socket: string, query: string, timeout: number, signal: AbortSignal): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath: socket, path: `/flows${query === '' ? '' : `?${query}`}`, agent: false, timeout, signal }, resolve)
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeout} ms`)))
    request.on('error', (error) => reject(new PicketError('NoAgent', `socket ${socket}: no agent answers (${messageOf(error)}); expected one on this node: is it running, and are you root?`)))
  })
}

function refusal(socket: string, status: number, body: string): PicketError {
  let said: unknown = null
  try {
    said = (JSON.parse(body) as { readonly error?: unknown } | null)?.error
  } catch {
    // It is told as it came.
  }
  if (status === 404 || typeof said !== 'string') return new PicketError('NotAnswered', `socket ${socket}: answered ${status} ${show(body)}, expected the audit stream of an agent of this version`)
  return new PicketError('NotAnswered', `socket ${socket}: ${show(said).slice(1, -1)}`)
}

async function firstPart(response: http.IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part)
    size += part.length
    if (size >= MOST_ERROR_BYTES) break
  }
  return Buffer.concat(parts).toString()
}
