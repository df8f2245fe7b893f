// `picket status` on a node: what its agent holds in the kernel, and what is wrong, whether the API server answers or not.
//
// In the image there is no shell and no curl: this is what kubectl exec calls. **Invariant:** it only asks; exit status 0 says that
// everything is enforced, 1 that it is not, 2 that nobody answered.
import { print, printJson } from './output.ts'
import { getOver } from '../lab/agent-status.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'

interface Status {
  readonly node: string
  readonly version: string
  readonly ready: boolean
  readonly waitingFor?: string
  readonly enforced: boolean
  readonly settled: boolean
  readonly programmedAt: string | null
  readonly kernel: string
  readonly counts: Readonly<Record<string, number>>
  readonly problems: readonly Problem[]
  readonly problemsTotal: number
}

export async function nodeStatus(socket: string, output: string, timeoutMs: number): Promise<void> {
  const answer = await getOver(socket, '/status', timeoutMs).catch((error: unknown) => {
    throw new PicketError('NoAgent', `socket ${socket}: no agent answers (${messageOf(error)}); expected one on this node: is it running, and are you root?`)
  })
  if (answer.status !== 200) throw new PicketError('NoAgent', `socket ${socket}: answered ${answer.status}, expected 200 of an agent; name the agent's socket with --socket`)
  const status = JSON.parse(answer.body) as Status
  if (!status.enforced) process.exitCode = 1
  if (output === 'json') return printJson(status)
  print(statusText(status))
}

function statusText(status: Status): string {
  const counts = Object.entries(status.counts).map(([name, count]) => `${name} ${count}`).join(', ')
  const rest = status.problemsTotal - status.problems.length
  return [
    `node       ${status.node}`,
    `version    ${status.version}, ${status.kernel}`,
    `ready      ${status.ready ? `yes, last written ${status.programmedAt}` : `no: ${status.waitingFor ?? 'has just started'}`}`,
    `enforced   ${status.enforced ? 'yes' : 'no'}${status.settled ? '' : ' (changes are being written)'}`,
    `counts     ${counts}`,
    `problems   ${status.problemsTotal === 0 ? 'none' : status.problemsTotal}`,
    ...status.problems.map((one) => `  ${one.severity} ${one.code}: ${one.message}`),
    ...(rest > 0 ? [`  and ${rest} more`] : []),
  ].join('\n')
}
