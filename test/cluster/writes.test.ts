// What our writes rely on, asked of a real API server: versions, UIDs, owners of fields, Leases.
//
// The same story is told to the tests' own server (test/unit/kube/object-writer.test.ts). **Invariant:** leaves nothing behind.
import assert from 'node:assert/strict'
import { Leader } from '../../src/kube/leader.ts'
import { ObjectWriter } from '../../src/kube/object-writer.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { DEFINITION, STORY, tellStory } from '../support/write-conformance.ts'
import { api, ask } from './api.ts'
import { openCluster } from './cluster.ts'
import { until } from './processes.ts'
import { sender } from './sender.ts'

const NAMESPACE = 'picket-writes-test'
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

describe('writes to a real API server', function () {
  this.timeout(120_000)
  const writer = (fieldManager: string): ObjectWriter => new ObjectWriter({ transport: sender, clock: systemClock, fieldManager })

  before(async () => {
    await openCluster(() => undefined)
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
    await ask('POST', DEFINITIONS, DEFINITION)
    const path = `/apis/test.picket.dev/v1/namespaces/${NAMESPACE}/trials`
    await until('the kind is served', 30_000, async () => ((await ask('GET', path)).status === 200 ? true : null))
  })
  after(async () => {
    await ask('DELETE', `${DEFINITIONS}/${DEFINITION.metadata.name}`)
    await api.remove('v1', 'Namespace', null, NAMESPACE)
  })

  it('are treated as the tests\' own server treats them', async () => {
    assert.deepEqual(await tellStory(writer('a'), writer('b'), NAMESPACE), STORY)
  })
  it('make one of two the leader, and the other one when it ends', async () => {
    const told: string[] = []
    const make = (identity: string): Leader =>
      new Leader({
        writer: writer(identity),
        clock: systemClock,
        random: Math.random,
        namespace: NAMESPACE,
        name: 'operator',
        identity,
        times: { duration: 3_000, deadline: 2_000, retry: 200 },
        onStarted: () => void told.push(`${identity} leads`),
        onStopped: () => void told.push(`${identity} ends`),
        onTrouble: (message) => void (message === null || told.push(message)),
      })
    const [a, b] = [make('a'), make('b')]
    a.start()
    await until('one leads', 10_000, () => Promise.resolve(a.leads() || null))
    b.start()
    await until('the other one sees it', 10_000, () => Promise.resolve(b.holder === 'a' || null))
    await a.close()
    await until('the other one leads', 10_000, () => Promise.resolve(b.leads() || null))
    await b.close()
    assert.deepEqual(told, ['a leads', 'a ends', 'b leads', 'b ends'])
  })
})
