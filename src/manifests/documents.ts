// The bytes of one file -> its documents, each a plain value or the reason why there is none.
//
// A file is split at its `---` lines first, so that a damaged document spoils no other, and parsed one after the other
// with pauses, so that a large one does not stop the process. JSON goes the fast way (YAML is read at about 1 MB/s).
// **Invariant:** nothing here throws for what a file holds; a document's number and lines are those of the file.
import { setImmediate as pause } from 'node:timers/promises'
import { LineCounter, type YAMLError, parseAllDocuments } from 'yaml'
import { messageOf } from '../lib/errors.ts'
import { printable } from '../lib/show.ts'

/** Most bytes of one document that is not JSON: about 8 s of work. */
export const MOST_YAML = 8 * 1024 * 1024
/** How often aliases may be followed in a document: a few lines of them can stand for billions of values. */
const MOST_ALIASES = 1_000
/** Characters parsed between two pauses. */
const PAUSE_EVERY = 32 * 1024

/** `document` counts from 1; empty documents are counted and left out. */
export type RawDocument =
  | { readonly kind: 'value'; readonly document: number; readonly value: unknown }
  | { readonly kind: 'damaged'; readonly document: number; readonly message: string }

interface Chunk {
  readonly text: string
  /** Lines of the file before it. */
  readonly line: number
}

/** Null where the bytes are no UTF-8; a byte order mark is skipped. */
export function decodeText(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return null
  }
}

export async function readDocuments(text: string): Promise<readonly RawDocument[]> {
  const found: RawDocument[] = []
  let number = 0
  let sincePause = 0
  for (const chunk of splitDocuments(text)) {
    for (const result of parseChunk(chunk)) {
      number += 1
      if (result.kind === 'damaged') found.push({ kind: 'damaged', document: number, message: result.message })
      else if (result.value !== null && result.value !== undefined) found.push({ kind: 'value', document: number, value: result.value })
    }
    sincePause += chunk.text.length
    if (sincePause > PAUSE_EVERY) {
      sincePause = 0
      await pause()
    }
  }
  return found
}

/** At lines that begin with `---`, which YAML has nowhere but between documents. What precedes the first is none itself. */
function splitDocuments(text: string): readonly Chunk[] {
  const chunks: Chunk[] = []
  let start = 0
  let startLine = 0
  let line = 0
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) {
    line += 1
    if (!isMarker(text, end + 1)) continue
    const part = text.slice(start, end + 1)
    const preamble = chunks.length === 0 && isPreamble(part)
    // Directives (%YAML, %TAG) belong to the document behind them.
    if (preamble && part.includes('%')) continue
    if (!preamble) chunks.push({ text: part, line: startLine })
    start = end + 1
    startLine = line
  }
  const last = text.slice(start)
  if (chunks.length > 0 || !isPreamble(last)) chunks.push({ text: last, line: startLine })
  return chunks
}

function isMarker(text: string, position: number): boolean {
  if (!text.startsWith('---', position)) return false
  const next = text[position + 3]
  return next === undefined || next === ' ' || next === '\t' || next === '\r' || next === '\n'
}

/** Nothing but comments, directives and empty lines. */
function isPreamble(text: string): boolean {
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start)
    const end = newline < 0 ? text.length : newline
    const content = text.slice(start, Math.min(end, start + 1_024)).trimStart()
    if (content !== '' && !content.startsWith('#') && !(text[start] === '%')) return false
    start = end + 1
  }
  return true
}

type Result = { readonly kind: 'value'; readonly value: unknown } | { readonly kind: 'damaged'; readonly message: string }

/** Usually one document; several where `...` ends one. */
function parseChunk(chunk: Chunk): readonly Result[] {
  const json = parseJson(chunk.text)
  if (json !== null) return [json]
  if (chunk.text.length > MOST_YAML) {
    const size = `found a YAML document of ${chunk.text.length} characters, expected at most ${MOST_YAML}`
    const message = `${size} (write it as JSON, or as several documents)`
    return [{ kind: 'damaged', message }]
  }
  const lines = new LineCounter()
  try {
    const parsed = parseAllDocuments(chunk.text, { prettyErrors: false, lineCounter: lines, merge: true, logLevel: 'error' })
    if (parsed.length === 0) return [{ kind: 'value', value: null }]
    return [...parsed].map((document): Result => {
      const error: YAMLError | undefined = document.errors[0] ?? document.warnings[0]
      return error === undefined ? toValue(() => document.toJS({ maxAliasCount: MOST_ALIASES })) : damaged(error, lines, chunk.line)
    })
  } catch (error) {
    return [{ kind: 'damaged', message: reason(error) }]
  }
}

function parseJson(text: string): Result | null {
  const body = text.replace(/^---[ \t]*\r?\n/, '').trim()
  if (!body.startsWith('{') || !body.endsWith('}')) return null
  try {
    return { kind: 'value', value: JSON.parse(body) }
  } catch {
    // YAML's flow style is a superset, and its errors tell the line.
    return null
  }
}

function toValue(convert: () => unknown): Result {
  try {
    return { kind: 'value', value: convert() }
  } catch (error) {
    return { kind: 'damaged', message: reason(error) }
  }
}

function damaged(error: YAMLError, lines: LineCounter, before: number): Result {
  const { line, col } = lines.linePos(error.pos[0])
  return { kind: 'damaged', message: `line ${before + line}, column ${col}: ${printable(error.message, 200)}` }
}

function reason(error: unknown): string {
  return error instanceof RangeError ? 'it is nested too deeply' : printable(messageOf(error), 200)
}
