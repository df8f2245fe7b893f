// What an event costs in the selector index: rows visited, not milliseconds.
//
// **Invariant:** bounds are numbers of things that the event itself names, never shares of the cluster.
import { strict as assert } from 'node:assert'
import type { Pod } from '../../../src/model/objects.ts'
import { PodSelectorIndex } from '../../../src/selectors/selector-index.ts'
import { namespace, pod, podsIn, podsOf } from '../../support/builders.ts'

/** `count` pods in namespaces of 50; in each five apps, one `env`, and every pod its own name as a label. */
function cluster(count: number): { index: PodSelectorIndex; pods: readonly Pod[] } {
  const index = new PodSelectorIndex()
  const pods = Array.from({ length: count }, (_, i) =>
    pod({ namespace: `ns${Math.floor(i / 50)}`, name: `p${i}`, labels: { app: `app${i % 5}`, env: 'prod', pod: `p${i}` } }),
  )
  const spaces = Array.from({ length: count / 50 }, (_, i) => namespace({ name: `ns${i}`, labels: { team: `t${i % 20}` } }))
  index.updateNamespaces(new Map(spaces.map((n) => [n.uid, { before: null, after: n }])))
  index.updatePods(new Map(pods.map((p) => [p.uid, { before: null, after: p }])))
  for (let i = 0; i < count / 50; i++) {
    for (let app = 0; app < 5; app++) index.acquire(podsOf(`ns${i}`, `env=prod, app=app${app}`))
    index.acquire(podsIn(`kubernetes.io/metadata.name=ns${i}`, 'app=app0'))
  }
  index.takeDelta()
  return { index, pods }
}

function visits(index: PodSelectorIndex, work: () => void): number {
  const before = index.rowsVisited
  work()
  return index.rowsVisited - before
}

describe('the selector index: work', () => {
  const worlds = [1_000, 10_000].map(cluster)

  it('a changed pod visits the selectors that its own labels name', () => {
    const counts = worlds.map(({ index, pods }) => {
      const last = pods.at(-1) as Pod
      return visits(index, () => index.updatePods(new Map([[last.uid, { before: last, after: pod({ ...last, addresses: ['10.0.0.1'] }) }]])))
    })
    assert.equal(counts[0], counts[1])
    assert.ok((counts[0] as number) <= 12, `${counts[0]} visited`)
  })

  it('a selector that was released costs nothing any more, nor does its scope', () => {
    for (const { index, pods } of worlds) {
      const first = pods[0] as Pod
      const event = new Map([[first.uid, { before: first, after: first }]])
      const before = visits(index, () => index.updatePods(event))
      for (const selector of [podsIn('', 'app'), podsIn('team=t0', 'app=app0'), podsOf('ns0')]) index.release(index.acquire(selector))
      assert.equal(visits(index, () => index.updatePods(event)), before)
    }
  })

  it('acquire visits the pods of the rarest equality', () => {
    const counts = worlds.map(({ index }) => visits(index, () => index.acquire(podsOf('ns1', 'env=prod, app=app1, pod in (p51,p52)'))))
    assert.deepEqual(counts, [2, 2])
  })

  it('acquire by namespace labels visits the namespaces that match and their pods by label', () => {
    const counts = worlds.map(({ index }) => visits(index, () => index.acquire(podsIn('kubernetes.io/metadata.name in (ns3,ns4)', 'app=app1'))))
    assert.deepEqual(counts, [22, 22])
  })

  it('a relabelled namespace visits the selectors whose scope it enters or leaves, and its own pods by label', () => {
    const counts = worlds.map(({ index }) => {
      index.acquire(podsIn('team=t1', 'app=app1'))
      index.acquire(podsIn('team=other', 'app=app1'))
      const before = namespace({ name: 'ns1', labels: { team: 't1' } })
      const after = namespace({ name: 'ns1', labels: { team: 'other' } })
      return visits(index, () => index.updateNamespaces(new Map([[before.uid, { before, after }]])))
    })
    assert.equal(counts[0], counts[1])
    assert.ok((counts[0] as number) <= 30, `${counts[0]} visited`)
  })
})
