// `picket explain` of a cluster: its objects read once, the question answered by them, and the agents of the nodes concerned asked.
//
// **Invariant:** what takes longer than two seconds says on stderr what it does; the connections are closed whatever happens.
import type { Answer, Verdict } from '../explain/answer.ts'
import { explain, type Question } from '../explain/explain.ts'
import { World } from '../explain/world.ts'
import { readList } from '../kube/list.ts'
import { RESOURCES } from '../kube/resources.ts'
import { transportFor, type ClusterAccess } from '../kube/source.ts'
import type { Transport } from '../kube/transport.ts'
import { systemClock } from '../lib/clock.ts'
import { PicketError } from '../lib/errors.ts'
import type { SourceEvent } from '../model/changes.ts'
import { askAgents } from './explain-agents.ts'
import { readPolicies } from './explain-policies.ts'
import { readSettings, type ReadSettings } from './explain-settings.ts'
import { formatPort } from './options.ts'
import { ProgressLine } from './progress-line.ts'

export interface Told {
  readonly answer: Answer
  /** Without the policies that are asked about; null where none are. */
  readonly before: Verdict | null
}

export interface ClusterQuestion {
  readonly access: ClusterAccess
  readonly question: Question
  readonly policies: string | null
  /** Milliseconds, to read the objects. */
  readonly timeout: number
}

const QUIET_MS = 2_000
/** Objects, between two words of progress. */
const SOME = 500

export async function explainCluster({ access, question, policies, timeout }: ClusterQuestion): Promise<Told> {
  const transport = transportFor(access, systemClock)
  const progress = new ProgressLine(process.stderr, systemClock, 'picket explain', QUIET_MS)
  const late = AbortSignal.timeout(timeout)
  try {
    await transport.check()
    const { events, settings, note } = await readCluster(transport, late, (count) => progress.show(`${count} objects of the cluster read`))
    progress.end()
    if (note !== null) process.stderr.write(`picket explain: ${note}\n`)
    const world = new World(events, settings)
    const now = explain(world, question)
    if (policies !== null) return { answer: explain(new World(await readPolicies(policies, systemClock, events), settings), question), before: now.verdict }
    progress.show('asking the agents of the nodes concerned')
    const { from, to, ports } = question
    return { answer: await askAgents(now, world.snapshot, transport, { from, to, port: formatPort(ports) }), before: null }
  } catch (error) {
    if (late.aborted && error === late.reason) throw new PicketError('Timeout', `no answer from the API server within ${timeout / 1000} s; see that it is reachable, or raise --timeout`)
    throw error
  } finally {
    progress.end()
    await transport.close()
  }
}

/** ApiFailure, which names the right that is missing, where any kind cannot be read whole. `onRead`: now and then, with how many objects it has. */
async function readCluster(transport: Transport, signal: AbortSignal, onRead: (count: number) => void): Promise<ReadSettings & { readonly events: readonly SourceEvent[] }> {
  let count = 0
  const onRow = (): void => {
    count += 1
    if (count % SOME === 0) onRead(count)
  }
  const lists = await Promise.all(RESOURCES.map(async (resource) => ({ kind: resource.rows, rows: (await readList(transport, resource, signal, onRow)).rows })))
  const events = lists.map(({ kind, rows }) => ({ verb: 'replace', kind, rows }) as SourceEvent)
  return { events, ...(await readSettings(transport, signal)) }
}
