// A cluster in the test's API server, and terms of operators over it: watched over loopback, written to in memory, on a fake clock.
//
// Time passes in small steps. In each of them what the server sends arrives, within some turns of the event loop, since the server is in
// this process; at first there is a moment of real time besides, in which files are read.
// **Invariant:** every write of every term is recorded, as what it did to which object.
import assert from 'node:assert/strict'
import { ObjectWriter } from '../../src/kube/object-writer.ts'
import { ApiFailure } from '../../src/kube/failures.ts'
import { statusFailure } from '../../src/kube/statuses.ts'
import type { Answer, Change, Target } from '../../src/kube/transport.ts'
import type { TermOptions } from '../../src/operator/term-parts.ts'
import { Term } from '../../src/operator/term.ts'
import { Quiet } from '../../src/report/quiet.ts'
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import type { PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import { openLog } from '../../src/telemetry/log.ts'
import { answerObject } from './api-objects.ts'
import { ApiServer, type ApiObject } from './api-server.ts'
import { kubeconfigText, TemporaryFolder } from './cluster-follower.ts'
import { nodeStatus } from './enforcements.ts'
import { FakeClock } from './fake-clock.ts'

export const PATHS = {
  pods: '/api/v1/pods',
  nodes: '/api/v1/nodes',
  namespaces: '/api/v1/namespaces',
  policies: '/apis/networking.k8s.io/v1/networkpolicies',
  statuses: '/apis/picket.dev/v1alpha1/policyenforcements',
  reports: '/apis/picket.dev/v1alpha1/nodeenforcements',
} as const

const STEP_MS = 50
/** Where much time passes. */
const LONG_STEP_MS = 200
const LONG_MS = 8_000
/** A request and its answer take about six. */
const TURNS = 24
const MADE = '2026-01-01T00:00:00Z'

export class OperatorWorld {
  readonly clock = new FakeClock()
  readonly server: ApiServer
  /** `POST policyenforcements`, `DELETE policyenforcements/web`, in order; reads of single objects too, as `GET ...`. */
  readonly requests: string[] = []
  /** True: the API server takes nothing; a function: holds a request back. */
  hold: (request: string) => Promise<void> = () => Promise.resolve()
  readonly #folder: TemporaryFolder
  /** Of a client without a name of its own. */
  readonly kubeconfig: string
  readonly #terms: Term[] = []

  private constructor(server: ApiServer, folder: TemporaryFolder, kubeconfig: string) {
    this.server = server
    this.#folder = folder
    this.kubeconfig = kubeconfig
    this.clock.setAhead(Date.parse('2026-02-01T00:00:00Z'))
  }

  /** Two nodes that are ready, with agents that report. */
  static async start(nodes: readonly string[] = ['n1', 'n2']): Promise<OperatorWorld> {
    const [server, folder] = await Promise.all([ApiServer.start(), TemporaryFolder.make()])
    const world = new OperatorWorld(server, folder, await folder.write('kubeconfig', kubeconfigText(server.url)))
    server.put(PATHS.namespaces, { metadata: { name: 'shop', uid: 'ns-shop' } })
    for (const name of nodes) {
      world.node(name)
      world.agent(name)
      world.report(name)
    }
    return world
  }

  async close(): Promise<void> {
    for (const term of this.#terms) await this.ended(term)
    await this.server.close()
    await this.#folder.remove()
  }

  /** Path of a kubeconfig; who asks with it is told apart by its token. */
  kubeconfigOf(token: string): Promise<string> {
    return this.#folder.write(`kubeconfig-${token}`, kubeconfigText(this.server.url, { user: { token } }))
  }

  async ended(term: Pick<Term, 'close'>): Promise<void> {
    let done = false
    void term.close().then(() => (done = true))
    for (let i = 0; i < 400 && !done; i += 1) await this.pass(STEP_MS)
    assert.ok(done, 'close() does not end')
  }

  node(name: string, { uid = `node-${name}`, isReady = true, since = this.now } = {}): void {
    this.server.put(PATHS.nodes, { metadata: { name, uid, creationTimestamp: MADE }, status: ready(isReady, since) })
  }

  agent(node: string, { isReady = true, since = this.now, more = {} } = {}): void {
    const metadata = { name: `agent-${node}`, namespace: 'picket-system', uid: `agent-${node}`, creationTimestamp: MADE, ...more }
    this.server.put(PATHS.pods, { metadata, spec: { nodeName: node }, status: ready(isReady, since) })
  }

  report(node: string, { owner = `node-${node}`, status = {} as NodeEnforcementStatus, uid = `report-${node}` } = {}): void {
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: node, uid: owner }]
    this.server.put(PATHS.reports, { metadata: { name: node, uid, ownerReferences }, status: nodeStatus({ ...status, observedResourceVersions: { networkpolicies: '1000000' } }) })
  }

  pod(name: string, node = 'n1', labels: Readonly<Record<string, string>> = { app: 'web' }): void {
    this.server.put(PATHS.pods, {
      metadata: { name, namespace: 'shop', uid: `pod-${name}`, labels, creationTimestamp: MADE },
      spec: { nodeName: node, containers: [{ name: 'main' }] },
      status: { phase: 'Running', podIPs: [{ ip: '10.0.0.9' }] },
    })
  }

  policy(name: string, { uid = `policy-${name}`, generation = 1, labels = {}, types = ['Ingress'] as unknown } = {}): void {
    this.server.put(PATHS.policies, { metadata: { name, namespace: 'shop', uid, generation, labels, creationTimestamp: MADE }, spec: { podSelector: { matchLabels: { app: 'web' } }, policyTypes: types } })
  }

  remove(path: keyof typeof PATHS, key: string): void {
    this.server.remove(PATHS[path], key)
  }

  get now(): string {
    return new Date(this.clock.wallTime()).toISOString().slice(0, 19) + 'Z'
  }

  object(path: keyof typeof PATHS, name: string): ApiObject | undefined {
    return this.server.list(PATHS[path]).find(({ metadata }) => metadata.name === name)
  }

  status(name: string): PolicyEnforcementStatus | undefined {
    return this.object('statuses', name)?.['status'] as PolicyEnforcementStatus | undefined
  }

  /** `Programmed=True/Programmed since ...`; empty where there is none. */
  said(name: string, type = 'Programmed'): string {
    const found = this.status(name)?.conditions.find((one) => one.type === type)
    return found === undefined ? '' : `${found.status}/${found.reason} since ${found.lastTransitionTime}`
  }

  reporting(node: string): string {
    const status = this.object('reports', node)?.['status'] as NodeEnforcementStatus | undefined
    const found = status?.conditions?.find(({ type }) => type === 'Reporting')
    return found === undefined ? '' : `${found.status}/${found.reason}`
  }

  /** Writes since the last call, without reads and Events. */
  writes(): readonly string[] {
    return this.requests.splice(0).filter((one) => !one.startsWith('GET') && !one.includes('events'))
  }

  async term(more: Partial<TermOptions> = {}): Promise<Term> {
    const term = this.makeTerm(more)
    await term.start()
    return term
  }

  /** Until it has read everything. */
  async syncedTerm(more: Partial<TermOptions> = {}): Promise<Term> {
    const term = await this.term(more)
    await this.until('synced', () => term.state().isSynced)
    return term
  }

  makeTerm(more: Partial<TermOptions> = {}): Term {
    const writer = new ObjectWriter({ transport: { get: (target, signal) => this.#ask(target, null, signal), send: (target, change, signal) => this.#ask(target, change, signal) }, clock: this.clock, fieldManager: 'picket-operator' })
    const term = new Term({
      clock: this.clock,
      log: openLog('silent', {}),
      random: () => 0.5,
      access: { kubeconfig: this.kubeconfig, context: null, apiServers: [] },
      namespace: 'picket-system',
      writer,
      instance: 'operator-1',
      leads: () => true,
      quiet: new Quiet(),
      onStep: () => {},
      onTrouble: () => {},
      onBroken: (error) => assert.fail(error as Error),
      ...more,
    })
    this.#terms.push(term)
    return term
  }

  async pass(ms: number): Promise<void> {
    const isLong = ms >= LONG_MS
    const step = isLong ? LONG_STEP_MS : STEP_MS
    for (let left = ms; left > 0; left -= step) {
      await this.clock.advance(Math.min(step, left))
      if (!isLong) await moment()
      await turns()
    }
  }

  /** At most ten minutes of the clock, and half a minute of ours. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const end = performance.now() + 30_000
    const from = this.clock.now()
    for (let passed = 0; passed < 600_000 && performance.now() < end; passed = this.clock.now() - from) {
      if (condition()) return
      const isLong = passed >= LONG_MS
      await this.clock.advance(isLong ? LONG_STEP_MS : STEP_MS)
      if (!isLong) await moment()
      await turns()
    }
    assert.fail(`not within 10 minutes: ${what}; ${this.requests.join(', ')}`)
  }

  async #ask(target: Target, change: Change | null, signal: AbortSignal): Promise<Answer> {
    if (signal.aborted) throw signal.reason
    const method = change?.method ?? 'GET'
    const request = `${method} ${target.path.split('/').slice(target.path.includes('/namespaces/') ? 6 : 4).join('/')}`
    this.requests.push(request)
    await this.hold(request)
    const said = answerObject(this.server, { method, path: target.path, query: target.query, body: change === null ? '' : JSON.stringify(change.body) })
    if (said === null) throw new ApiFailure('Internal', `the test's API does not know ${request}`)
    const body = Buffer.from(JSON.stringify(said.body))
    if (said.status > 202) throw statusFailure(said.status, body, 'memory', target, 'none', undefined)
    return { server: 'memory', contentType: 'application/json', body: once(body) }
  }
}

async function moment(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1))
}

async function turns(): Promise<void> {
  for (let i = 0; i < TURNS; i += 1) await new Promise((resolve) => setImmediate(resolve))
}

async function* once(body: Buffer): AsyncGenerator<Buffer, void> {
  yield body
}

function ready(isReady: boolean, since: string): Readonly<Record<string, unknown>> {
  return { conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False', lastTransitionTime: since }] }
}
