// What comes over a WebSocket of pods/exec (v5.channel.k8s.io): each message is a channel's number and bytes of that channel.
//
// 1 and 2 are the program's output, 3 says at the end how it ended, as a Status; 255 says that a channel is closed. **Invariant:** a
// message that is not of that form is an error, never output; the words of a Status are shown as printable text only.
import { said } from './failures.ts'

export const EXEC_PROTOCOL = 'v5.channel.k8s.io'

export type ExecEvent =
  | { readonly kind: 'output'; readonly stream: 'stdout' | 'stderr'; readonly bytes: Buffer }
  /** `status` is the program's exit status; null: it was not run, or it is not known how it ended. */
  | { readonly kind: 'ended'; readonly status: number | null; readonly message: string }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'wrong'; readonly message: string }

interface ExecStatus {
  readonly status?: unknown
  readonly reason?: unknown
  readonly message?: unknown
  readonly details?: { readonly causes?: readonly { readonly reason?: unknown; readonly message?: unknown }[] | null } | null
}

const STDOUT = 1
const STDERR = 2
const STATUS = 3
const CLOSE = 255

export function execEvent(message: Buffer): ExecEvent {
  const bytes = message.subarray(1)
  switch (message[0]) {
    case STDOUT:
    case STDERR:
      // Each channel is opened by an empty message.
      return bytes.length === 0 ? { kind: 'nothing' } : { kind: 'output', stream: message[0] === STDOUT ? 'stdout' : 'stderr', bytes }
    case STATUS:
      return bytes.length === 0 ? { kind: 'nothing' } : ending(bytes)
    case CLOSE:
      return { kind: 'nothing' }
    case undefined:
      return { kind: 'wrong', message: 'an empty message came, expected one with the number of its channel' }
    default:
      return { kind: 'wrong', message: `a message of channel ${message[0]} came, expected 1, 2, 3 or 255` }
  }
}

function ending(bytes: Buffer): ExecEvent {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString())
  } catch {
    value = null
  }
  if (typeof value !== 'object' || value === null) return { kind: 'wrong', message: 'the end was told as something else than a Status' }
  const { status, reason, message, details } = value as ExecStatus
  if (status === 'Success') return { kind: 'ended', status: 0, message: '' }
  const causes = Array.isArray(details?.causes) ? details.causes : []
  const code = reason === 'NonZeroExitCode' ? causes.find((cause) => cause?.reason === 'ExitCode')?.message : undefined
  return { kind: 'ended', status: typeof code === 'string' && /^\d{1,3}$/.test(code) ? Number(code) : null, message: typeof message === 'string' ? said(message) : '' }
}
