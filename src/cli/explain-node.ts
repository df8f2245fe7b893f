// `picket explain --source socket`: asks the agent of this node, which answers by the plan that it holds, and says whether the kernel does.
//
// It is what kubectl exec calls in an agent's pod. **Invariant:** it only asks; what is no answer of an agent is an error.
import type { NodeAnswer, NodeHalves } from '../agent/explaining.ts'
import type { Question } from '../explain/explain.ts'
import { postOver } from '../lab/agent-status.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import { show } from '../lib/show.ts'

export function askNode(socket: string, { from, to, ports, via }: Question, timeoutMs: number): Promise<NodeAnswer> {
  return ask<NodeAnswer>(socket, { from, to, ...ports, via }, timeoutMs)
}

/** Single halves, as whoever asks from outside wants them: `halves` is JSON. */
export function askHalves(socket: string, halves: string, timeoutMs: number): Promise<NodeHalves> {
  const value = read(halves)
  if (value === null) throw new PicketError('Usage', `--halves ${show(halves)}: expected JSON`)
  return ask<NodeHalves>(socket, { halves: value }, timeoutMs)
}

async function ask<Said>(socket: string, question: unknown, timeoutMs: number): Promise<Said> {
  const { status, body } = await postOver(socket, '/explain', question, timeoutMs).catch((error: unknown) => {
    throw new PicketError('NoAgent', `socket ${socket}: no agent answers (${messageOf(error)}); expected one on this node: is it running, and are you root?`)
  })
  const value = read(body)
  if (status === 200) return value as Said
  const { error, code } = (value ?? {}) as { readonly error?: unknown; readonly code?: unknown }
  if (typeof error !== 'string' || status === 404) throw new PicketError('NoAgent', `socket ${socket}: answered ${status} ${show(body)}, expected an answer of an agent of this version`)
  throw new PicketError(typeof code === 'string' ? code : 'NotAnswered', error)
}

function read(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return null
  }
}
