// What the sources say, put together: nothing before everything is there, and the last word of each object.
import assert from 'node:assert/strict'
import { operatorResources, type OperatorEvent, type OperatorKind } from '../../../src/operator/resources.ts'
import { ClusterView, type ViewStep } from '../../../src/operator/view.ts'
import { rowOf } from '../../../src/kube/rows.ts'
import { nodeStatus, policyStatus } from '../../support/enforcements.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const RESOURCES = operatorResources('picket-system')
const READY = { status: { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '1970-01-01T00:00:00Z' }] } }

class World {
  readonly clock = new FakeClock()
  readonly heard: string[] = []
  readonly view = new ClusterView({ clock: this.clock, onReadiness: (node, isReady) => void this.heard.push(`${node} ${isReady}`) })

  say(kind: OperatorKind, raw: object, ...more: readonly object[]): void {
    for (const one of [raw, ...more]) this.view.take({ verb: 'upsert', kind, ...this.#row(kind, one) } as OperatorEvent)
  }

  list(kind: OperatorKind, ...raws: readonly object[]): void {
    this.view.take({ verb: 'replace', kind, rows: new Map(raws.map((raw) => this.#row(kind, raw)).map(({ key, decoded }) => [key, decoded])) } as OperatorEvent)
    this.view.take({ verb: 'synced', kind } as OperatorEvent)
  }

  gone(kind: OperatorKind, key: string): void {
    this.view.take({ verb: 'delete', kind, key } as OperatorEvent)
  }

  /** All that is read, but for `without`. */
  synced(without?: OperatorKind): void {
    for (const { rows } of RESOURCES) if (rows !== without) this.list(rows as OperatorKind)
  }

  step(): ViewStep {
    const step = this.view.step()
    assert.ok(step !== null)
    return step
  }

  #row(kind: OperatorKind, raw: object): ReturnType<typeof rowOf> {
    const resource = RESOURCES.find(({ rows }) => rows === kind)
    assert.ok(resource)
    return rowOf(raw, resource)
  }
}

const node = (uid: string, name = 'n'): object => ({ metadata: { name, uid, resourceVersion: '5' }, ...READY })
const agent = (name = 'n', turn = 'first'): object => ({ metadata: { name: `agent-${name}`, namespace: 'picket-system', uid: `agent-${name}-${turn}` }, spec: { nodeName: name }, ...READY })
const report = (owner: string): object => ({ metadata: { name: 'n', uid: 'r1', resourceVersion: '6', ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: owner }] }, status: nodeStatus() })
const policy = (uid: string, generation = 1): object => ({ metadata: { name: 'web', namespace: 'shop', uid, generation, resourceVersion: String(generation + 10) }, spec: { podSelector: {}, policyTypes: ['Ingress'] } })
const status = (uid: string): object => ({ metadata: { name: 'web', namespace: 'shop', uid: `s-${uid}`, resourceVersion: '20', ownerReferences: [{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: 'web', uid }] }, status: policyStatus({ policyRef: { name: 'web', uid, resourceVersion: '9' } }) })

describe("the operator's view", () => {
  for (const { rows, title, plural } of RESOURCES) it(`makes no step before ${title ?? plural} are read`, () => {
    const world = new World()
    world.synced(rows as OperatorKind)
    assert.deepEqual([world.view.isSynced, world.view.step()], [false, null])
    world.list(rows as OperatorKind)
    assert.notEqual(world.view.step(), null)
  })

  it('takes what was said between two steps once, and the last word only', () => {
    const world = new World()
    world.synced()
    world.step()
    world.say('policy', policy('u1'), policy('u1', 2))
    world.say('status', status('u1'))
    const step = world.step()
    assert.deepEqual([[...step.summary.changed], [...step.statuses]], [['u1'], ['shop/web']])
    assert.equal(world.view.summary.statusOf('u1')?.policyGeneration, 2)
    const next = world.step()
    assert.deepEqual([next.summary.changed.size, next.statuses.size, next.nodes.size], [0, 0, 0])
  })

  it('tells a policy that was made anew, with what is left of the one before', () => {
    const world = new World()
    world.synced()
    world.say('policy', policy('u1'))
    world.say('status', status('u1'))
    world.step()
    world.gone('policy', 'u1')
    world.say('policy', policy('u2'))
    const { summary } = world.step()
    assert.deepEqual([[...summary.gone], [...summary.changed]], [['u1'], ['u2']])
    // Of the same name: what the other one was since counts nothing.
    assert.notEqual(world.view.summary.statusOf('u2')?.policyRef.resourceVersion, '9')
    assert.deepEqual(world.view.summary.uidsOf('shop', 'web'), ['u2'])
  })

  it('what a list leaves out is gone, of each kind', () => {
    const world = new World()
    world.synced()
    world.say('node', node('n1'))
    world.say('agent', agent())
    world.say('report', report('n1'))
    world.say('status', status('u1'))
    world.step()
    for (const kind of ['report', 'status'] as const) world.view.take({ verb: 'replace', kind, rows: new Map() })
    const step = world.step()
    assert.deepEqual([[...step.statuses], [...step.nodes], world.view.reports.size, world.view.statuses.size], [['shop/web'], ['n'], 0, 0])
    world.view.take({ verb: 'replace', kind: 'agent', rows: new Map() })
    assert.equal(world.heard.at(-1), 'n false')
    world.view.take({ verb: 'replace', kind: 'node', rows: new Map() })
    assert.equal(world.heard.at(-1), 'n true')
  })

  it('a list with the successor of each agent tells no node as silent, and one without tells it', () => {
    const world = new World()
    world.synced()
    world.list('node', node('n1', 'n'), node('m1', 'm'))
    world.list('agent', agent('n'), agent('m'))
    world.step()
    world.heard.length = 0
    world.list('agent', agent('n', 'second'), agent('m', 'second'))
    assert.deepEqual(world.heard.filter((told) => told.endsWith('false')), [])
    world.list('agent', agent('n', 'second'))
    assert.equal(world.heard.at(-1), 'm false')
  })

  it('a Node made anew makes the report of the one before an orphan, until its own is there', () => {
    const world = new World()
    world.synced()
    world.say('node', node('n1'))
    world.say('report', report('n1'))
    assert.deepEqual([...world.step().summary.orphans], [])
    world.gone('node', 'n1')
    world.say('node', node('n2'))
    assert.deepEqual([...world.step().summary.orphans], ['n'])
    world.say('report', report('n2'))
    assert.deepEqual([...world.step().summary.orphans], [])
  })

  it('objects that are not as they should be stop nothing', () => {
    const world = new World()
    world.synced()
    for (const { rows } of RESOURCES) for (const raw of [{}, { metadata: null }, { metadata: { name: 'x' }, spec: 7, status: [] }, { metadata: { name: 7, uid: 'u9', namespace: {} } }]) world.say(rows as OperatorKind, raw)
    world.say('policy', policy('u1'))
    assert.ok(world.step().summary.changed.has('u1'))
  })
})
