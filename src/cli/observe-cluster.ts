// `picket observe` from outside: the agents of the nodes in question, asked by pods/exec and merged by time.
//
// **Invariant:** so many are asked at a time; whoever could not be asked is told by its node, with why, and what the others say is shown.
import { transportFor, type ClusterAccess } from '../kube/source.ts'
import type { Transport } from '../kube/transport.ts'
import type { Clock } from '../lib/clock.ts'
import { PicketError } from '../lib/errors.ts'
import { refusalOf } from './agent-exec.ts'
import { targetsOf, type AgentPod, type Targets } from './observe-agents.ts'
import { execObserve } from './observe-exec.ts'
import { followCluster } from './observe-follow.ts'
import { Newest } from './observe-merge.ts'
import { argumentsOf, type Asked } from './observe-options.ts'
import { Lines, type Shown } from './observe-stream.ts'
import { MOST_AT_ONCE, Slots } from './observe-slots.ts'

export interface ClusterQuestion {
  readonly access: ClusterAccess
  readonly asked: Asked
  /** Milliseconds, for the API server to list pods, and for each agent to say something. */
  readonly timeout: number
  readonly clock: Clock
  readonly onRecord: (shown: Shown) => Promise<void> | void
  readonly note: (text: string) => void
  /** What is going on, while it takes long. */
  readonly progress: (text: string) => void
}

export interface Told {
  /** Nodes whose agents could not be asked. */
  readonly unreached: readonly string[]
}

/** What is held to be put in order. */
const MOST_RECORDS = 200_000

/** Not following: resolves when all have answered; following, when `signal` is aborted or nobody is left to follow. */
export async function observeCluster(question: ClusterQuestion, signal: AbortSignal): Promise<Told> {
  const transport = transportFor(question.access, question.clock)
  try {
    return await observeBy(transport, question, signal)
  } finally {
    await transport.close()
  }
}

/** As observeCluster(), by a transport that is there. */
export async function observeBy(transport: Transport, question: Omit<ClusterQuestion, 'access'>, signal: AbortSignal): Promise<Told> {
  const { asked, timeout, note } = question
  await transport.check()
  const late = AbortSignal.timeout(timeout)
  question.progress('listing the agents')
  const targets = await targetsOf(asked.filter, transport, AbortSignal.any([signal, late])).catch((error: unknown) => {
    if (late.aborted && error === late.reason) throw new PicketError('Timeout', `no answer from the API server within ${timeout / 1000} s; see that it is reachable, or raise --timeout`)
    throw error
  })
  if (targets.note !== null) note(targets.note)
  const without = targets.without.map((node) => {
    note(`node ${node}: not asked: no agent runs there`)
    return node
  })
  const unreached = asked.follow ? await followCluster(transport, targets, question, signal) : await askOnce(transport, targets, question, signal)
  return { unreached: [...without, ...unreached] }
}

async function askOnce(transport: Transport, { agents }: Targets, { asked, timeout, onRecord, note, progress }: Omit<ClusterQuestion, 'access'>, signal: AbortSignal): Promise<readonly string[]> {
  const newest = new Newest(asked.last ?? MOST_RECORDS)
  const args = [...argumentsOf(asked), '--timeout', `${timeout}ms`]
  const slots = new Slots(MOST_AT_ONCE)
  let answered = 0
  const failures = await Promise.all(agents.map(async (agent) => {
    const free = await slots.take()
    try {
      return await failureOf(agent)
    } finally {
      free()
      answered += 1
      progress(`${answered} of ${agents.length} agents have answered`)
    }
  }))
  async function failureOf(agent: AgentPod): Promise<string | null> {
    const ofNode = (text: string): void => note(`node ${agent.node}: ${text}`)
    const lines = new Lines(ofNode)
    const onLine = (line: string): void => {
      const record = line === '' ? null : lines.read(line)
      if (record !== null) newest.add({ record, line })
    }
    try {
      await execObserve({ transport, agent, args, patience: timeout, onLine, onNote: ofNode }, signal)
      return null
    } catch (error) {
      if (signal.aborted) throw error
      ofNode(`not asked: ${await refusalOf(error, transport)}`)
      return agent.node
    }
  }
  for (const shown of newest.inOrder()) await onRecord(shown)
  if (asked.last === null && newest.cut > 0) note(`${newest.cut} older records are not shown: more than ${MOST_RECORDS} came; ask for less with --last, --since or a filter`)
  return failures.filter((node) => node !== null)
}
