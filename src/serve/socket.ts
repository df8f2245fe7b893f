// The agent's Unix socket: /status, /status/wait, /readyz, /livez, the gate that the CNI plugin asks, and streams, as HTTP.
//
// What is said comes from callbacks; this file knows HTTP and nothing of policies.
// **Invariant:** a socket file of a live agent is never taken away; a dead one's is.
import { lstat, mkdir, rm } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { messageOf, PicketError } from '../lib/errors.ts'
import { readBody } from './body.ts'

export interface SocketAnswers {
  /** What GET /status says. */
  readonly status: () => unknown
  /** Whether the kernel holds the first complete ruleset; null where it does, else what is missing. */
  readonly notReady: () => string | null
  /** Whether the kernel holds what that digest of the manifests' folder says. */
  readonly covers: (digest: string) => boolean
  /** By method and path (`POST /gate/pods`): what takes a body. Aborted when the client goes. */
  readonly asked: Readonly<Record<string, (body: unknown, signal: AbortSignal) => Promise<{ readonly status: number; readonly body: unknown }>>>
  /** By path (`/flows`): what answers GET itself, for as long as it likes; the connection may end at any time, and does when the socket is closed. */
  readonly streams?: Readonly<Record<string, (request: http.IncomingMessage, response: http.ServerResponse) => void>>
}

export interface AgentSocket {
  /** To be called whenever an answer may have changed. */
  changed(): void
  close(): Promise<void>
}

interface Waiter {
  readonly digest: string
  readonly answer: (covered: boolean) => void
}

const MAX_WAIT_MS = 60_000

/** Listens on `file`, readable and writable for its owner only. Throws SocketInUse, SocketFailed. */
export async function openSocket(file: string, answers: SocketAnswers): Promise<AgentSocket> {
  await mkdir(path.dirname(file), { recursive: true }).catch((error: unknown) => fail(file, error))
  if (await isAlive(file)) throw new PicketError('SocketInUse', `socket ${file}: another agent answers there; stop it first, or choose another with --socket`)
  // A path that was meant for something else must not cost somebody a file.
  if ((await lstat(file).catch(() => null))?.isSocket() === false) {
    throw new PicketError('SocketFailed', `socket ${file}: something else than a socket is there, and stays; choose another with --socket`)
  }
  await rm(file, { force: true }).catch((error: unknown) => fail(file, error))
  const waiters = new Set<Waiter>()
  const server = http.createServer((request, response) => handle(request, response, answers, waiters))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const before = process.umask(0o077)
    server.listen(file, resolve)
    process.umask(before)
  }).catch((error: unknown) => fail(file, error))
  return {
    changed: () => {
      for (const waiter of waiters) if (answers.covers(waiter.digest)) waiter.answer(true)
    },
    close: () =>
      new Promise((resolve) => {
        for (const waiter of waiters) waiter.answer(false)
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function fail(file: string, error: unknown): never {
  throw new PicketError('SocketFailed', `socket ${file}: ${messageOf(error)}; choose another with --socket`)
}

function isAlive(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(file)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}

function handle(request: http.IncomingMessage, response: http.ServerResponse, answers: SocketAnswers, waiters: Set<Waiter>): void {
  if (!URL.canParse(request.url ?? '/', 'http://agent')) return send(response, 400, { error: 'expected a path such as /status' })
  const url = new URL(request.url ?? '/', 'http://agent')
  const asked = answers.asked[`${request.method} ${url.pathname}`]
  if (asked !== undefined) return void answer(request, response, asked).catch((error: unknown) => send(response, 500, { error: messageOf(error) }))
  if (request.method !== 'GET') return send(response, 405, { error: `${request.method} ${url.pathname}: expected GET, or one of ${Object.keys(answers.asked).join(', ')}` })
  const stream = answers.streams === undefined || !Object.hasOwn(answers.streams, url.pathname) ? undefined : answers.streams[url.pathname]
  if (stream !== undefined) return stream(request, response)
  switch (url.pathname) {
    case '/livez':
      return send(response, 200, { live: true })
    case '/readyz': {
      const missing = answers.notReady()
      return send(response, missing === null ? 200 : 503, missing === null ? { ready: true } : { ready: false, reason: missing })
    }
    case '/status':
      return send(response, 200, answers.status())
    case '/status/wait':
      return wait(url.searchParams, response, answers, waiters)
    default:
      return send(response, 404, { error: `path ${url.pathname}: expected one of ${['/status', '/status/wait', '/readyz', '/livez', ...Object.keys(answers.streams ?? {})].join(', ')}` })
  }
}

async function answer(request: http.IncomingMessage, response: http.ServerResponse, ask: SocketAnswers['asked'][string]): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const body = await readBody(request)
  if (body.kind === 'refused') return send(response, body.status, { error: body.error })
  const reply = await ask(body.value, gone.signal)
  send(response, reply.status, reply.body)
}

/** Answers 200 as soon as the kernel holds `digest`, 504 when `timeoutMs` (at most a minute) is over. */
function wait(query: URLSearchParams, response: http.ServerResponse, answers: SocketAnswers, waiters: Set<Waiter>): void {
  const digest = query.get('digest')
  const timeoutMs = Number(query.get('timeoutMs') ?? 30_000)
  if (digest === null || !(timeoutMs >= 0 && timeoutMs <= MAX_WAIT_MS)) {
    return send(response, 400, { error: `expected digest and timeoutMs of 0 to ${MAX_WAIT_MS}` })
  }
  if (answers.covers(digest)) return send(response, 200, answers.status())
  const waiter: Waiter = {
    digest,
    answer: (covered) => {
      clearTimeout(timer)
      waiters.delete(waiter)
      send(response, covered ? 200 : 504, answers.status())
    },
  }
  const timer = setTimeout(() => waiter.answer(false), timeoutMs)
  response.once('close', () => {
    clearTimeout(timer)
    waiters.delete(waiter)
  })
  waiters.add(waiter)
}

function send(response: http.ServerResponse, status: number, body: unknown): void {
  if (response.writableEnded) return
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}
