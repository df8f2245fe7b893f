// The body of a request to the socket, as JSON.
//
// **Invariant:** no more than the limit is ever kept of it.
import type http from 'node:http'
import { messageOf } from '../lib/errors.ts'

const MOST_BYTES = 64 * 1024

export type Body = { readonly kind: 'json'; readonly value: unknown } | { readonly kind: 'refused'; readonly status: 400 | 413; readonly error: string }

/** Resolves when all of it has come. Rejects where the client goes before that. */
export async function readBody(request: http.IncomingMessage): Promise<Body> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length
    if (size <= MOST_BYTES) parts.push(part)
  }
  if (size > MOST_BYTES) return { kind: 'refused', status: 413, error: `the body has ${size} bytes; expected at most ${MOST_BYTES}` }
  try {
    return { kind: 'json', value: JSON.parse(Buffer.concat(parts).toString('utf8')) }
  } catch (error) {
    return { kind: 'refused', status: 400, error: `the body: expected a JSON object (${messageOf(error)})` }
  }
}
