// What is done for Services beside the table: clients of endpoints that left are forgotten, stale entries of UDP go, and load
// balancers hear of endpoints and of the node.
//
//   planned, held -> RememberedClients -> affinity maps;  -> StaleUdp -> conntrack;
//     -> ToldServices -> a port for each healthCheckNodePort;  -> HeldInTime -> /healthz
//
// **Invariant:** a port that cannot be had is a problem and is tried again; it never ends the agent.
import type { FlowKey } from '../kernel/conntrack-flows.ts'
import type { Conntrack, StaleEntries } from '../kernel/conntrack.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { Uid } from '../model/objects.ts'
import type { NatDelta } from '../nat/plan.ts'
import { keptOf, udpChanges, type UdpPort } from '../nat/stale.ts'
import type { ServicePlan } from '../nat/step.ts'
import type { MarkLayout } from '../ruleset/marks.ts'
import { NodeHealthServer } from '../serve/node-health.ts'
import { ServiceHealthServers } from '../serve/service-health.ts'
import type { AgentConfig } from '../settings.ts'
import type { Log } from '../telemetry/log.ts'
import type { Closable, PlanFollower } from './follower.ts'
import { HeldInTime } from './held-in-time.ts'
import type { Measures } from './measures.ts'
import type { ProblemParts } from './problem-parts.ts'
import { RememberedClients } from './remembered-clients.ts'
import { StaleUdp } from './stale-udp.ts'
import { ToldServices } from './told-services.ts'
import type { Turns } from './turn.ts'

export interface ServiceFollowersOptions {
  readonly kernel: Kernel
  readonly config: AgentConfig
  readonly clock: Clock
  readonly log: Log
  readonly turns: Turns
  readonly plan: ServicePlan
  readonly mark: MarkLayout
  readonly measures: Measures
  readonly problems: ProblemParts
  /** Closed with the others. */
  readonly conntrack: StaleEntries & Pick<Conntrack, 'close'>
  /** Null, or what stood in the way (Cutter.cutDenied). */
  readonly cutDenied: (keys: readonly FlowKey[]) => Promise<string | null>
}

export interface ServiceFollowers {
  readonly followers: readonly PlanFollower[]
  readonly closables: readonly Closable[]
}

export function startServiceFollowers(options: ServiceFollowersOptions): ServiceFollowers {
  const { config, clock, conntrack, problems } = options
  const stale = startStale(options)
  const inTime = new HeldInTime(clock)
  const healthPorts = new ServiceHealthServers({ clock, healthy: () => inTime.isHealthy, onProblems: (found) => problems.set('health-ports', found) })
  const staying = new Map<Uid, readonly UdpPort[]>()
  const told = new ToldServices((services) => healthPorts.set(services))
  // They were led to who left until now, since they stay with an endpoint: what that made goes, too.
  const clients = startClients(options, () => stale.again([...staying.values()].flat().map(keptOf)))
  return {
    followers: [
      { planned: (revision, _, services) => clients.planned(revision, services), held: (revision) => clients.held(revision) },
      { planned: (revision) => inTime.planned(revision), held: (revision) => inTime.held(revision) },
      {
        planned: (revision, _, services) => {
          keepStaying(staying, services)
          stale.planned(revision, changesOf(services))
        },
        held: (revision) => stale.held(revision),
      },
      { planned: (revision, _, services) => told.planned(revision, services), held: (revision) => told.held(revision) },
    ],
    closables: [clients, conntrack, stale, healthPorts, ...(config.nodeHealthAddress === 'none' ? [] : [startNodeHealth(options, inTime)])],
  }
}

function startClients({ kernel, clock, log, plan, mark, problems }: ServiceFollowersOptions, onForgotten: () => void): RememberedClients {
  return new RememberedClients({
    kernel,
    clock,
    plan,
    layout: mark,
    onForgotten: (count) => {
      log.info({ clients: count }, 'clients of endpoints that left are balanced anew')
      onForgotten()
    },
    onProblems: (found) => problems.set('clients', found),
  })
}

function startStale({ clock, log, measures, problems, conntrack, cutDenied }: ServiceFollowersOptions): StaleUdp {
  return new StaleUdp({
    clock,
    entries: conntrack,
    cutDenied,
    onDeleted: (report) => {
      measures.staleDeleted(report.deleted)
      log.info({ ...report, ms: Math.round(report.ms) }, 'stale UDP entries deleted')
    },
    onProblems: (found) => problems.set('stale-udp', found),
  })
}

function changesOf(services: NatDelta['services']): ReturnType<typeof udpChanges> {
  const changes = []
  for (const { before, after } of services.values()) {
    if (after !== null && after.udp !== before?.udp) changes.push(...udpChanges(before?.udp ?? [], after.udp))
  }
  return changes
}

/** The UDP ports of Services whose clients stay with an endpoint. */
function keepStaying(staying: Map<Uid, readonly UdpPort[]>, services: NatDelta['services']): void {
  for (const [uid, { after }] of services) {
    if (after !== null && after.udp.length > 0 && after.lists.some(({ affinity }) => affinity !== null)) staying.set(uid, after.udp)
    else staying.delete(uid)
  }
}

function startNodeHealth({ config, clock, turns, problems }: ServiceFollowersOptions, inTime: HeldInTime): NodeHealthServer {
  const { nodeName, nodeHealthAddress: address } = config
  return new NodeHealthServer({
    clock,
    nodeName,
    address,
    answers: {
      healthy: () => inTime.isHealthy,
      eligible: () => [...(turns.snapshot?.nodes.where('name', nodeName) ?? [])].some(({ leaving }) => !leaving),
      now: () => clock.wallTime(),
      updatedAt: () => inTime.updatedAt,
    },
    onProblems: (found) => problems.set('node-health', found),
  })
}
