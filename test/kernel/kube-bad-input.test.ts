// What an API server, or who set up the agent, may do wrong: each a clear message and a metric, and none changes what is enforced.
//
// One table, one agent for each row: it is ready, then the fault comes. **Invariant:** whatever the fault, the kernel's rules are the
// same before and during it, but for what a row says of its own object.
import assert from 'node:assert/strict'
import { podObject, PODS, POLICIES } from '../support/cluster-follower.ts'
import type { Exposition } from '../support/exposition.ts'
import { HEALTH, KubeAgent, METRICS, policyObject, type KubeStatus } from '../support/kube-agent.ts'

interface Row {
  readonly title: string
  /** What goes wrong. */
  readonly fault: (world: KubeAgent) => Promise<void>
  readonly mend?: (world: KubeAgent) => Promise<void>
  /** The problem that the status and the log tell: its code, and all of these in its message (or field). */
  readonly problem: readonly [code: string, ...words: RegExp[]]
  readonly severity?: 'warning'
  /** Beside picket_problems. */
  readonly metric?: readonly [name: string, labels: Readonly<Record<string, string>>]
  /** The fault is one that an agent meets at its start only. */
  readonly restarts?: true
  /** The object has rules of its own. */
  readonly changesRules?: true
}

const FORCE = /what was read before stays in force, and it is tried again/
const failed = (reason: string, resource = 'networkpolicies'): NonNullable<Row['metric']> => ['picket_watch_errors_total', { resource, reason }]
const decoded = (kind: string): NonNullable<Row['metric']> => ['picket_decode_errors_total', { kind }]
const answer = (path: string, status: number, message: string) => async (world: KubeAgent) => {
  await world.order({ do: 'answer', path, status, body: JSON.stringify({ kind: 'Status', status: 'Failure', code: status, message }) })
  await world.order({ do: 'cut' })
}
const put = (path: string, object: unknown) => (world: KubeAgent) => world.order({ do: 'put', path, object: object as ReturnType<typeof policyObject> })
const remove = (path: string, key: string) => (world: KubeAgent) => world.order({ do: 'remove', path, key })
const version = (text: string) => (world: KubeAgent) => world.order({ do: 'version', version: text })
const kubeconfig = (text: string) => async (world: KubeAgent) => {
  await world.writeKubeconfig(text)
  await world.order({ do: 'cut' })
}
const mendKubeconfig = (world: KubeAgent): Promise<void> => world.writeKubeconfig()

const ROWS: readonly Row[] = [
  { title: 'a kubeconfig that becomes nonsense', fault: kubeconfig('clusters: ['), mend: mendKubeconfig, problem: ['ApiCredentials', /kubeconfig/, FORCE], metric: failed('Credentials') },
  { title: 'a kubeconfig whose context is gone', fault: kubeconfig('{"current-context":"gone","contexts":[],"clusters":[],"users":[]}'), mend: mendKubeconfig, problem: ['ApiCredentials', /kubeconfig/, /gone|context/, FORCE], metric: failed('Credentials') },
  { title: 'a refused token', fault: answer('/', 401, 'Unauthorized'), problem: ['ApiCredentialsRefused', /refuses the credentials \(401\), which are the token of the kubeconfig|refuses the credentials \(401\)/, FORCE], metric: failed('CredentialsRefused') },
  { title: 'missing RBAC', fault: answer('networkpolicies', 403, 'forbidden'), problem: ['ApiPermissionMissing', /lacks the verb "(watch|list)" on the resource "networkpolicies" of the group networking\.k8s\.io/, FORCE], metric: failed('PermissionMissing') },
  { title: 'missing RBAC of another resource', fault: answer('/api/v1/pods', 403, 'forbidden'), problem: ['ApiPermissionMissing', /lacks the verb "(watch|list)" on the resource "pods" of the core group/, FORCE], metric: failed('PermissionMissing', 'pods') },
  { title: 'an unreachable server', fault: (world) => world.order({ do: 'close' }), mend: (world) => world.order({ do: 'open' }), problem: ['ApiUnreachable', /http:\/\/127\.0\.0\.1:16443 cannot be reached: nobody listens there \(connection refused\)/, FORCE], metric: failed('Unreachable') },
  { title: 'a server that is no API server', fault: answer('/', 404, 'page not found'), problem: ['ApiUnknownServer', /expected a Kubernetes API server, 1\.32 or later/, FORCE], metric: failed('UnknownServer') },
  { title: 'a server that fails', fault: answer('/', 500, 'etcd is down'), problem: ['ApiServerError', /\(500\) \(it says: etcd is down\)/, FORCE], metric: failed('ServerError') },
  { title: 'a version that nobody knows', fault: version('banana'), restarts: true, severity: 'warning', problem: ['ApiServerVersion', /its version is not known: it says version "banana"; expected Kubernetes v1\.32 or later/] },
  { title: 'a version that is too old', fault: version('v1.12.0'), restarts: true, severity: 'warning', problem: ['ApiServerVersion', /found Kubernetes v1\.12\.0, expected v1\.32 or later; it is used as it is/] },
  {
    title: 'a policy with fields that the schema would not allow', fault: put(POLICIES, policyObject('odd', { spec: { podSelector: { matchLabels: { a: 7 } }, policyTypes: ['Ingres'], ingress: 'all' } })), mend: remove(POLICIES, 'shop/odd'),
    problem: ['InvalidField', /expected/], metric: decoded('policy'), changesRules: true,
  },
  { title: 'a policy that is hardly an object', fault: put(POLICIES, { metadata: { namespace: 'shop', name: 'hardly', uid: 'uid-hardly' }, spec: [] }), mend: remove(POLICIES, 'shop/hardly'), problem: ['InvalidField', /expected/], metric: decoded('policy'), changesRules: true },
  { title: 'a pod whose addresses are none', fault: put(PODS, { ...podObject('odd'), status: { phase: 'Running', podIPs: [{ ip: '10.0.0.999' }] } }), mend: remove(PODS, 'shop/odd'), problem: ['InvalidField', /expected/], metric: decoded('pod') },
  { title: 'labels of absurd size', fault: put(PODS, podObject('long', { labels: { a: 'x'.repeat(100_000) } })), mend: remove(PODS, 'shop/long'), problem: ['InvalidField', /expected/], metric: decoded('pod') },
  { title: 'an object of absurd size', fault: put(PODS, podObject('huge', { pad: 'x'.repeat(9 * 1024 * 1024) })), mend: remove(PODS, 'shop/huge'), problem: ['ApiTooLarge', /of more than 8388608 bytes/, FORCE], metric: failed('TooLarge', 'pods') },
]

