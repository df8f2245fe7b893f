// The law of the summary: whatever happens in whatever turns, each policy's status is what a naive oracle says of the cluster as it is,
// and whoever only looks again at the policies that a step tells knows them all.
//
// **Invariant:** every run compares every policy after every step, and the steps' splits are random.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { NodeEnforcementStatus, NodeFailure } from '../../src/crd/node-enforcement.ts'
import { POLICY_ENFORCEMENT, type PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import { faultOf } from '../../src/crd/read.ts'
import type { Namespace, Node, Pod } from '../../src/model/objects.ts'
import type { Policy, PolicyRule } from '../../src/model/policy.ts'
import type { Service } from '../../src/model/service.ts'
import type { DnsService } from '../../src/summary/dns.ts'
import { ipBlock, namespace, node, pod, podPeer, podsIn, podsOf, policy, port, service } from '../support/builders.ts'
import { nodeStatus } from '../support/enforcements.ts'
import { report, runs } from '../support/runs.ts'
import { expectedOf, type Expected, type OracleCluster } from '../support/summary-oracle.ts'
import { said, SILENT, SummaryWorld, warningsIn } from '../support/summary-world.ts'

const PEERS = [podsOf('n1', 'app=web'), podsOf('n1', 'app=none'), podsIn(''), podsIn('team=a', 'app in (web,dns)'), podsIn('!team'), podsOf('n2', '!tier')].map(podPeer)
  .concat([ipBlock('10.96.0.0/12'), ipBlock('10.0.0.0/8', '10.0.0.0/24'), ipBlock('fd00:96::/64'), ipBlock('10.0.0.1'), ipBlock('0.0.0.0/0')])
const PORTS = [port('http'), port('dns', 'UDP'), port('5000-6000', 'UDP'), port('*', 'UDP'), port(80)]
const rule: fc.Arbitrary<Partial<PolicyRule>> = fc.record({
  peers: fc.oneof(fc.constant('all' as const), fc.subarray(PEERS, { maxLength: 2 })),
  ports: fc.oneof(fc.constant('all' as const), fc.subarray(PORTS, { maxLength: 2 })),
})
const anyPolicy: fc.Arbitrary<Policy> = fc
  .record({
    uid: fc.constantFrom('q1', 'q2', 'q3', 'q4'),
    generation: fc.integer({ min: 1, max: 3 }),
    pods: fc.constantFrom('', 'app=web', 'app in (web,dns)', '!app', 'tier=x'),
    ingress: fc.option(fc.array(rule, { maxLength: 2 }), { nil: undefined }),
    egress: fc.option(fc.array(rule, { maxLength: 2 }), { nil: undefined }),
  })
  // q4 is another policy under the name of q3, made anew.
  .map(({ uid, ingress, egress, ...rest }) => policy({ uid, namespace: uid === 'q1' ? 'n2' : 'n1', name: uid === 'q4' ? 'q3' : uid, ...rest, ...(ingress === undefined ? {} : { ingress }), ...(egress === undefined ? {} : { egress }) }))

const anyPod: fc.Arbitrary<Pod> = fc
  .record({
    uid: fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p5', 'p6'),
    node: fc.constantFrom(null, 'a', 'b', 'c'),
    app: fc.constantFrom('', 'web', 'dns', 'db'),
    tier: fc.constantFrom('', 'x'),
    addressed: fc.boolean(),
    ports: fc.subarray([{ name: 'http', protocol: 'TCP' as const, port: 80 }, { name: 'dns', protocol: 'UDP' as const, port: 5353 }]),
    hostNetwork: fc.integer({ max: 5, min: 0 }).map((n) => n === 0),
    finished: fc.integer({ max: 7, min: 0 }).map((n) => n === 0),
  })
  .map(({ uid, app, tier, addressed, hostNetwork, finished, ...rest }) => {
    const number = Number(uid.slice(1))
    const addresses = addressed && !hostNetwork && !finished ? [number === 6 ? '10.96.0.77' : `10.0.0.${number}`, `fd00::${number}`] : []
    return pod({ uid, name: uid, namespace: number % 2 === 0 ? 'n2' : 'n1', labels: { ...(app === '' ? {} : { app }), ...(tier === '' ? {} : { tier }) }, addresses, hostNetwork, finished, ...rest })
  })
const anyNamespace: fc.Arbitrary<Namespace> = fc.record({ name: fc.constantFrom('n1', 'n2'), team: fc.constantFrom('', 'a', 'b') }).map(({ name, team }) => namespace({ name, labels: team === '' ? {} : { team } }))
const anyNode: fc.Arbitrary<Node> = fc.record({ name: fc.constantFrom('a', 'b', 'c'), again: fc.boolean(), address: fc.constantFrom('192.168.0.1', '10.96.0.99') })
  .map(({ name, again, address }) => node({ name, uid: `${name}${again ? 2 : 1}`, addresses: [address] }))
const anyService: fc.Arbitrary<Service> = fc.record({ name: fc.constantFrom('s1', 's2'), clusterIps: fc.subarray(['10.96.0.10', '10.0.1.1', 'fd00:96::10']) }).map((fields) => service(fields))
const DNS: DnsService = { namespace: 'n2', selector: new Map([['app', 'dns']]), targets: [{ protocol: 'UDP', port: 'dns' }, { protocol: 'TCP', port: 53 }] }
const failure = (kind: 'NetworkPolicy' | 'Service', name: string, uid?: string): NodeFailure => ({ ref: { kind, namespace: 'n1', name, ...(uid === undefined ? {} : { uid }) }, reason: 'Refused', message: 'no', since: '2026-01-31T12:00:00Z' })
const FAILURES = [failure('NetworkPolicy', 'q2'), failure('NetworkPolicy', 'q3', 'q4'), failure('Service', 'q2')]
const anyReport: fc.Arbitrary<NodeEnforcementStatus> = fc
  .record({
    observed: fc.option(fc.integer({ min: 99, max: 112 }), { nil: undefined }),
    failures: fc.subarray(FAILURES, { maxLength: 2 }),
    more: fc.integer({ min: 0, max: 4 }).map((n) => (n === 0 ? 1 : 0)),
    commits: fc.array(fc.record({ uid: fc.constantFrom('q1', 'q2', 'q3', 'q4'), generation: fc.integer({ min: 1, max: 3 }), latencyMs: fc.nat(50) }), { maxLength: 2 }),
  })
  .map(({ observed, failures, more, commits }) => nodeStatus({ observedResourceVersions: observed === undefined ? {} : { networkpolicies: String(observed) }, failures, failuresTotal: failures.length + more, committed: commits }))

type Event = (run: Run) => void
const someNode = fc.constantFrom('a', 'b', 'c')
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: anyPod.map((row): Event => (run) => run.put('pods', row, () => run.world.pods(row))) },
  { weight: 2, arbitrary: fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p5', 'p6').map((uid): Event => (run) => run.take('pods', uid, 'pod')) },
  { weight: 5, arbitrary: anyPolicy.map((row): Event => (run) => run.policy(row)) },
  { weight: 1, arbitrary: fc.constantFrom('q1', 'q2', 'q3', 'q4').map((uid): Event => (run) => run.take('policies', uid, 'policy')) },
  { weight: 2, arbitrary: anyNamespace.map((row): Event => (run) => run.put('namespaces', row, () => run.world.namespaces(row))) },
  { weight: 3, arbitrary: anyNode.map((row): Event => (run) => run.node(row)) },
  { weight: 1, arbitrary: fc.constantFrom('a1', 'b1', 'c1', 'a2').map((uid): Event => (run) => run.take('nodes', uid, 'node')) },
  { weight: 2, arbitrary: anyService.map((row): Event => (run) => run.put('services', row, () => run.world.services(row))) },
  { weight: 1, arbitrary: fc.constantFrom('s1', 's2').map((name): Event => (run) => run.take('services', `service/default/${name}`, 'service')) },
  { weight: 5, arbitrary: fc.tuple(someNode, fc.option(anyReport), fc.constantFrom('1', '2', '')).map(([name, status, owner]): Event => (run) => run.report(name, status, owner === '' ? null : `${name}${owner}`)) },
  { weight: 3, arbitrary: fc.tuple(someNode, fc.constantFrom(true, true, false, null)).map(([name, alive]): Event => (run) => run.live(name, alive)) },
  { weight: 1, arbitrary: fc.boolean().map((there): Event => (run) => run.dns(there)) },
)

