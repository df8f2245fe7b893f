// A program in a container of a pod (pods/exec), its output as it comes: how agents are asked from outside.
//
// A WebSocket says nothing of why it was refused: the same path is asked first without one, which a server that would let us refuses as
// no upgrade (400), and any other with its reason. From Kubernetes 1.35 on, a WebSocket takes the verb create, too, which is asked for
// where it does not come about; a POST without an upgrade starts nothing either. **Invariant:** nothing is ever sent to the program; whatever happens, the
// connection is closed when run() ends.
import { WebSocket } from 'undici'
import { messageOf } from '../lib/errors.ts'
import { EXEC_PROTOCOL, execEvent } from './exec-channels.ts'
import { ApiFailure } from './failures.ts'
import type { Target, Transport } from './transport.ts'
import { upgradedBy } from './upgraded.ts'

/** To agree on the end. Milliseconds. */
const CLOSE_MS = 1_000

export interface ExecRequest {
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly command: readonly string[]
  readonly onOutput: (stream: 'stdout' | 'stderr', bytes: Buffer) => void
}

export interface ExecResult {
  /** Exit status; null: it was not run, or it is not known how it ended. */
  readonly status: number | null
  readonly message: string
}

/** Throws ApiFailure: PermissionMissing, NotFound and the others of a request; ServerError where the connection ends before the program. */
export async function run(transport: Transport, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
  const target = targetOf(request)
  await mayWe(transport, target, signal)
  const { server, headers, dispatcher } = await transport.way()
  signal.throwIfAborted()
  const upgraded = upgradedBy(dispatcher)
  const socket = new WebSocket(`${server.replace(/^http/, 'ws')}${target.path}`, { protocols: [EXEC_PROTOCOL], headers: { ...headers, 'user-agent': 'picket' }, dispatcher: upgraded.dispatcher })
  socket.binaryType = 'arraybuffer'
  let isOpen = false
  socket.addEventListener('open', () => (isOpen = true))
  try {
    return await ended(socket, request, server, signal)
  } catch (error) {
    if (!isOpen && !signal.aborted) await mayWe(transport, { ...target, verb: 'create' }, signal)
    throw error
  } finally {
    socket.close()
    upgraded.endAfter(CLOSE_MS)
  }
}

function ended(socket: WebSocket, { pod, namespace, onOutput }: ExecRequest, server: string, signal: AbortSignal): Promise<ExecResult> {
  const broken = (why: string): ApiFailure => new ApiFailure('ServerError', `${server} broke off pods/exec in ${namespace}/${pod}: ${why}; ask again`)
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    socket.addEventListener('error', (event) => reject(broken(messageOf(event.error))))
    socket.addEventListener('close', ({ code }) => reject(broken(`closed with ${code} before the program ended`)))
    socket.addEventListener('message', ({ data }) => {
      const event = data instanceof ArrayBuffer ? execEvent(Buffer.from(data)) : { kind: 'wrong' as const, message: 'a text came, expected bytes' }
      if (event.kind === 'output') onOutput(event.stream, event.bytes)
      else if (event.kind === 'ended') resolve({ status: event.status, message: event.message })
      else if (event.kind === 'wrong') reject(broken(event.message))
    })
  })
}

async function mayWe(transport: Transport, target: Target, signal: AbortSignal): Promise<void> {
  try {
    await (target.verb === 'get' ? transport.get(target, signal) : transport.send(target, { method: 'POST', body: null }, signal))
  } catch (error) {
    if (!(error instanceof ApiFailure && error.code === 'RequestRefused')) throw error
  }
}

function targetOf({ namespace, pod, container, command }: ExecRequest): Target {
  const query = new URLSearchParams([['container', container], ['stdout', 'true'], ['stderr', 'true'], ...command.map((word): [string, string] => ['command', word])])
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/exec?${query.toString()}`
  return { path, query: {}, verb: 'get', resource: { plural: 'pods/exec', group: '' }, object: `${namespace}/${pod}` }
}