describe('bad input from the API server\'s side', function () {
  this.timeout(60_000)
  let world: KubeAgent

  before(async () => {
    world = await KubeAgent.open()
    await world.order({ do: 'open' })
  })
  after(() => world.close())
  let undo: Row['mend']
  afterEach(async () => {
    await world.stop('SIGKILL')
    await undo?.(world)
    undo = undefined
    await world.order({ do: 'usual' })
  })

  async function begin(): Promise<KubeStatus> {
    world.start()
    return world.until('it is ready', ({ ready, settled }) => ready && settled)
  }

  /** Each resource meets the fault by itself, a little later or earlier. */
  async function metricsWith(metric: NonNullable<Row['metric']>): Promise<Exposition> {
    const end = performance.now() + 15_000
    for (;;) {
      const metrics = world.metrics()
      if ((metrics.value(...metric) ?? 0) >= 1) return metrics
      assert.ok(performance.now() < end, `never counted: ${JSON.stringify(metric)}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }

  for (const { title, fault, mend, problem: [code, ...words], severity = 'error', metric, restarts, changesRules } of ROWS) {
    it(`${title}: ${code}`, async () => {
      await begin()
      const table = world.table()
      if (restarts === true) await world.stop('SIGTERM')
      undo = mend
      await fault(world)
      if (restarts === true) await begin()
      const told = await world.until(`a problem ${code}`, ({ problems }) => problems.some((one) => one.code === code))
      const problem = told.problems.find((one) => one.code === code && words.every((word) => word.test(one.message)))
      assert.ok(problem !== undefined, JSON.stringify(told.problems))
      assert.equal(problem.severity, severity)
      assert.doesNotMatch(problem.message, /\n|secret/)
      const metrics = await metricsWith(metric ?? ['picket_problems', { code, severity }])
      assert.ok((metrics.value('picket_problems', { code, severity }) ?? 0) >= 1)
      assert.deepEqual([metrics.value('picket_ready'), metrics.value('picket_enforced'), world.get(`${HEALTH}/livez`)?.status, world.get(`${HEALTH}/readyz`)?.status], [1, 1, 200, 200])
      if (changesRules !== true) assert.equal(world.table(), table, 'what is enforced is as it was')
      assert.ok(told.counts.isolatedPods >= 1)
    })
  }

  it('a policy of absurd size holds up nothing', async () => {
    await begin()
    const blocks = Array.from({ length: 20_000 }, (_, i) => ({ ipBlock: { cidr: `10.${i >> 8}.${i & 255}.0/25` } }))
    await world.order({ do: 'put', path: POLICIES, object: policyObject('many', { spec: { podSelector: {}, ingress: [{ from: blocks }] } }) })
    await world.order({ do: 'put', path: PODS, object: podObject('after') })
    await world.until('both are enforced', ({ counts, settled }) => counts.isolatedPods === 2 && settled)
    assert.ok((world.metrics().value('picket_set_elements') ?? 0) >= 20_000)
    assert.equal(world.metrics().value('picket_decode_errors_total', { kind: 'policy' }), 0)
    for (const [path, key] of [[POLICIES, 'shop/many'], [PODS, 'shop/after']] as const) await world.order({ do: 'remove', path, key })
  })

  it('a kubeconfig that is wrong from the start: one line, nothing is touched', async () => {
    await begin()
    await world.stop('SIGTERM')
    const table = world.table()
    for (const [text, message] of [
      ['clusters: [', /^picket: \S+kubeconfig: [^\n]+\n$/],
      ['{"current-context":"gone","contexts":[],"clusters":[],"users":[]}', /^picket: \S+kubeconfig: [^\n]*gone[^\n]*\n$/],
    ] as const) {
      await world.writeKubeconfig(text)
      const { status, err } = world.run()
      assert.equal(status, 2, err)
      assert.match(err, message)
      assert.equal(world.table(), table)
    }
    await world.writeKubeconfig()
    assert.equal(world.get(METRICS), null)
  })
})