class Run {
  readonly world = new SummaryWorld()
  readonly rows = { pods: new Map<string, Pod>(), policies: new Map<string, Policy>(), namespaces: new Map<string, Namespace>(), nodes: new Map<string, Node>(), services: new Map<string, Service>() }
  readonly reports = new Map<string, { readonly owner: string | null; readonly status: NodeEnforcementStatus }>()
  readonly alive = new Set<string>()
  readonly firstSeen = new Map<string, { readonly generation: number; readonly resourceVersion: bigint }>()
  readonly known = new Map<string, PolicyEnforcementStatus>()
  #resourceVersion = 100
  /** Policies of this step: within one, what was first is not seen. */
  #touched = new Set<string>()

  /** A cluster that works: what can go wrong with it happens sooner than in an empty one. */
  furnish(): void {
    for (const name of ['a', 'b', 'c']) {
      this.node(node({ name, uid: `${name}1`, addresses: ['192.168.0.1'] }))
      this.report(name, nodeStatus(), `${name}1`)
      this.live(name, true)
    }
    for (const name of ['n1', 'n2']) this.put('namespaces', namespace({ name }), () => this.world.namespaces(namespace({ name })))
    const server = pod({ uid: 'p2', name: 'p2', namespace: 'n2', node: 'a', labels: { app: 'dns' }, addresses: ['10.0.0.2'], ports: [{ name: 'dns', protocol: 'UDP', port: 5353 }] })
    this.put('pods', server, () => this.world.pods(server))
    this.dns(true)
  }

