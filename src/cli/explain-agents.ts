// Whether nodes have programmed what explain says, asked of their agents from outside: `picket explain` in their pods, by pods/exec.
//
// Once a node, for the halves that it judges; its answer is what NodeEnforcement will say half a minute later. **Invariant:** whatever
// fails is a sentence that names what is missing, and never changes the verdict.
import { MOST_HALVES, type NodeHalves } from '../agent/explaining.ts'
import { AGENT_LABELS, PICKET_NAMESPACE } from '../check/installed.ts'
import type { HalfQuestion } from '../explain/explain.ts'
import { halvesByNode, keyOfHalf, withWords, type NodeWord, type Word } from '../explain/halves.ts'
import type { Answer } from '../explain/answer.ts'
import type { Transport } from '../kube/transport.ts'
import type { Pod } from '../model/objects.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { complaintOf, refusalOf, runInAgent } from './agent-exec.ts'

/** Of a Service with endpoints everywhere, so many say enough. */
const MOST_NODES = 16
const MOST_BYTES = 4 * 1024 * 1024
/** Of an agent that hangs. */
const AGENT_TIMEOUT = '8s'
/** Milliseconds: a program is started in a container that has little of a processor. */
const PATIENCE = 15_000

/** As whoever asked has put it: it stands in the API server's audit log. */
export interface AskedAs {
  readonly from: string
  readonly to: string
  readonly port: string
}

export async function askAgents(answer: Answer, snapshot: Snapshot, transport: Transport, asked: AskedAs): Promise<Answer> {
  const wanted = [...halvesByNode(answer)]
  const words = new Map<string, Word>()
  await Promise.all(wanted.map(async ([node, halves], index) => {
    const word = index >= MOST_NODES ? `not asked: more than ${MOST_NODES} nodes are concerned; ask about one pod there` : await wordOf(node, halves.slice(0, MOST_HALVES), snapshot, transport, asked)
    words.set(node, word)
  }))
  return withWords(answer, words)
}

async function wordOf(node: string, halves: readonly HalfQuestion[], snapshot: Snapshot, transport: Transport, { from, to, port }: AskedAs): Promise<Word> {
  const agent = agentOn(node, snapshot)
  if (agent === null) return `not asked: no agent runs there (no pod of DaemonSet picket-agent in ${PICKET_NAMESPACE})`
  const args = ['explain', '--source', 'socket', '--from', from, '--to', to, '--port', port, '--timeout', AGENT_TIMEOUT, '--output', 'json', '--halves', JSON.stringify(halves)]
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[], bytes: 0 }
  const onOutput = (stream: 'stdout' | 'stderr', bytes: Buffer): void => {
    output.bytes += bytes.length
    if (output.bytes <= MOST_BYTES) output[stream].push(bytes)
  }
  const late = AbortSignal.timeout(PATIENCE)
  try {
    const { status, message } = await runInAgent(transport, agent.name, args, onOutput, late)
    if (status === 0) return wordIn(Buffer.concat(output.stdout).toString(), halves) ?? `not asked: pod ${PICKET_NAMESPACE}/${agent.name} answers in another form: is it of this version?`
    return `not asked: ${complaintOf(agent.name, Buffer.concat(output.stderr).toString(), message)}`
  } catch (error) {
    return `not asked: ${late.aborted && error === late.reason ? `pod ${PICKET_NAMESPACE}/${agent.name} did not answer within ${PATIENCE / 1000} s` : await refusalOf(error, transport)}`
  }
}

/** The one that was made last, of those that have not ended. */
function agentOn(node: string, { pods }: Snapshot): Pod | null {
  const isAgent = ({ labels, finished, node: its }: Pod): boolean => !finished && its === node && Object.entries(AGENT_LABELS).every(([key, value]) => labels.get(key) === value)
  return [...pods.where('namespace', PICKET_NAMESPACE)].filter(isAgent).at(-1) ?? null
}

function wordIn(text: string, halves: readonly HalfQuestion[]): NodeWord | null {
  try {
    const { node, halves: said } = JSON.parse(text) as NodeHalves
    if (said.length !== halves.length || typeof node.programmed !== 'boolean') return null
    return { ...node, halves: new Map(halves.map((half, index) => [keyOfHalf(half), said[index] as NodeHalves['halves'][number]])) }
  } catch {
    return null
  }
}
