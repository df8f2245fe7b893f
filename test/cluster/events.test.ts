// Events through a real API server: made, counted in series, shown by kubectl, and dropped where their namespace goes.
//
// **Invariant:** leaves nothing behind but an Event of the Node, which the server forgets.
import assert from 'node:assert/strict'
import { ObjectWriter } from '../../src/kube/object-writer.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { EventRecorder, USUAL_LIMITS } from '../../src/report/event-recorder.ts'
import type { Regarding, WantedEvent } from '../../src/report/events.ts'
import { eventFaults, type KeptEvent } from '../support/event-rules.ts'
import { api, ask, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { pauseOperators, type PausedOperators } from './operators.ts'
import { until } from './processes.ts'
import { sender } from './sender.ts'

const NAMESPACE = 'picket-events-test'
const GOING = 'picket-events-going'
const LONG = `${'a'.repeat(240)}-${'b'.repeat(12)}`

describe('events on a real API server', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let operators: PausedOperators
  let recorder: EventRecorder
  const troubles: (string | null)[] = []
  const policies = new Map<string, Regarding>()

  before(async () => {
    cluster = await openCluster(() => undefined)
    // They would tell of the same policies.
    operators = await pauseOperators()
    for (const name of [NAMESPACE, GOING]) await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
    for (const [namespace, name] of [[NAMESPACE, 'web'], [NAMESPACE, LONG], [GOING, 'web']] as const) {
      const made = await api.create({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name }, spec: { podSelector: {} } })
      policies.set(`${namespace}/${name}`, regarding('networking.k8s.io/v1', 'NetworkPolicy', namespace, made))
    }
    recorder = new EventRecorder({
      clock: systemClock,
      random: Math.random,
      writer: new ObjectWriter({ transport: sender, clock: systemClock, fieldManager: 'picket-operator' }),
      reportingController: 'picket.dev/operator',
      reportingInstance: 'picket-operator-5d8f-x2x',
      mayWrite: () => true,
      limits: { ...USUAL_LIMITS, ended: 3_000, refresh: 60_000, rate: 20 },
      onTrouble: (message) => void troubles.push(message),
    })
  })
  after(async () => {
    await recorder.close()
    for (const name of [NAMESPACE, GOING]) await api.remove('v1', 'Namespace', null, name)
    await operators.resume()
  })

  const regarding = (apiVersion: string, kind: Regarding['kind'], namespace: string | null, { metadata: { name, uid = '', resourceVersion = '' } }: KubeObject): Regarding => ({ apiVersion, kind, namespace, name, uid, resourceVersion })
  const failed = (of: string, fields: Partial<WantedEvent> = {}): WantedEvent => ({
    regarding: policies.get(of) as Regarding,
    type: 'Warning',
    reason: 'ProgrammingFailed',
    action: 'Program',
    note: '1 of 2 nodes cannot enforce generation 1: node1 (CommitRefused: no room)',
    key: 'CommitRefused',
    ...fields,
  })
  const eventsIn = async (namespace: string): Promise<readonly KeptEvent[]> => (await api.list('events.k8s.io/v1', 'Event', namespace)) as unknown as readonly KeptEvent[]
  const kubectl = (...args: readonly string[]): Promise<string> => cluster.mustKubectl(args)

  it('are taken with all their fields, and counted by patches of their series', async () => {
    for (let i = 0; i < 5; i += 1) recorder.record(failed(`${NAMESPACE}/web`))
    recorder.record(failed(`${NAMESPACE}/web`, { type: 'Normal', reason: 'Programmed', note: 'generation 1: 2/2 nodes enforce it in 18ms (max 140ms)', key: '1' }))
    recorder.record(failed(`${NAMESPACE}/${LONG}`, { reason: 'Invalid', action: 'Accept', note: '🐧'.repeat(300), key: '' }))
    await until('the series has ended', 20_000, () => Promise.resolve(recorder.counts().series === 0 || null))
    const events = await eventsIn(NAMESPACE)
    assert.deepEqual(events.flatMap(eventFaults), [])
    assert.deepEqual(events.map(({ regarding: of, reason, type, series }) => `${of?.name.slice(0, 3)} ${type} ${reason} x${series?.count ?? 1}`).toSorted(), ['aaa Warning Invalid x1', 'web Normal Programmed x1', 'web Warning ProgrammingFailed x5'])
    const { created, patched, failed: refused, dropped } = recorder.counts()
    assert.deepEqual({ created, refused, dropped, troubles }, { created: 3, refused: 0, dropped: 0, troubles: [] })
    assert.ok(patched >= 1 && patched <= 2, `${patched} patches`)
  })

  it('kubectl get and kubectl events show them, with how often', async () => {
    const got = await kubectl('get', 'events.events.k8s.io', '-n', NAMESPACE)
    assert.match(got, /^\S+ +Warning +ProgrammingFailed +networkpolicy\/web +1 of 2 nodes cannot enforce generation 1: node1 \(CommitRefused: no room\)$/m)
    const listed = await kubectl('events', '-n', NAMESPACE, '--for', 'networkpolicy/web')
    assert.match(listed, /\(x5 over \S+\) +Warning +ProgrammingFailed +NetworkPolicy\/web/)
    // kubectl describe shows none for NetworkPolicies, whoever tells them: its describer of that kind does not ask.
    console.log(listed.split('\n').map((line) => `      ${line}`).join('\n'))
  })

  it('those of a Node are in the namespace default, and kubectl describe shows them', async () => {
    const [node] = await api.list('v1', 'Node', null)
    assert.ok(node !== undefined)
    recorder.record(failed('', { regarding: regarding('v1', 'Node', null, node), reason: 'NotEnforced', action: 'Enforce', note: 'the node does not report (AgentNotReady)', key: 'Reporting/AgentNotReady' }))
    const shown = await until('the event is there', 10_000, async () => {
      const text = await kubectl('describe', 'node', node.metadata.name)
      return text.includes('NotEnforced') ? text : null
    })
    assert.match(shown, /Warning +NotEnforced +\S+ +picket\.dev\/operator +the node does not report \(AgentNotReady\)/)
    assert.deepEqual((await eventsIn('default')).filter(({ reason }) => reason === 'NotEnforced').flatMap(eventFaults), [])
  })

  it('one that is gone is not patched into being', async () => {
    const { created, failed: before } = recorder.counts()
    recorder.record(failed(`${NAMESPACE}/web`, { key: 'Gone' }))
    await until('it is made', 10_000, () => Promise.resolve(recorder.counts().created > created || null))
    for (const { metadata: { name } } of await eventsIn(NAMESPACE)) await api.remove('events.k8s.io/v1', 'Event', NAMESPACE, name)
    recorder.record(failed(`${NAMESPACE}/web`, { key: 'Gone' }))
    await until('the patch was refused', 10_000, () => Promise.resolve(recorder.counts().failed > before || null))
    assert.deepEqual([await eventsIn(NAMESPACE), troubles], [[], []])
  })

  it('in a namespace that is being deleted, and in one that is gone, they are dropped without trouble', async () => {
    const holder = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: GOING, name: 'holder', finalizers: ['test.picket.dev/hold'] } }
    await api.create(holder)
    await ask('DELETE', `/api/v1/namespaces/${GOING}`)
    const { dropped } = recorder.counts()
    recorder.record(failed(`${GOING}/web`))
    await until('it is dropped', 10_000, () => Promise.resolve(recorder.counts().dropped > dropped || null))
    await api.patch('v1', 'ConfigMap', GOING, 'holder', { metadata: { finalizers: null } })
    await until('the namespace is gone', 60_000, async () => ((await api.find('v1', 'Namespace', null, GOING)) === null ? true : null))
    recorder.record(failed(`${GOING}/web`))
    await until('it is dropped', 10_000, () => Promise.resolve(recorder.counts().dropped > dropped + 1 || null))
    assert.deepEqual(troubles, [])
  })
})