  put<K extends keyof Run['rows']>(kind: K, row: { readonly uid: string }, say: () => unknown): void {
    ;(this.rows[kind] as Map<string, unknown>).set(row.uid, row)
    say()
  }

  take(kind: keyof Run['rows'], uid: string, name: 'pod' | 'policy' | 'service' | 'node'): void {
    if (kind === 'policies' && this.#touched.has(uid)) return
    if (!this.rows[kind].delete(uid)) return
    if (kind === 'policies') this.#touched.add(uid)
    this.firstSeen.delete(uid)
    this.world.remove(name, uid)
  }

  policy(row: Policy): void {
    if (this.#touched.has(row.uid)) return
    this.#touched.add(row.uid)
    const resourceVersion = ++this.#resourceVersion
    if (this.firstSeen.get(row.uid)?.generation !== row.generation) this.firstSeen.set(row.uid, { generation: row.generation, resourceVersion: BigInt(resourceVersion) })
    this.put('policies', row, () => this.world.policyAt(row, String(resourceVersion)))
  }

  /** One Node a name. */
  node(row: Node): void {
    for (const old of [...this.rows.nodes.values()]) {
      if (old.name !== row.name || old.uid === row.uid) continue
      this.rows.nodes.delete(old.uid)
      this.world.remove('node', old.uid)
    }
    this.put('nodes', row, () => this.world.nodes(row))
  }

  report(name: string, status: NodeEnforcementStatus | null, owner: string | null): void {
    if (status === null) this.reports.delete(name)
    else this.reports.set(name, { owner, status })
    this.world.report(name, status, owner)
  }

  live(name: string, alive: boolean | null): void {
    if (alive === true) this.alive.add(name)
    else this.alive.delete(name)
    this.world.live(name, alive === null ? null : alive ? undefined : SILENT)
  }

  dns(there: boolean): void {
    this.world.dns = there ? [DNS] : []
  }

  step(): void {
    this.#touched = new Set()
    const { changed, gone, orphans, reporting } = this.world.step()
    for (const uid of gone) this.known.delete(uid)
    for (const uid of changed) {
      const status = this.world.summary.statusOf(uid)
      if (status !== null) this.known.set(uid, status)
    }
    for (const [uid, row] of this.rows.policies) {
      const status = this.world.summary.statusOf(uid)
      assert.ok(status !== null, uid)
      assert.equal(faultOf(POLICY_ENFORCEMENT.status, status, uid), null)
      assert.deepEqual(actualOf(status), expectedOf(row, this.#cluster()), uid)
      const { peers: _, ...told } = this.known.get(uid) as PolicyEnforcementStatus
      const { peers: __, ...now } = status
      assert.deepEqual(told, now, `${uid}: the step told it`)
    }
    for (const name of orphans) assert.ok(![...this.rows.nodes.values()].some((one) => one.name === name && one.uid === this.reports.get(name)?.owner), name)
    for (const [name, { status }] of reporting) assert.equal(status, this.alive.has(name) ? 'True' : 'False', name)
  }

  #cluster(): OracleCluster {
    const { pods, policies, namespaces, nodes, services } = this.rows
    return {
      pods: [...pods.values()], policies: [...policies.values()], namespaces: [...namespaces.values()], nodes: [...nodes.values()], services: [...services.values()],
      dns: this.world.dns, reports: this.reports, alive: this.alive, firstSeen: this.firstSeen,
    }
  }
}

function actualOf(status: PolicyEnforcementStatus): Expected {
  const { nodes, failedNodes, selectedPods, peers } = status
  return {
    nodes,
    failed: failedNodes.map(({ name }) => name),
    programmed: said(status, 'Programmed'),
    selectedPods,
    peers: { ingress: peers.ingress.pods, egress: peers.egress.pods },
    warnings: [...warningsIn(status)].sort(),
  }
}

describe('the summary', function () {
  this.timeout(60_000)

  it('is what the naive oracle says after every step, and tells every policy whose status is another one', () => {
    let steps = 0
    fc.assert(
      fc.property(fc.boolean(), fc.array(fc.array(anyEvent, { minLength: 1, maxLength: 8 }), { maxLength: 12 }), (isFurnished, turns) => {
        const run = new Run()
        if (isFurnished) run.furnish()
        for (const events of turns) {
          for (const event of events) event(run)
          run.step()
          steps += 1
        }
      }),
      runs(400),
    )
    report('steps', steps)
  })
})
