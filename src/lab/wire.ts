// What the lab's probers and servers say to each other: one line with a token there, one with token and identity back.
//
// The same lines go over TCP and UDP, and inside SCTP's INIT and INIT-ACK. A person with curl gets a small HTTP answer.
// **Invariant:** pure; a reply that parses names the server's host, its instance, and whom it saw asking.
import { type Address, familyOf } from '../model/ip.ts'

/** Who answers: the key of a pod or the name of a host, and a value of its own for each time that it is made. */
export interface Identity {
  readonly key: string
  readonly instance: string
}

export interface Reply {
  readonly token: string
  readonly by: Identity
  /** The address that the server saw the request come from. */
  readonly source: Address
  /** Where it was asked, behind all translation: `10.0.0.2:80`, `[fd00::2]:80`. */
  readonly at: string
}

export interface StreamRequest {
  readonly prefix: string
  readonly perSecond: number
}

/** Asks for numbered replies that come by themselves: `stream:RATE:PREFIX` is answered with PREFIX0, PREFIX1, ... */
export function streamRequest(prefix: string, perSecond: number): string {
  return `stream:${perSecond}:${prefix}`
}

export function parseStreamRequest(token: string): StreamRequest | null {
  const [, rate, prefix] = /^stream:(\d{1,5}):(\S+)$/.exec(token) ?? []
  const perSecond = Number(rate)
  return prefix === undefined || perSecond < 1 || perSecond > 10_000 ? null : { prefix, perSecond }
}

/** Longer requests are somebody else's, and get no answer. */
export const MAX_TOKEN = 200

/** `10.0.0.2:80`, `[fd00::2]:80`. */
export function socketText(address: Address, port: number): string {
  return `${familyOf(address) === 4 ? address : `[${address}]`}:${port}`
}

/** The answer to a request's first line; tokens have no spaces. */
export function replyText(token: string, by: Identity, source: Address, at: string): string {
  return `${token} ${by.key} ${by.instance} ${source} ${at}`
}

export function parseReply(text: string): Reply | null {
  const parts = text.trim().split(' ')
  if (parts.length !== 5) return null
  const [token, key, instance, source, at] = parts as [string, string, string, string, string]
  return { token, by: { key, instance }, source, at }
}

const HTTP_REQUEST = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S+ HTTP\/1\.[01]$/

export function isHttpRequest(line: string): boolean {
  return HTTP_REQUEST.test(line)
}

/** A whole HTTP/1.1 response that names the server; without a body where the request's line asks with HEAD. */
export function httpResponse(line: string, by: Identity, local: string, source: Address): string {
  const body = `${by.key} at ${local}, asked by ${source}\n`
  const head = ['HTTP/1.1 200 OK', 'Content-Type: text/plain', `Content-Length: ${Buffer.byteLength(body)}`, 'Connection: close']
  return `${head.join('\r\n')}\r\n\r\n${line.startsWith('HEAD ') ? '' : body}`
}
