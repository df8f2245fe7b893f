// `picket status` as a command, against an API server on loopback and without one: what it answers, its exit status, and what it refuses.
//
// **Invariant:** 0 all that was asked for is enforced, 1 something is not, 2 it could not ask.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import path from 'node:path'
import { condition } from '../../support/enforcements.ts'
import { POLICIES } from '../../support/cluster-follower.ts'
import { picket as run, type Ran } from '../../support/picket-command.ts'
import { REPORTS, StatusStage, TOLD } from '../../support/status-stage.ts'

describe('picket status', function () {
  this.timeout(30_000)
  let stage: StatusStage
  beforeEach(async () => {
    stage = await StatusStage.start()
    stage.node('n1')
    stage.policy('shop', 'web')
    stage.told('shop', 'web')
  })
  afterEach(() => stage.close())

  const picket = (...args: readonly string[]): Promise<Ran> => run('status', ...args)
  const status = (...args: readonly string[]): Promise<Ran> => picket('--kubeconfig', stage.kubeconfig, ...args)
  const json = async (...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> => JSON.parse((await status(...args, '-o', 'json')).stdout) as Readonly<Record<string, unknown>>
  const seconds = async (ran: Promise<Ran>): Promise<{ readonly ran: Ran; readonly took: number }> => {
    const began = Date.now()
    return { ran: await ran, took: (Date.now() - began) / 1000 }
  }

  describe('from outside', () => {
    it('all is enforced: 0', async () => {
      const { status: exit, stdout, stderr } = await status()
      assert.deepEqual([exit, stderr], [0, ''])
      assert.match(stdout, /^enforced +yes\npolicies +1: 1 programmed\nnodes +1: 1 reporting, 1 ready\n/)
    })
    it('something is not: 1, and why', async () => {
      stage.policy('shop', 'db')
      stage.failing('shop', 'db', 'NodeFailures', '1 of 1 nodes cannot enforce it: n1 (CommitRefused: no room)')
      const { status: exit, stdout } = await status('-A')
      assert.equal(exit, 1)
      assert.match(stdout, /^shop\/db +NodeFailures +\S+ +1 of 1 nodes cannot enforce it: n1 \(CommitRefused: no room\)$/m)
      assert.equal((await json())['enforced'], false)
    })
    it('of a namespace, or of policies of one name', async () => {
      stage.policy('other', 'web')
      stage.policy('other', 'late', 2)
      stage.told('other', 'late')
      assert.deepEqual([(await status('-n', 'shop')).status, (await status('-n', 'other')).status, (await status('-n', 'shop', '--policy', 'web')).status], [0, 1, 0])
      assert.deepEqual((await json('--policy', 'web'))['policies'], { total: 2, failed: 0, invalid: 0, untold: 1, unknown: 0, reconciling: 0, programmed: 1 })
      assert.deepEqual((await status('-n', 'shop', '--policy', 'late')).status, 2)
      assert.match((await status('-n', 'shop', '--policy', 'late')).stderr, /^picket: no NetworkPolicy shop\/late is there; .*\n$/)
    })
    it('without the right to read nodes the policies are told all the same', async () => {
      stage.server.behaviour.instead = ({ path }) => (path === REPORTS ? { status: 403, body: '{}' } : null)
      const { status: exit, stdout } = await status('-n', 'shop')
      assert.equal(exit, 0)
      assert.match(stdout, /^nodes +not allowed to read them/m)
    })
    it('could not ask: 2, with one line that says what to do', async () => {
      stage.server.behaviour.instead = ({ path }) => (path === TOLD ? { status: 404, body: '404 page not found' } : null)
      const { status: exit, stdout, stderr } = await status()
      assert.deepEqual([exit, stdout], [2, ''])
      assert.match(stderr, /^picket: the API server knows no policyenforcements\.picket\.dev: expected Picket's custom resources \(kubectl apply -k crds\)[^\n]*\n$/)
      stage.server.behaviour.instead = () => 'hang'
      assert.match((await status('--timeout', '200ms')).stderr, /^picket: no answer from the API server within 0\.2 s; .*\n$/)
      await stage.server.close()
      assert.equal((await status()).status, 2)
      assert.equal((await picket('--kubeconfig', '/nowhere/config')).status, 2)
    })
  })

  describe('--wait', () => {
    /** The server says in each watch how far it has told, as it may: then nobody has to listen for a second whether there is more of the past. */
    beforeEach(() => (stage.server.behaviour.onWatch = () => void setImmediate(() => stage.server.bookmark())))

    it('ends when all is told, and says how many', async () => {
      assert.deepEqual(await json('--wait'), { enforced: true, policies: 1, programmed: 1, missing: [], isPastKnown: true })
      stage.server.behaviour.onWatch = () => {}
      const { status: exit, stdout } = await status('--wait')
      assert.deepEqual([exit, stdout], [0, '1 policy is enforced\n'])
    })
    it('waits for the generation of the call, and tells what for', async () => {
      stage.policy('shop', 'web', 2)
      setTimeout(() => stage.told('shop', 'web', { policyGeneration: 2, conditions: [condition('Accepted'), condition('Programmed', { status: 'False', reason: 'Reconciling', message: '1 of 2 nodes have not said yet that they enforce it: n1' })] }), 300)
      setTimeout(() => stage.told('shop', 'web', { policyGeneration: 2 }), 900)
      const { ran, took } = await seconds(status('--wait', '-n', 'shop'))
      assert.deepEqual([ran.status, ran.stdout], [0, '1 policy is enforced\n'])
      assert.ok(took >= 0.8 && took < 4, `${took} s`)
      assert.match(ran.stderr, /^picket status: 0 of 1 policy is programmed; waiting for shop\/web \(OldGeneration: .*\n$/)
    })
    it('is not held up by a policy that is edited, made or deleted after the call', async () => {
      stage.policy('shop', 'db')
      setTimeout(() => {
        stage.server.remove(POLICIES, 'shop/db')
        stage.policy('shop', 'new')
      }, 300)
      const { ran, took } = await seconds(status('--wait'))
      assert.equal(ran.status, 0)
      assert.ok(took < 4, `${took} s`)
    })
    it('waits for what was deleted just before on the nodes with pods of the namespace, and on no other', async () => {
      stage.node('n2')
      stage.pod('shop', 'web-1', 'n1')
      stage.policy('shop', 'old')
      stage.server.remove(POLICIES, 'shop/old')
      const late = await status('--wait', '--timeout', '900ms')
      assert.equal(late.status, 1)
      assert.match(late.stdout, /^After 0.9 s 1 of 1 policy is programmed; missing:\n {2}shop\/old \(NotObserved: it was deleted, and n1 has not said yet that it is gone there\)\n$/)
      setTimeout(() => stage.node('n1'), 300)
      assert.equal((await status('--wait', '--timeout', '10s')).status, 0)
    })
    it('waits for the status object of what was deleted', async () => {
      stage.server.remove(POLICIES, 'shop/web')
      stage.node('n1')
      const late = await status('--wait', '--timeout', '800ms', '--policy', 'web')
      assert.deepEqual([late.status, late.stdout.includes('shop/web (StatusLeft:')], [1, true])
      stage.server.remove(TOLD, 'shop/web')
      assert.deepEqual(await json('--wait', '--policy', 'web'), { enforced: true, policies: 0, programmed: 0, missing: [], isPastKnown: true })
    })
    it('its time is over: 1, with what is missing', async () => {
      stage.failing('shop', 'web', 'NodeFailures', 'n1 says no')
      const { status: exit, stdout } = await status('--wait', '--timeout', '800ms')
      assert.deepEqual([exit, stdout], [1, 'After 0.8 s 0 of 1 policy is programmed; missing:\n  shop/web (NodeFailures: n1 says no)\n'])
    })
    it('the API server is away, from the beginning or at the end: 2', async () => {
      stage.policy('shop', 'web', 2)
      setTimeout(() => void stage.server.close(), 500)
      const { status: exit, stdout, stderr } = await status('--wait', '--timeout', '1200ms')
      assert.deepEqual([exit, stdout], [2, ''])
      assert.match(stderr, /picket: API server, \w+: .*\n$/)
      assert.equal((await status('--wait')).status, 2)
    })
    it('a right that is missing is named: 2', async () => {
      stage.server.behaviour.instead = ({ path, query }) => (path === REPORTS && query['watch'] === undefined ? { status: 403, body: '{}' } : null)
      const { status: exit, stderr } = await status('--wait')
      assert.equal(exit, 2)
      assert.match(stderr, /lacks the verb "list" on the resource "nodeenforcements"/)
    })
  })

  describe('on a node', () => {
    it('asks the agent by its socket, and nobody answers: 2', async () => {
      const { status: exit, stderr } = await picket('--socket', '/nowhere/agent.sock')
      assert.equal(exit, 2)
      assert.match(stderr, /^picket: socket \/nowhere\/agent\.sock: no agent answers/)
    })
    it('tells what its agent says while no API server answers: 0, or 1 with what is wrong; as text, or whole', async () => {
      await stage.server.close()
      const well = { node: 'n1', version: '0.1.0', kernel: 'libnftables 1.0.6', ready: true, enforced: true, settled: true, programmedAt: '2026-01-31T12:00:00.000Z', counts: { localPods: 3 }, problems: [], problemsTotal: 0 }
      const problems = [{ code: 'Quarantined', severity: 'error', object: 'NetworkPolicy shop/web', message: 'the kernel refused it' }]
      let answer: object = well
      const agent = createServer((request, response) => response.writeHead(request.url === '/status' ? 200 : 404).end(JSON.stringify(answer)))
      const socket = path.join(path.dirname(stage.kubeconfig), 'agent.sock')
      await new Promise<void>((resolve) => agent.listen(socket, resolve))
      try {
        const good = await picket('--socket', socket)
        assert.deepEqual([good.status, good.stderr], [0, ''])
        assert.equal(good.stdout, 'node       n1\nversion    0.1.0, libnftables 1.0.6\nready      yes, last written 2026-01-31T12:00:00.000Z\nenforced   yes\ncounts     localPods 3\nproblems   none\n')
        answer = { ...well, enforced: false, settled: false, problems, problemsTotal: 3 }
        const bad = await picket('--socket', socket)
        assert.equal(bad.status, 1)
        assert.match(bad.stdout, /\nenforced +no \(changes are being written\)\n.*\nproblems +3\n {2}error Quarantined: the kernel refused it\n {2}and 2 more\n$/)
        const whole = await picket('--socket', socket, '--output', 'json')
        assert.deepEqual([whole.status, JSON.parse(whole.stdout)], [1, answer])
      } finally {
        await new Promise((resolve) => void agent.close(resolve))
      }
    })
    it('refuses to ask the agent what only the cluster knows', async () => {
      for (const args of [['--wait'], ['-n', 'shop'], ['-A'], ['--policy', 'web'], ['--kubeconfig', 'x'], ['--context', 'x']]) {
        const { status: exit, stderr } = await picket('--socket', '/nowhere', ...args)
        assert.equal(exit, 2)
        assert.match(stderr, /cannot be used with/, args.join(' '))
      }
    })
  })
})
