// Asks an agent what the kernel holds: HTTP over its unix socket.
//
// The lab knows the agent as a process and by this answer only. **Invariant:** an answer that is not of this form is an
// error, never taken for "not yet".
import http from 'node:http'
import type { Problem } from '../lib/problem.ts'

export interface AgentStatus {
  readonly node: string
  readonly revision: number
  readonly ready: boolean
  /** What the kernel holds, by source. */
  readonly covers: Readonly<Record<string, { readonly digest: string; readonly files: number } | undefined>>
  readonly problems: readonly Problem[]
  /** When the kernel came to hold the revision; null: it holds none yet. */
  readonly programmedAt: string | null
  readonly counts: Readonly<Record<string, number>>
  /** How often somebody's change of our table was put right, and the last time. */
  readonly repairs: number
  readonly lastRepair: { readonly at: string; readonly by: string; readonly what: readonly string[] } | null
}

export interface HttpAnswer {
  readonly status: number
  readonly body: string
}

/** GET on a unix socket. Rejects with the socket's error (ENOENT, ECONNREFUSED) or after `timeoutMs`. */
export function getOver(socket: string, path: string, timeoutMs: number): Promise<HttpAnswer> {
  return askOver(socket, { path }, null, timeoutMs)
}

/** POST of JSON, as getOver(). */
export function postOver(socket: string, path: string, value: unknown, timeoutMs: number): Promise<HttpAnswer> {
  const text = JSON.stringify(value)
  return askOver(socket, { path, method: 'POST', headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } }, text, timeoutMs)
}

function askOver(socket: string, options: http.RequestOptions, body: string | null, timeoutMs: number): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ ...options, socketPath: socket, agent: false, timeout: timeoutMs }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }))
    })
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)))
    request.on('error', reject)
    request.end(body ?? undefined)
  })
}

/** `GET /status`. */
export async function agentStatus(socket: string, timeoutMs: number): Promise<AgentStatus> {
  const answer = await getOver(socket, '/status', timeoutMs)
  const value: unknown = answer.status === 200 ? JSON.parse(answer.body) : null
  if (typeof value !== 'object' || value === null || !('covers' in value) || !('problems' in value)) {
    throw new Error(`GET /status answered ${answer.status}, expected a status with covers and problems`)
  }
  return value as AgentStatus
}

/** Whether the kernel holds the manifests of that digest; waits for it up to `timeoutMs`. */
export async function waitForDigest(socket: string, digest: string, timeoutMs: number): Promise<boolean> {
  const answer = await getOver(socket, `/status/wait?digest=${encodeURIComponent(digest)}&timeoutMs=${Math.ceil(timeoutMs)}`, timeoutMs + 2_000)
  if (answer.status === 200) return true
  if (answer.status === 504) return false
  throw new Error(`GET /status/wait answered ${answer.status}: ${answer.body.slice(0, 200)}`)
}
