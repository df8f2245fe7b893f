// A change costs what it touches: the rows that a turn visits do not grow with the cluster.
import assert from 'node:assert/strict'
import { Turns, type TurnReport } from '../../../src/agent/turn.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { bigCluster, LOCAL_NODE, onePod } from '../../support/big-cluster.ts'
import { namespace, policy } from '../../support/builders.ts'
import { remove, syncAll, upsert } from '../../support/cluster-feed.ts'

const SIZES = [1_000, 10_000, 50_000]
/** The same number of local pods everywhere, and the same pods among the first thousand. */
const LOCAL = 10

function compiled(pods: number): { turns: Turns; full: number } {
  const turns = new Turns({
    clock: systemClock,
    onWork: () => undefined,
    step: { isLocal: (p) => p.node === LOCAL_NODE, nodeName: LOCAL_NODE, podInterfaces: [], podAttachment: 'auto', sourcePrefixNamespaces: [] },
    skeleton: { newPods: 'deny', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto' },
  })
  const cluster = bigCluster({ pods: 1_000, local: LOCAL })
  const rest = pods > 1_000 ? bigCluster({ pods, local: 1 }) : cluster
  upsert(turns.inbox, 'namespace', ...rest.namespaces)
  upsert(turns.inbox, 'pod', ...rest.pods.map((p, i) => cluster.pods[i] ?? p))
  upsert(turns.inbox, 'policy', ...rest.policies)
  upsert(turns.inbox, 'interface', ...cluster.interfaces)
  syncAll(turns.inbox)
  const { rowsTouched } = turns.run() as TurnReport
  return { turns, full: rowsTouched }
}

function rows(turns: Turns, push: () => void): number {
  push()
  return (turns.run() as TurnReport).rowsTouched
}

describe('work count: rows touched by one change, at 1,000, 10,000 and 50,000 pods', function () {
  this.timeout(30_000)
  const all = SIZES.map((size) => ({ size, ...compiled(size) }))

  it('the count counts: a full compile visits every pod', () => {
    for (const { size, full } of all) assert.ok(full >= size, `${full} rows for ${size} pods`)
  })
  const changes: [string, (turns: Turns) => number, number][] = [
    ['one remote pod relabelled', (t) => rows(t, () => upsert(t.inbox, 'pod', onePod(1, false, { app: 'web' }))), 100],
    ['one local pod relabelled', (t) => rows(t, () => upsert(t.inbox, 'pod', onePod(0, true, { release: 'flip' }))), 100],
    ['one pod deleted', (t) => rows(t, () => remove(t.inbox, 'pod', onePod(2, false))), 100],
    ['one namespace relabelled', (t) => rows(t, () => upsert(t.inbox, 'namespace', namespace({ name: 'ns2', labels: { team: 'team1' } }))), 200],
    ['one policy edited', (t) => rows(t, () => upsert(t.inbox, 'policy', policy({ namespace: 'ns0', name: 'web', pods: 'app=web', ingress: [{}] }))), 200],
    ['one policy deleted', (t) => rows(t, () => remove(t.inbox, 'policy', policy({ namespace: 'ns0', name: 'api' }))), 200],
    ['nothing', (t) => rows(t, () => upsert(t.inbox, 'pod', onePod(3, false))), 10],
  ]
  for (const [title, change, most] of changes) {
    it(`rule 110: ${title}`, () => {
      const counts = all.map(({ turns }) => change(turns))
      assert.ok(new Set(counts).size === 1, `grows with the cluster: ${counts.join(', ')} rows`)
      assert.ok((counts[0] as number) <= most, `${counts[0]} rows, expected at most ${most}`)
      assert.ok(title === 'nothing' || (counts[0] as number) > 0)
    })
  }
})
