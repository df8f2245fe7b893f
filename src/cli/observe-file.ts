// `picket observe --input-file`: lines that a sink has written, of a file (also compressed) or of stdin.
//
// **Invariant:** a line that is no record is named with its number and skipped, the rest goes on; no more of a file is held than --last
// asks for.
import { createReadStream } from 'node:fs'
import { PassThrough, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { readLine } from '../flows/read-line.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import { matches } from '../flows/filter.ts'
import { parseSince } from '../flows/query.ts'
import { Tail } from './observe-merge.ts'
import type { Asked } from './observe-options.ts'
import type { Shown } from './observe-stream.ts'

/** What is told of wrong lines; the rest is counted. */
const MOST_COMPLAINTS = 20
/** Records are at most 4 KiB; more is none. */
const MOST_LINE_BYTES = 64 * 1024
const GZIP = Buffer.from([0x1f, 0x8b])

export interface FileOptions {
  /** A path, or `-` for stdin. */
  readonly file: string
  readonly asked: Asked
  /** Milliseconds since 1970. */
  readonly now: number
  readonly onRecord: (shown: Shown) => Promise<void> | void
  readonly note: (text: string) => void
}

/** Resolves at its end. Throws PicketError (FileFailed) where it cannot be read to its end (what came before that was given out), or holds lines and no record. */
export async function observeFile(options: FileOptions, signal: AbortSignal): Promise<void> {
  const { file, note } = options
  const taken = new Taken(options)
  const name = file === '-' ? 'stdin' : file
  const wrong = { count: 0 }
  let records = 0
  let number = 0
  const source = file === '-' ? process.stdin : createReadStream(file)
  signal.addEventListener('abort', () => source.destroy(), { once: true })
  try {
    for await (const line of linesOf(await unpacked(source))) {
      if (signal.aborted) break
      number += 1
      if (line === '') continue
      const read = line === null ? { record: null, wrong: `expected a record, found a line of more than ${MOST_LINE_BYTES} bytes` } : readLine(line)
      if (read.record !== null) {
        records += 1
        await taken.add({ record: read.record, line: line ?? '' })
        continue
      }
      wrong.count += 1
      if (wrong.count <= MOST_COMPLAINTS) note(`${name}:${number}: ${read.wrong}; skipped`)
    }
  } catch (error) {
    if (!signal.aborted) throw new PicketError('FileFailed', `--input-file ${name}: ${messageOf(error)}${number === 0 ? '; expected lines of the audit stream, also in gzip' : `; read as far as line ${number}`}`)
  } finally {
    await taken.end()
    if (wrong.count > MOST_COMPLAINTS) note(`${name}: ${wrong.count - MOST_COMPLAINTS} more lines are no records`)
  }
  if (records === 0 && wrong.count > 0 && !signal.aborted) throw new PicketError('FileFailed', `--input-file ${name}: no line of it is a record; expected lines of the audit stream, as a sink or -o json writes them`)
}

/** What was asked for, of all that is read. */
class Taken {
  readonly #options: FileOptions
  readonly #since: number | null
  readonly #tail: Tail | null

  constructor(options: FileOptions) {
    const { since, last } = options.asked
    this.#options = options
    this.#since = since === null ? null : parseSince(since, options.now)
    this.#tail = last === null ? null : new Tail(last)
  }

  add(shown: Shown): Promise<void> | void {
    const { record } = shown
    if ((this.#since !== null && Date.parse(record.time) < this.#since) || !matches(this.#options.asked.filter, record)) return
    return this.#tail === null ? this.#options.onRecord(shown) : this.#tail.add(shown)
  }

  async end(): Promise<void> {
    for (const shown of this.#tail?.list() ?? []) await this.#options.onRecord(shown)
  }
}

/** By its first bytes, and not by its name: stdin has none. */
async function unpacked(stream: Readable): Promise<Readable> {
  const head: Buffer[] = []
  const rest = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  while (Buffer.concat(head).length < GZIP.length) {
    const { value, done } = await rest.next()
    if (done === true) break
    head.push(value)
  }
  const whole = through(head, rest)
  if (!Buffer.concat(head).subarray(0, GZIP.length).equals(GZIP)) return whole
  const gunzip = createGunzip()
  whole.once('error', (error) => gunzip.destroy(error))
  return whole.pipe(gunzip)
}

function through(head: readonly Buffer[], rest: AsyncIterator<Buffer>): PassThrough {
  const out = new PassThrough()
  const pump = async (): Promise<void> => {
    for (const chunk of head) out.write(chunk)
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
      if (!out.write(next.value)) await new Promise<void>((resolve) => out.once('drain', resolve).once('close', resolve))
      if (out.destroyed) return
    }
    out.end()
  }
  pump().catch((error: unknown) => out.destroy(error as Error))
  return out
}

/** Null in place of a line that is too long. */
async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string | null, void> {
  let parts: Buffer[] = []
  let size = 0
  const ended = (last: Buffer): string | null => {
    const line = size + last.length > MOST_LINE_BYTES ? null : Buffer.concat([...parts, last]).toString()
    parts = []
    size = 0
    return line
  }
  for await (const chunk of stream) {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      yield ended(chunk.subarray(start, end))
      start = end + 1
    }
    const rest = chunk.subarray(start)
    size += rest.length
    if (size <= MOST_LINE_BYTES) parts.push(Buffer.from(rest))
    else parts = []
  }
  if (size > 0) yield ended(Buffer.alloc(0))
}
