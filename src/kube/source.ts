// The cluster's objects as a source of the inbox: one reflector for each resource, over one transport.
//
// The first stage of the flow on a cluster. **Invariant:** one resource that fails holds up no other; each is synced by
// itself, and the inbox waits for all of them.
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import type { SourceEvent } from '../model/changes.ts'
import { USUAL_PAUSES, type Pauses } from './attempts.ts'
import { Credentials } from './credentials.ts'
import { Reflector, type ResourceState } from './reflector.ts'
import { RESOURCES, type Resource } from './resources.ts'
import type { RowEvent } from './rows.ts'
import { Server } from './server.ts'
import { Transport, USUAL_LIMITS, type TransportLimits } from './transport.ts'

export interface ClusterAccess {
  /** Path of a kubeconfig; null: this process runs in a pod. */
  readonly kubeconfig: string | null
  /** A context of it; null: its current one. */
  readonly context: string | null
  /** `https://HOST:PORT`, tried in turn; empty: what the kubeconfig or the pod's environment says. */
  readonly apiServers: readonly string[]
}

/** `Event`: as the resources' own rows make it; the agent's where no resources are given. */
export interface ClusterOptions<Event = SourceEvent> {
  readonly access: ClusterAccess
  readonly clock: Clock
  /** In order for each resource; nothing is told after close() was called. */
  readonly onEvents: (events: readonly Event[]) => void
  /** All problems of now, whenever they change. Those of objects come with their rows. */
  readonly onProblems: (problems: readonly Problem[]) => void
  readonly random?: () => number
  readonly resources?: readonly Resource[]
  readonly limits?: TransportLimits
  readonly pauses?: Pauses
}

export interface ClusterState {
  /** `v1.37.2`; null where it is not known. */
  readonly serverVersion: string | null
  readonly watchList: 'maybe' | 'yes' | 'no'
  readonly resources: readonly ResourceState[]
}

export interface ClusterSource {
  state(): ClusterState
  /** Resolves when nothing runs any more. */
  close(): Promise<void>
}

/** PicketError where the credentials are wrong or cannot be read; a server that does not answer is a problem, and waited for. */
export async function watchCluster<Event = SourceEvent>(options: ClusterOptions<Event>): Promise<ClusterSource> {
  const transport = transportFor(options.access, options.clock, options.limits)
  await transport.check()
  // Rows and their kind come from one line of the resources, which is whose events the caller asks for.
  return new Cluster(options as ClusterOptions<never>, transport)
}

/** As watchCluster would fail, before anything else is started. */
export async function checkAccess(access: ClusterAccess, clock: Clock): Promise<void> {
  const transport = transportFor(access, clock)
  await transport.check()
  await transport.close()
}

/** For whoever asks the API server once. Nothing is asked yet. */
export function transportFor(access: ClusterAccess, clock: Clock, limits: TransportLimits = USUAL_LIMITS): Transport {
  const credentials = new Credentials({ kubeconfig: access.kubeconfig, context: access.context, clock })
  return new Transport({ credentials, apiServers: access.apiServers, limits })
}

class Cluster implements ClusterSource {
  readonly #transport: Transport
  readonly #server: Server
  readonly #reflectors: readonly Reflector[]
  #closed = false

  constructor(options: ClusterOptions<never>, transport: Transport) {
    this.#transport = transport
    const onProblem = (): void => {
      if (!this.#closed) options.onProblems(this.#problems())
    }
    this.#server = new Server(transport, onProblem)
    const common = {
      transport,
      server: this.#server,
      clock: options.clock,
      random: options.random ?? Math.random,
      pauses: options.pauses ?? USUAL_PAUSES,
      onEvents: options.onEvents as (events: readonly RowEvent[]) => void,
      onProblem,
      // They ask the same server: none of them waits out a pause for a server that another one has reached.
      onReached: () => {
        for (const reflector of this.#reflectors) reflector.reachable()
      },
    }
    this.#reflectors = (options.resources ?? RESOURCES).map((resource) => new Reflector({ ...common, resource }))
    for (const reflector of this.#reflectors) reflector.start()
  }

  state(): ClusterState {
    const resources = this.#reflectors.map((reflector) => reflector.state())
    return { serverVersion: this.#server.version, watchList: this.#server.watchList, resources }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#reflectors.map((reflector) => reflector.close()))
    await this.#transport.close()
  }

  #problems(): readonly Problem[] {
    return [this.#server.problem, ...this.#reflectors.map(({ problem }) => problem)].filter((problem) => problem !== null)
  }
}
