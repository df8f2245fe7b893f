// The agent's loop with what tells about it in the API: a kernel and an API server in memory, and a clock that a test moves.
//
// Node n1 with a pod `web` on veth0. What is said to it has the resourceVersions that the test gives.
// **Invariant:** events go the way that agent.ts leads them: to the followers as they arrive, then into the inbox.
import { NodeEnforcement } from '../../src/agent/node-enforcement.ts'
import type { CanaryState } from '../../src/agent/canary.ts'
import { ProblemParts } from '../../src/agent/problem-parts.ts'
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import { ObjectWriter } from '../../src/kube/object-writer.ts'
import type { ClusterState } from '../../src/kube/source.ts'
import type { SourceEvent } from '../../src/model/changes.ts'
import type { Policy } from '../../src/model/policy.ts'
import { NodeObject } from '../../src/report/node-object.ts'
import { openLog } from '../../src/telemetry/log.ts'
import { AgentWorld } from './agent-world.ts'
import type { ApiObject } from './api-server.ts'
import { hostInterface, namespace, node, pod } from './builders.ts'
import { upsert } from './cluster-feed.ts'
import { FakeClock, settled } from './fake-clock.ts'
import { FakeKernel } from './fake-kernel.ts'
import { MemoryApi } from './memory-api.ts'

export const OBJECTS = '/apis/picket.dev/v1alpha1/nodeenforcements'
export const WEB = pod({ name: 'web', node: 'n1', addresses: ['10.0.0.1'], labels: { app: 'web' } })

export class NodeWorld {
  readonly clock: FakeClock
  readonly api: MemoryApi
  readonly kernel: FakeKernel
  readonly problems = new ProblemParts(openLog('silent', {}))
  readonly versions: Record<string, string>
  readonly world: AgentWorld
  readonly node: NodeEnforcement
  canary: CanaryState | null = null
  /** The results of writes. */
  readonly written: string[] = []

  /** `before`: whose API, kernel and clock it goes on with, as an agent that is started again. */
  constructor(before: Pick<NodeWorld, 'clock' | 'api' | 'kernel' | 'versions'> | null = null) {
    this.versions = { networkpolicies: '100', pods: '100', ...before?.versions }
    this.clock = before?.clock ?? new FakeClock()
    this.api = before?.api ?? new MemoryApi(this.clock)
    this.kernel = before?.kernel ?? new FakeKernel()
    this.world = new AgentWorld(this.kernel, this.clock, 'n1', {
      onPlanned: (revision, delta) => this.node.planned(revision, delta),
      onHeld: ({ revision }) => this.node.held(revision),
      onProblems: (problems) => this.problems.set('kernel', problems),
    })
    const writer = new ObjectWriter({ transport: this.api, clock: this.clock, fieldManager: 'picket-agent' })
    this.node = new NodeEnforcement({
      nodeName: 'n1',
      clock: this.clock,
      random: () => 0.5,
      nftables: 'fake',
      turns: this.world.turns,
      problems: this.problems,
      committer: () => this.world.committer,
      cluster: () => this.#cluster(),
      canary: () => this.canary,
      audit: () => null,
      missing: () => null,
      object: new NodeObject(writer),
      onWrite: (result) => void this.written.push(result),
    })
    this.say((feed) => {
      upsert(feed, 'namespace', namespace())
      upsert(feed, 'node', node({ name: 'n1' }))
      upsert(feed, 'pod', WEB)
      upsert(feed, 'interface', hostInterface({ index: 10, hostRoutes: WEB.addresses }))
    })
  }

  #cluster(): ClusterState {
    const resources = Object.entries(this.versions).map(([resource, resourceVersion]) => ({
      resource, resourceVersion, synced: true, lastEventAt: null, lastHeardAt: null, lists: 1, reconnects: 0, lastError: null, errors: {},
    }))
    return { serverVersion: null, watchList: 'yes', resources }
  }

  /** Events that arrive now; no turn takes them in yet. */
  say(tell: (feed: { push(event: SourceEvent): void }) => void): void {
    tell({
      push: (event) => {
        this.node.arrived([event])
        this.world.turns.inbox.push(event)
      },
    })
  }

  /** A whole list of policies. */
  list(...policies: readonly Policy[]): void {
    this.say((feed) => feed.push({ verb: 'replace', kind: 'policy', rows: new Map(policies.map((row) => [row.uid, { kind: 'good', row, problems: [] }])) }))
  }

  /** Policies as events of a watch, the last of them of that version. */
  edit(version: string, ...policies: readonly Policy[]): void {
    this.say((feed) => upsert(feed, 'policy', ...policies))
    this.versions['networkpolicies'] = version
  }

  /** A turn, its commits, and what follows within the next millisecond. */
  async turn(): Promise<void> {
    this.world.turn()
    await settled()
    await this.clock.advance(1)
  }

  /** A turn, and the rest that lies between two writes. */
  async rest(): Promise<void> {
    await this.turn()
    await this.clock.advance(10_000)
  }

  get object(): ApiObject | undefined {
    return this.api.find(OBJECTS, '/n1')
  }

  get status(): NodeEnforcementStatus {
    return (this.object?.['status'] as NodeEnforcementStatus | undefined) ?? {}
  }

  /** How often the status was written. */
  get writes(): number {
    return this.api.requests.filter(({ method }) => method === 'PATCH').length
  }

  said(type: string): string {
    return (this.status.conditions ?? []).flatMap((one) => (one.type === type ? [`${one.status} ${one.reason}`] : [])).join()
  }

  get failures(): readonly string[] {
    return (this.status.failures ?? []).map(({ ref, reason }) => `${ref.kind} ${ref.namespace}/${ref.name} ${reason}`)
  }

  async close(): Promise<void> {
    await this.node.close()
    await this.world.close()
  }
}
