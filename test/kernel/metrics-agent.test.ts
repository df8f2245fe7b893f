// Health and metrics of a real agent, asked over TCP in its namespace: before everything is read, after, while the API server is away.
//
// **Invariant:** what /metrics says is parsed strictly, and compared with what was done to the agent.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { podObject, PODS, POLICIES } from '../support/cluster-follower.ts'
import { HEALTH, KubeAgent, METRICS, policyObject } from '../support/kube-agent.ts'

describe('health and metrics of an agent', function () {
  this.timeout(90_000)
  let world: KubeAgent

  before(async () => {
    world = await KubeAgent.open()
  })
  after(() => world.close())

  const live = (): unknown => world.get(`${HEALTH}/livez`)
  const LIVE = { status: 200, body: '{"live":true}\n' }

  it('before the API server answers: live, not ready and why, and metrics say so', async () => {
    world.start()
    await world.until('the trouble is told', ({ problems }) => problems.length === 4)
    assert.deepEqual(live(), LIVE)
    const ready = world.get(`${HEALTH}/readyz`)
    assert.equal(ready?.status, 503)
    assert.match(ready.body, /^\{"ready":false,"reason":"waiting for the API server: namespaces, nodes, pods, networkpolicies not read yet"\}\n$/)
    const metrics = world.metrics()
    assert.deepEqual(['picket_ready', 'picket_enforced', 'picket_source_synced', 'picket_applied_revision'].map((name) => metrics.value(name)), [0, 0, 0, 0])
    assert.equal(metrics.value('picket_problems', { code: 'ApiUnreachable', severity: 'error' }), 4)
    for (const resource of ['namespaces', 'nodes', 'pods', 'networkpolicies']) {
      assert.equal(metrics.value('picket_watch_synced', { resource }), 0)
      assert.ok((metrics.value('picket_watch_errors_total', { resource, reason: 'Unreachable' }) ?? 0) >= 1)
      assert.ok((metrics.value('picket_watch_silence_seconds', { resource }) ?? -1) >= 0)
    }
  })

  it('once the kernel holds the first ruleset: ready, with sizes, and nothing observed of the initial list', async () => {
    await world.order({ do: 'open' })
    await world.until('everything is enforced', ({ ready }) => ready)
    assert.deepEqual([live(), world.get(`${HEALTH}/readyz`)], [LIVE, { status: 200, body: '{"ready":true}\n' }])
    const metrics = world.metrics()
    assert.deepEqual(['picket_ready', 'picket_enforced', 'picket_source_synced', 'picket_local_pods'].map((name) => metrics.value(name)), [1, 1, 1, 1])
    assert.equal(metrics.value('picket_pending_pods'), 1, 'the pod has no interface here')
    const objects = ['pod', 'namespace', 'node', 'policy'].map((kind) => metrics.value('picket_objects', { kind }))
    assert.deepEqual(objects, [1, 1, 1, 1])
    assert.deepEqual(['ingress', 'egress'].map((direction) => metrics.value('picket_isolated_pods', { direction })), [1, 0])
    for (const name of ['picket_chains', 'picket_rules', 'picket_sets', 'picket_profiles', 'picket_applied_revision', 'picket_applied_timestamp_seconds']) assert.ok((metrics.value(name) ?? 0) >= 1, name)
    assert.equal(metrics.value('picket_policy_enforcement_duration_seconds_count'), 0)
    assert.ok((metrics.value('picket_commits_total', { table: 'inet picket', outcome: 'acknowledged' }) ?? 0) >= 1)
    for (const stage of ['store', 'policy', 'translate', 'diff']) assert.ok((metrics.value('picket_turn_stage_duration_seconds_count', { stage }) ?? 0) >= 1, stage)
    assert.deepEqual(['lists', 'reconnects'].map((what) => metrics.value(`picket_watch_${what}_total`, { resource: 'pods' })), [1, 0])
  })

  it('after a change: how long its event and its policy took, and what the kernel holds', async () => {
    const before = world.metrics()
    await world.order({ do: 'put', path: PODS, object: podObject('db') })
    await world.order({ do: 'put', path: POLICIES, object: policyObject('two', { createdAt: new Date().toISOString().replace(/\.\d+Z$/, 'Z') }) })
    await world.order({ do: 'put', path: POLICIES, object: policyObject('old', { createdAt: '2020-01-01T00:00:00Z' }) })
    await world.until('they are enforced', ({ counts, settled }) => counts.isolatedPods === 2 && settled)
    const metrics = world.metrics()
    const grown = (name: string, labels = {}): number => (metrics.value(name, labels) ?? 0) - (before.value(name, labels) ?? 0)
    assert.deepEqual([grown('picket_event_commit_duration_seconds_count'), grown('picket_events_total', { kind: 'pod' }), grown('picket_events_total', { kind: 'policy' })], [3, 1, 2])
    assert.equal(grown('picket_event_commit_duration_seconds_bucket', { le: '5' }), 3)
    assert.ok(grown('picket_event_commit_duration_seconds_sum') > 0)
    assert.equal(metrics.value('picket_policy_enforcement_duration_seconds_count'), 1, 'a policy from before the start, told late, is none')
    const took = metrics.value('picket_policy_enforcement_duration_seconds_sum') ?? NaN
    assert.ok(took >= 0 && took < 10, String(took))
    assert.ok(grown('picket_commits_total', { table: 'inet picket', outcome: 'acknowledged' }) >= 1)
    assert.equal(grown('picket_commits_total', { table: 'inet picket', outcome: 'acknowledged' }), grown('picket_commit_duration_seconds_count', { table: 'inet picket', outcome: 'acknowledged' }))
    assert.equal(metrics.value('picket_applied_revision'), metrics.value('picket_wanted_revision'))
    assert.equal(metrics.value('picket_objects', { kind: 'policy' }), 3)
  })

  it('exposes what the page lists, and lists what it exposes', () => {
    // The operator's own are held to the page in test/tidy.
    const page = readFileSync(new URL('../../deploy/docs/metrics.md', import.meta.url), 'utf8').replaceAll(/\bpicket_operator_\w+/g, '')
    const listed = [...page.matchAll(/^\| `((?:picket|process|nodejs)_\w+)` \| (\w+) \|/gm)].map(([, name = '', type = '']) => `${name} ${type}`)
    const { types } = world.metrics()
    assert.deepEqual([...types].map(([name, type]) => `${name} ${type}`).sort(), [...new Set(listed)].sort())
    const used = [...page.matchAll(/\b(picket_\w+)/g)].map(([, name = '']) => name.replace(/_bucket$/, ''))
    assert.deepEqual(used.filter((name) => !types.has(name)), [], 'named on the page, in alerts too')
  })

  it('names the build', () => {
    const [info] = world.metrics().series.filter(({ name }) => name === 'picket_build_info')
    assert.equal(info?.value, 1)
    assert.match(info.labels['version'] ?? '', /^\d+\.\d+\.\d+/)
    assert.equal(info.labels['node_version'], process.versions.node)
    assert.match(info.labels['kernel_access'] ?? '', /^(libnftables|nft) /)
  })

  it('counts what somebody else changed, by program', async () => {
    execFileSync('nsenter', world.inside(['nft', 'add', 'chain', 'inet', 'picket', 'intruder']))
    await world.until('it is put right', () => !world.table().includes('intruder'))
    const end = performance.now() + 5_000
    while (world.metrics().value('picket_repairs_total', { cause: 'nft' }) !== 1) assert.ok(performance.now() < end, JSON.stringify(world.metrics().series.filter(({ name }) => name === 'picket_repairs_total')))
  })

  it('while the API server is away: live and ready still, silence grows, and its return is seen', async () => {
    const table = world.table()
    await world.order({ do: 'close' })
    await world.until('the trouble is told', ({ problems }) => problems.length === 4)
    const silence = world.metrics().value('picket_watch_silence_seconds', { resource: 'pods' }) ?? NaN
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const metrics = world.metrics()
    assert.ok((metrics.value('picket_watch_silence_seconds', { resource: 'pods' }) ?? NaN) > silence + 0.9)
    assert.deepEqual([live(), world.get(`${HEALTH}/readyz`)?.status, metrics.value('picket_ready'), metrics.value('picket_enforced')], [LIVE, 200, 1, 1])
    assert.equal(world.table(), table)
    await world.order({ do: 'open' })
    await world.until('no trouble', ({ problems }) => problems.length === 0)
    assert.equal(world.metrics().value('picket_problems', { code: 'ApiUnreachable', severity: 'error' }), 0)
    assert.ok((world.metrics().value('picket_watch_reconnects_total', { resource: 'pods' }) ?? 0) >= 1)
  })

  it('metricsAddress none, and other addresses', async () => {
    await world.stop('SIGTERM')
    world.start('--metrics-address', 'none', '--health-address', '[::1]:7000')
    await world.until('it is ready', ({ ready }) => ready)
    assert.deepEqual([world.get(METRICS), world.get(`${HEALTH}/livez`), world.get('http://[::1]:7000/readyz')?.status], [null, null, 200])
    await world.stop('SIGTERM')
    world.start('--metrics-address', '[::]:9700')
    await world.until('it is ready', ({ ready }) => ready)
    assert.deepEqual([world.get('http://127.0.0.1:9700/metrics')?.status, world.get('http://[::1]:9700/metrics')?.status, world.get(METRICS)], [200, 200, null])
  })

  it('a port in use ends the agent with the name of the setting, and leaves the other one alone', async () => {
    const second = ['--socket', `${world.socket}2`]
    assert.deepEqual(world.run(...second), { status: 2, err: 'picket: healthAddress 127.0.0.1:9654: another program listens there (another agent?); expected a free port: stop it, or set another healthAddress\n' })
    const { status, err } = world.run(...second, '--health-address', '127.0.0.1:9701', '--metrics-address', '[::]:9700')
    assert.equal(status, 2)
    assert.match(err, /^picket: metricsAddress \[::\]:9700: another program listens there [^\n]*another metricsAddress\n$/)
    assert.equal(world.get(`${HEALTH}/readyz`)?.status, 200)
  })
})
