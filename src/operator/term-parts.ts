// What a term of leadership is given, and what it tells of itself.
//
// **Invariant:** what outlives a term is here and nowhere else in it.
import type { ObjectWriter } from '../kube/object-writer.ts'
import type { ClusterAccess, ClusterState, watchCluster } from '../kube/source.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import type { EventCounts } from '../report/event-recorder.ts'
import type { PublishCounts } from '../report/publish-counts.ts'
import type { Quiet } from '../report/quiet.ts'
import type { Log } from '../telemetry/log.ts'
import type { OperatorEvent } from './resources.ts'
import type { ClusterView } from './view.ts'

export interface TermOptions {
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  readonly access: ClusterAccess
  /** Of the agents. */
  readonly namespace: string
  readonly writer: ObjectWriter
  /** Name of this pod: who tells Events. */
  readonly instance: string
  readonly leads: () => boolean
  /** Of the process: it outlives terms. */
  readonly quiet: Quiet
  readonly onStep: (ms: number) => void
  readonly onTrouble: (of: TroubleOf, message: string | null) => void
  /** A mistake of our own, once: what this term knows is in doubt, and it takes nothing more. To be closed. */
  readonly onBroken: (error: unknown) => void
  /** In place of the API server's watches. */
  readonly watch?: typeof watchCluster<OperatorEvent>
}

export type TroubleOf = 'policies' | 'nodes' | 'events'

export interface TermState {
  readonly isSynced: boolean
  readonly cluster: ClusterState | null
  readonly problems: readonly Problem[]
  readonly size: ClusterView['size']
  /** Nodes that are not ready, or whose agent is not, now: it need not be for 20 s yet. */
  readonly silent: number
  readonly policies: PublishCounts
  readonly nodes: PublishCounts
  readonly events: EventCounts
}
