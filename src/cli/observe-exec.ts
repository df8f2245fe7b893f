// `picket observe` in an agent's pod: its records as they come, by pods/exec.
//
// **Invariant:** it ends: when the program does, when the agent has been silent for too long, or when it is told to; what went wrong is
// one sentence.
import type { Transport } from '../kube/transport.ts'
import { LineSplitter } from '../kube/lines.ts'
import { PICKET_NAMESPACE } from '../check/installed.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import { printable } from '../lib/show.ts'
import { AGENT_SOCKET, complaintOf, runInAgent } from './agent-exec.ts'
import type { AgentPod } from './observe-agents.ts'

export interface ExecStream {
  readonly transport: Transport
  readonly agent: AgentPod
  /** Behind `picket observe`. */
  readonly args: readonly string[]
  /** Milliseconds without a byte. */
  readonly patience: number
  readonly onLine: (line: string) => void
  /** What it says to people there. */
  readonly onNote: (text: string) => void
}

/** The program starts, and it is of another version: to ask again is in vain. */
export const OTHER_VERSION = 'OtherVersion'
const OURS = 'picket observe: '
const MOST_LINE_BYTES = 64 * 1024
const LONGEST = 300

/** Resolves when it has said all. Throws ApiFailure as kube/exec.ts; PicketError (AgentFailed, AgentSilent, OtherVersion). */
export async function execObserve({ transport, agent, args, patience, onLine, onNote }: ExecStream, signal: AbortSignal): Promise<void> {
  const broken = new AbortController()
  const late = (): void => broken.abort(new PicketError('AgentSilent', `pod ${PICKET_NAMESPACE}/${agent.pod} has not answered for ${patience / 1000} s`))
  let timer = setTimeout(late, patience)
  const lines = { stdout: new LineSplitter(MOST_LINE_BYTES), stderr: new LineSplitter(MOST_LINE_BYTES) }
  let complaint = ''
  const said = (text: string): void => {
    if (text.startsWith(OURS)) onNote(printable(text.slice(OURS.length), LONGEST))
    else complaint = text
  }
  const onOutput = (stream: 'stdout' | 'stderr', bytes: Buffer): void => {
    clearTimeout(timer)
    timer = setTimeout(late, patience)
    try {
      // An empty line is one, too: that the program is there.
      if (stream === 'stdout') onLine('')
      for (const line of lines[stream].push(bytes)) (stream === 'stdout' ? onLine : said)(line.toString())
    } catch (error) {
      broken.abort(error)
    }
  }
  try {
    const { status, message } = await runInAgent(transport, agent.pod, ['observe', '--socket', AGENT_SOCKET, '--output', 'json', ...args], onOutput, AbortSignal.any([signal, broken.signal]))
    // 1: nothing matched.
    if (status === 0 || status === 1) return
    const why = complaintOf(agent.pod, complaint, message)
    throw new PicketError(why.endsWith('is it of this version?') ? OTHER_VERSION : 'AgentFailed', why)
  } catch (error) {
    if (broken.signal.aborted && error === broken.signal.reason) throw error instanceof PicketError ? error : new PicketError('AgentFailed', messageOf(error))
    throw error
  } finally {
    clearTimeout(timer)
  }
}
