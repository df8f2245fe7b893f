// Operators over the tests' API server, by real HTTP, with a clock that runs faster: what is there is put and looked at as raw objects.
//
// **Invariant:** operators are closed with the stage; nothing else knows the server.
import { startOperator, type Operator } from '../../src/operator/operator.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import { openLog } from '../../src/telemetry/log.ts'
import { ApiServer, type ApiObject } from './api-server.ts'
import { kubeconfigText, PODS, POLICIES, TemporaryFolder } from './cluster-follower.ts'
import { nodeStatus } from './enforcements.ts'

export const POLENF = '/apis/picket.dev/v1alpha1/policyenforcements'
export const NODEENF = '/apis/picket.dev/v1alpha1/nodeenforcements'
export const LEASES = '/apis/coordination.k8s.io/v1/leases'
const NODES = '/api/v1/nodes'
const SPEED = 20
const LONGEST_WAIT_MS = 15_000
const AT = '2026-01-01T00:00:00Z'

/** Twenty times as fast. */
export const fastClock: Clock = {
  now: () => performance.now() * SPEED,
  wallTime: () => FIRST_WALL + (performance.now() - FIRST_NOW) * SPEED,
  after: (ms, action) => {
    const timer = setTimeout(action, ms / SPEED)
    return () => clearTimeout(timer)
  },
}
const FIRST_WALL = Date.now()
const FIRST_NOW = performance.now()

export class OperatorStage {
  readonly server: ApiServer
  readonly operators: Operator[] = []
  readonly failures: unknown[] = []
  readonly #folder: TemporaryFolder
  readonly #kubeconfig: string

  private constructor(server: ApiServer, folder: TemporaryFolder, kubeconfig: string) {
    this.server = server
    this.#folder = folder
    this.#kubeconfig = kubeconfig
  }

  static async open(): Promise<OperatorStage> {
    const [server, folder] = await Promise.all([ApiServer.start(), TemporaryFolder.make()])
    return new OperatorStage(server, folder, await folder.write('kubeconfig', kubeconfigText(server.url)))
  }

  async start(podName: string): Promise<Operator> {
    const source = { kind: 'kube', kubeconfig: this.#kubeconfig, context: null, apiServers: [] } as const
    const config = { source, namespace: 'picket-system', podName, address: 'none', logLevel: 'silent' } as const
    const operator = await startOperator(config, fastClock, openLog('silent', {}), (error) => this.failures.push(error))
    this.operators.push(operator)
    return operator
  }

  async close(): Promise<void> {
    await Promise.all(this.operators.map((operator) => operator.close()))
    await this.server.close()
    await this.#folder.remove()
  }

  /** A node that is ready, with its agent, which is too unless it is said otherwise, and enforces everything up to the version. */
  node(name: string, { uid = `node-${name}`, agentReady = true, observed = '100000', report = true }: { readonly uid?: string; readonly agentReady?: boolean; readonly observed?: string; readonly report?: boolean } = {}): void {
    this.server.put(NODES, { metadata: { name, uid, creationTimestamp: AT }, spec: {}, status: { addresses: [], conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: AT }] } })
    this.agent(name, agentReady)
    if (report) this.report(name, uid, observed)
  }

  agent(node: string, isReady: boolean): void {
    const since = new Date(isReady ? 0 : fastClock.wallTime()).toISOString()
    const pod = { metadata: { namespace: 'picket-system', name: `agent-${node}`, uid: `agent-${node}` }, spec: { nodeName: node, hostNetwork: true }, status: { phase: 'Running', conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False', lastTransitionTime: since }] } }
    this.server.put(PODS, pod)
  }

  report(node: string, owner: string, observed: string, more: Parameters<typeof nodeStatus>[0] = {}): void {
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: node, uid: owner }]
    const before = this.server.list(NODEENF).find(({ metadata }) => metadata.name === node)
    const kept = before?.metadata.uid === `report-${owner}` ? before : undefined
    const status = nodeStatus({ observedResourceVersions: { networkpolicies: observed }, ...more })
    const reporting = ((kept?.['status'] as { readonly conditions?: readonly { readonly type: string }[] } | undefined)?.conditions ?? []).filter(({ type }) => type === 'Reporting')
    this.server.put(NODEENF, { ...kept, metadata: { ...kept?.metadata, name: node, uid: `report-${owner}`, ownerReferences }, status: { ...status, conditions: [...(status.conditions ?? []), ...reporting] } } as ApiObject)
  }

  pod(name: string, node: string, labels: Readonly<Record<string, string>> = { app: 'web' }): void {
    this.server.put(PODS, { metadata: { namespace: 'shop', name, uid: `pod-${name}`, labels, creationTimestamp: AT }, spec: { nodeName: node, containers: [{ name: 'main' }] }, status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] } })
  }

  policy(name: string, { uid = `policy-${name}`, generation = 1, spec = { podSelector: { matchLabels: { app: 'web' } } } as unknown, labels = {} } = {}): void {
    this.server.put(POLICIES, { metadata: { namespace: 'shop', name, uid, generation, labels, creationTimestamp: AT }, spec })
  }

  removePolicy(name: string): void {
    this.server.remove(POLICIES, `shop/${name}`)
  }

  removeNode(name: string): void {
    this.server.remove(NODES, `/${name}`)
  }

  status(name: string): { readonly object: ApiObject; readonly status: PolicyEnforcementStatus } | null {
    const object = this.server.list(POLENF).find(({ metadata }) => metadata.name === name)
    return object?.['status'] === undefined ? null : { object, status: object['status'] as PolicyEnforcementStatus }
  }

  reporting(node: string): string | null {
    const object = this.server.list(NODEENF).find(({ metadata }) => metadata.name === node)
    const { conditions = [] } = (object?.['status'] ?? {}) as { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[] }
    const found = conditions.find(({ type }) => type === 'Reporting')
    return found === undefined ? null : `${found.status}/${found.reason}`
  }

  /** What changes objects of ours, so far: `PATCH policyenforcements/web/status`. */
  writes(): readonly string[] {
    return this.server.asked.filter(({ method, path }) => method !== 'GET' && path.includes('picket.dev')).map(({ method, path }) => `${method} ${path.replace(/^.*(?=(policy|node)enforcements)/, '')}`)
  }

  /** Until the answer is not null. */
  async until<T>(what: string, ask: () => T | null): Promise<T> {
    const end = performance.now() + LONGEST_WAIT_MS
    for (;;) {
      const answer = ask()
      if (answer !== null) return answer
      if (performance.now() > end) throw new Error(`${what}: not so after ${LONGEST_WAIT_MS / 1000} s; ${JSON.stringify(this.server.list(POLENF)).slice(0, 2000)}; ${JSON.stringify(this.writes().slice(-20))}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Until a policy's Programmed is so: `True/Programmed`. */
  told(name: string, said: string, wanted: (status: PolicyEnforcementStatus) => boolean = () => true): Promise<{ readonly object: ApiObject; readonly status: PolicyEnforcementStatus }> {
    return this.until(`${name}: ${said}`, () => {
      const found = this.status(name)
      const programmed = found?.status.conditions.find(({ type }) => type === 'Programmed')
      return found !== null && programmed !== undefined && `${programmed.status}/${programmed.reason}` === said && wanted(found.status) ? found : null
    })
  }

  /** Real milliseconds; twenty times as many pass for the operators. */
  pass(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms))
  }
}
