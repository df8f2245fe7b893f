// Picket's own commands in agents' pods, by pods/exec: how `picket explain` and `picket observe` ask agents from outside.
//
// **Invariant:** what an agent complains of, and which right is missing and to whom, is one printable sentence.
import { PICKET_NAMESPACE } from '../check/installed.ts'
import { run, type ExecResult } from '../kube/exec.ts'
import { ApiFailure } from '../kube/failures.ts'
import { createObject } from '../kube/objects.ts'
import type { Transport } from '../kube/transport.ts'
import { messageOf } from '../lib/errors.ts'
import { printable } from '../lib/show.ts'

/** Where agents answer on their nodes. */
export const AGENT_SOCKET = '/run/picket/agent.sock'

const REVIEWS = { plural: 'selfsubjectreviews', group: 'authentication.k8s.io', path: '/apis/authentication.k8s.io/v1/selfsubjectreviews' }
const LONGEST = 300
/** Milliseconds, to learn who we are. */
const PATIENCE = 15_000

/** `args`: of our own command line. As kube/exec.ts: throws ApiFailure. */
export function runInAgent(transport: Transport, pod: string, args: readonly string[], onOutput: (stream: 'stdout' | 'stderr', bytes: Buffer) => void, signal: AbortSignal): Promise<ExecResult> {
  return run(transport, { namespace: PICKET_NAMESPACE, pod, container: 'agent', command: ['picket', ...args], onOutput }, signal)
}

/** What a command that failed wrote to stderr; `message` where it wrote nothing. */
export function complaintOf(pod: string, stderr: string, message: string): string {
  const complaint = stderr.trim().replace(/^picket: /, '')
  const isOther = /unknown (option|command)/.test(complaint)
  return `pod ${PICKET_NAMESPACE}/${pod} says: ${printable(complaint === '' ? message : complaint, LONGEST)}${isOther ? ': is it of this version?' : ''}`
}

/** Why exec did not come about. */
export async function refusalOf(error: unknown, transport: Transport): Promise<string> {
  if (!(error instanceof ApiFailure) || error.code !== 'PermissionMissing') return messageOf(error)
  return `pods/exec in ${PICKET_NAMESPACE} is forbidden to ${await ourName(transport)}; it takes get and create there`
}

const names = new WeakMap<Transport, Promise<string>>()

/** As the API server knows whoever asks, which a kubeconfig does not say; asked once. */
function ourName(transport: Transport): Promise<string> {
  const name = names.get(transport) ?? askName(transport)
  names.set(transport, name)
  return name
}

async function askName(transport: Transport): Promise<string> {
  try {
    const review = await createObject(transport, REVIEWS, { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }, AbortSignal.timeout(PATIENCE))
    const { username } = (review as { readonly status: { readonly userInfo: { readonly username: unknown } } }).status.userInfo
    return typeof username === 'string' ? printable(username, LONGEST) : 'us'
  } catch {
    return 'us'
  }
}
