// A term of an operator against a real server: what it writes, what it never writes, and when it keeps quiet.
//
// **Invariant:** writes are counted at the API, not at the publisher.
import assert from 'node:assert/strict'
import pino from 'pino'
import { Quiet } from '../../../src/report/quiet.ts'
import { OperatorWorld } from '../../support/operator-world.ts'

describe('operator: a term', () => {
  let world: OperatorWorld

  beforeEach(async () => {
    world = await OperatorWorld.start()
    world.pod('a')
  })
  afterEach(() => world.close())

  const since = (): string => world.status('web')?.conditions.find(({ type }) => type === 'Programmed')?.lastTransitionTime ?? ''
  const untilProgrammed = (uid = 'policy-web'): Promise<void> => world.until(`${uid} is programmed`, () => world.status('web')?.policyRef.uid === uid && world.said('web').startsWith('True/'))

  describe('policies that appear, change and go', () => {
    it('a new one has a status at once, with two writes: without its status, and with it', async () => {
      await world.syncedTerm()
      await world.pass(5_000)
      world.writes()
      world.policy('web')
      await untilProgrammed()
      assert.deepEqual(world.writes(), ['POST policyenforcements', 'PATCH policyenforcements/web/status'])
      const status = world.status('web')
      assert.deepEqual([status?.policyGeneration, status?.nodes.desired, status?.selectedPods, status?.isolates], [1, 1, 1, ['Ingress']])
      assert.deepEqual(world.object('statuses', 'web')?.metadata['ownerReferences'], [{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: 'web', uid: 'policy-web' }])
    })
    it('an edit is one write; labels are none', async () => {
      world.policy('web')
      await world.syncedTerm()
      await untilProgrammed()
      await world.pass(3_000)
      world.writes()
      world.policy('web', { generation: 2, types: ['Ingress', 'Egress'] })
      await world.until('the edit is told', () => world.status('web')?.policyGeneration === 2)
      await world.pass(3_000)
      assert.deepEqual(world.writes(), ['PATCH policyenforcements/web/status'])
      for (let i = 0; i < 5; i += 1) {
        world.policy('web', { generation: 2, types: ['Ingress', 'Egress'], labels: { i: String(i) } })
        await world.pass(500)
      }
      await world.pass(3_000)
      assert.deepEqual(world.writes(), [])
    })
    it('a storm of edits and labels leaves the time of what stays as it was', async () => {
      world.policy('web')
      await world.syncedTerm()
      await untilProgrammed()
      const accepted = world.said('web', 'Accepted')
      for (let i = 2; i < 30; i += 1) {
        world.policy('web', { generation: i, types: i % 2 === 0 ? ['Ingress', 'Egress'] : ['Ingress'] })
        world.policy('web', { generation: i, types: i % 2 === 0 ? ['Ingress', 'Egress'] : ['Ingress'], labels: { i: String(i) } })
        await world.pass(150)
      }
      await world.until('the last edit is told', () => world.status('web')?.policyGeneration === 29)
      await untilProgrammed()
      assert.equal(world.said('web', 'Accepted'), accepted)
      const settled = since()
      await world.pass(20_000)
      assert.equal(since(), settled)
      // About one a second, however many edits there were.
      assert.ok(world.writes().length < 14)
    })
    it('made anew within a second with another UID: the status is deleted and made anew', async () => {
      world.policy('web')
      await world.syncedTerm()
      await untilProgrammed()
      const before = world.object('statuses', 'web')?.metadata.uid
      world.writes()
      world.remove('policies', 'shop/web')
      await world.pass(300)
      world.policy('web', { uid: 'policy-web-2' })
      await untilProgrammed('policy-web-2')
      assert.notEqual(world.object('statuses', 'web')?.metadata.uid, before)
      assert.deepEqual(world.writes(), ['DELETE policyenforcements/web', 'POST policyenforcements', 'PATCH policyenforcements/web/status'])
    })
    it('what a deleted one leaves goes, after a look at the API server itself', async () => {
      world.policy('web')
      await world.syncedTerm()
      await untilProgrammed()
      world.requests.splice(0)
      world.remove('policies', 'shop/web')
      await world.until('the status is gone', () => world.status('web') === undefined)
      assert.deepEqual(world.requests.filter((one) => !one.includes('events')), ['GET networkpolicies/web', 'DELETE policyenforcements/web'])
    })
    it('one that the API server still has loses nothing, however late we hear of it', async () => {
      world.policy('web')
      await world.syncedTerm()
      await untilProgrammed()
      world.writes()
      // What the watch of policies tells is late: the policy is there again before we know that it was.
      world.hold = async (request) => {
        if (request === 'GET networkpolicies/web') world.policy('web')
      }
      world.remove('policies', 'shop/web')
      await world.pass(5_000)
      assert.ok(!world.writes().some((one) => one.startsWith('DELETE')))
      assert.equal(world.status('web')?.policyRef.uid, 'policy-web')
    })
  })

  describe('nodes', () => {
    it('are told to report, and a NodeEnforcement is never made', async () => {
      world.node('n3')
      world.agent('n3')
      await world.syncedTerm()
      await world.until('both report', () => ['n1', 'n2'].every((node) => world.reporting(node) === 'True/AgentReady'))
      await world.pass(3_000)
      assert.equal(world.object('reports', 'n3'), undefined)
      assert.deepEqual(world.writes().toSorted(), ['PATCH nodeenforcements/n1/status', 'PATCH nodeenforcements/n2/status'])
    })
    it('whose status cannot be read are pending, and the log names the field', async () => {
      const told: string[] = []
      const log = pino({}, { write: (line: string) => void told.push(line) })
      world.policy('web')
      world.report('n1', { status: { failuresTotal: -1 } })
      await world.syncedTerm({ log })
      await world.until('it is pending', () => world.said('web').startsWith('False/Reconciling'))
      await world.until('they report', () => ['n1', 'n2'].every((node) => world.reporting(node) === 'True/AgentReady'))
      world.writes()
      await world.pass(20_000)
      assert.deepEqual(world.writes(), [], 'its condition is written once')
      assert.match(told.filter((line) => line.includes('NodeEnforcement n1')).join(), /status\.failuresTotal: found -1, expected a whole number/)
    })
    it('one made anew loses what the one before told; one that is there by that UID does not', async () => {
      await world.syncedTerm()
      await world.until('it reports', () => world.reporting('n1') !== '' && world.reporting('n2') !== '')
      world.writes()
      world.remove('nodes', '/n1')
      world.node('n1', { uid: 'node-n1-2' })
      await world.until('it is gone', () => world.object('reports', 'n1') === undefined)
      assert.deepEqual(world.writes(), ['DELETE nodeenforcements/n1'])
      world.report('n1', { owner: 'node-n1-2', uid: 'report-n1-2' })
      await world.until('it reports again', () => world.reporting('n1') === 'True/AgentReady')
      assert.deepEqual(world.writes(), ['PATCH nodeenforcements/n1/status'])
    })
    it('one of three that is silent is told after 20 s, and of its policies', async () => {
      world.node('n3')
      world.agent('n3')
      world.report('n3')
      world.policy('web')
      await world.syncedTerm()
      await untilProgrammed()
      await world.until('it reports', () => world.reporting('n1') === 'True/AgentReady')
      world.agent('n1', { isReady: false })
      await world.pass(18_000)
      assert.equal(world.reporting('n1'), 'True/AgentReady')
      await world.until('it is silent', () => world.reporting('n1') === 'False/AgentNotReady' && world.said('web').startsWith('Unknown/NoReport'))
      world.agent('n1')
      await world.until('it is back', () => world.reporting('n1') === 'True/AgentReady' && world.said('web').startsWith('True/'))
    })
  })

  describe('times of quiet', () => {
    it('all nodes silent at once: nothing is written for 60 s, then it is told', async () => {
      world.policy('web')
      await world.syncedTerm()
      await untilProgrammed()
      await world.until('they report', () => ['n1', 'n2'].every((node) => world.reporting(node) !== ''))
      await world.pass(2_000)
      world.writes()
      for (const node of ['n1', 'n2']) world.node(node, { isReady: false })
      await world.pass(59_000)
      assert.deepEqual(world.writes(), [])
      await world.until('it is told', () => world.reporting('n1') === 'False/NodeNotReady' && world.said('web').startsWith('Unknown/NoReport'))
    })
    it('cut off: nothing is written for 60 s after its watches are synced again', async () => {
      await world.syncedTerm()
      await world.pass(3_000)
      world.server.behaviour.instead = () => ({ status: 503, body: '{}' })
      world.server.cut()
      await world.pass(10_000)
      world.policy('web')
      world.server.behaviour.instead = () => null
      world.writes()
      await world.pass(60_000)
      assert.deepEqual(world.writes(), [])
      await untilProgrammed()
    })
    it('a server of an old version is no cut that never ends', async () => {
      world.server.behaviour.version = 'v1.20.0'
      world.server.behaviour.watchList = false
      const term = await world.syncedTerm()
      await world.pass(2_000)
      world.server.behaviour.instead = () => ({ status: 503, body: '{}' })
      world.server.cut()
      await world.pass(5_000)
      world.server.behaviour.instead = () => null
      world.policy('web')
      await untilProgrammed()
      assert.equal(term.state().problems.length, 1)
    })
  })

  describe('the beginning', () => {
    it('waits where the custom resources are not installed, and goes on once they are', async () => {
      world.policy('web')
      world.server.behaviour.instead = ({ path }) => (path.includes('picket.dev') ? { status: 404, body: '404 page not found' } : null)
      const term = await world.term()
      await world.until('it says why', () => term.state().problems.length === 2)
      await world.pass(10_000)
      assert.deepEqual([term.state().isSynced, world.writes()], [false, []])
      world.server.behaviour.instead = () => null
      await untilProgrammed()
    })
    it('another operator that takes over writes nothing where nothing changed', async () => {
      world.policy('web')
      world.policy('other')
      const first = await world.syncedTerm()
      await untilProgrammed()
      await world.until('they report', () => ['n1', 'n2'].every((node) => world.reporting(node) !== ''))
      await world.pass(5_000)
      await world.ended(first)
      const before = [world.said('web'), world.said('other')]
      world.writes()
      await world.syncedTerm({ quiet: new Quiet() })
      await world.pass(30_000)
      assert.deepEqual([world.writes(), [world.said('web'), world.said('other')]], [[], before])
    })
    it('not even where most nodes are silent for long', async () => {
      world.policy('web')
      const first = await world.syncedTerm()
      await untilProgrammed()
      for (const node of ['n1', 'n2']) world.agent(node, { isReady: false })
      await world.until('they are silent', () => ['n1', 'n2'].every((node) => world.reporting(node).startsWith('False/')) && world.said('web').startsWith('Unknown/'))
      await world.pass(5_000)
      await world.ended(first)
      const before = world.said('web')
      world.writes()
      await world.syncedTerm({ quiet: new Quiet() })
      await world.pass(90_000)
      assert.deepEqual([world.writes(), world.said('web')], [[], before])
    })
  })

  describe('the end', () => {
    it('while it begins: nothing is left open, and nothing is written', async () => {
      world.policy('web')
      const term = world.makeTerm()
      const starting = term.start()
      await world.ended(term)
      await starting
      await world.pass(5_000)
      assert.deepEqual([world.server.watches, world.writes()], [0, []])
    })
    it('a write of who no longer leads is refused where somebody wrote meanwhile, and none is begun', async () => {
      world.policy('web')
      let leads = true
      const former = await world.syncedTerm({ leads: () => leads })
      await untilProgrammed()
      await world.pass(2_000)
      const gate = Promise.withResolvers<void>()
      let held = 0
      world.hold = (request) => (request.startsWith('PATCH policyenforcements') && held++ === 0 ? gate.promise : Promise.resolve())
      world.policy('web', { generation: 2 })
      await world.until('its write is on its way', () => held === 1)
      leads = false
      world.policy('web', { generation: 3 })
      const next = await world.syncedTerm()
      await world.until('the next one told it', () => world.status('web')?.policyGeneration === 3)
      const { resourceVersion } = world.object('statuses', 'web')?.metadata ?? {}
      gate.resolve()
      await world.pass(5_000)
      assert.equal(world.object('statuses', 'web')?.metadata.resourceVersion, resourceVersion)
      assert.deepEqual([former.state().policies.setbacks.conflict, next.state().policies.setbacks.conflict], [1, 0])
      const { writes } = former.state().policies
      world.policy('web', { generation: 4 })
      await world.until('the next one alone goes on', () => world.status('web')?.policyGeneration === 4)
      assert.equal(former.state().policies.writes, writes)
    })
    it('a mistake of our own is told once, and nothing is written any more', async () => {
      const mistakes: unknown[] = []
      const term = await world.syncedTerm({
        onBroken: (error) => mistakes.push(error),
        onStep: () => {
          if (world.object('policies', 'web') !== undefined) throw new TypeError('planted')
        },
      })
      await world.pass(3_000)
      world.writes()
      world.policy('web')
      await world.until('it is told', () => mistakes.length > 0)
      world.policy('more')
      await world.ended(term)
      assert.deepEqual([mistakes.length, world.writes(), world.server.watches], [1, [], 0])
    })
  })
})
