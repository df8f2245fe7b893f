// How long the operator's summary takes: a large cluster from nothing, and then one change at a time, with the statuses that follow.
//
// The real store and the real summary; no API server, no publishing. Memory is that of both with all their rows.
// **Invariant:** every change is measured on the same full cluster, and changes something.
import { keepHeapSmall } from '../../src/lib/heap.ts'
import { node, policy, service } from '../support/builders.ts'
import { bigCluster } from '../support/big-cluster.ts'
import { SILENT, SummaryWorld } from '../support/summary-world.ts'
import type { Pod } from '../../src/model/objects.ts'
import { median, type Bench, type Figure } from './bench.ts'

const SIZE = { pods: 50_000, nodes: 1000, services: 5000 }
const CHANGES = 200
/** A sixtieth of a core at the rate of changes of a cluster in continuous churn: 30 reports and 50 pods a second. */
const AIM_MS = '< 5'

interface Measured {
  readonly ms: number
  readonly changed: number
}

function change(world: SummaryWorld, say: (index: number) => unknown): Measured {
  const all: Measured[] = []
  for (let index = 0; index < CHANGES; index++) {
    say(index)
    const start = performance.now()
    const { changed } = world.step()
    for (const uid of changed) world.summary.statusOf(uid)
    all.push({ ms: performance.now() - start, changed: changed.size })
  }
  return { ms: median(all.map(({ ms }) => ms)), changed: median(all.map(({ changed }) => changed)) }
}

function fill(world: SummaryWorld): { readonly pods: readonly Pod[]; readonly policies: number } {
  const { pods, policies, namespaces } = bigCluster({ pods: SIZE.pods, local: 1 })
  const placed = pods.map((one, index): Pod => Object.freeze({ ...one, node: `node${index % SIZE.nodes}` }))
  world.namespaces(...namespaces).pods(...placed).policies(...policies)
  for (let index = 0; index < SIZE.nodes; index++) {
    const name = `node${index}`
    world.nodes(node({ name, addresses: [`172.16.${index >> 8}.${index & 255}`] })).live(name).report(name, { observedResourceVersions: { networkpolicies: '100000' } })
  }
  for (let index = 0; index < SIZE.services; index++) world.services(service({ name: `s${index}`, clusterIps: [`10.200.${index >> 8}.${index & 255}`] }))
  return { pods: placed, policies: policies.length }
}

export const bench: Bench = {
  name: 'summary',
  about: `${SIZE.pods} pods, ${SIZE.pods / 10} policies, ${SIZE.nodes} nodes, ${SIZE.services} Services; medians of ${CHANGES} changes of each kind`,
  run: (note) => {
    keepHeapSmall()
    const world = new SummaryWorld()
    const { pods, policies } = fill(world)
    note('from nothing')
    const start = performance.now()
    const first = world.step()
    const full = performance.now() - start
    if (first.changed.size !== policies) throw new Error(`${first.changed.size} of ${policies} policies were told`)
    const statuses = performance.now()
    for (const uid of first.changed) world.summary.statusOf(uid)
    const allStatuses = performance.now() - statuses
    global.gc?.()
    const memory = process.memoryUsage().rss / 2 ** 20
    note('one change at a time')
    const pod = (index: number): Pod => pods[index * 37] as Pod
    const kinds: Readonly<Record<string, Measured>> = {
      'a pod gets another label': change(world, (index) => world.pods({ ...pod(index), labels: new Map([...pod(index).labels, ['release', `changed${index}`]]) })),
      'a pod goes to another node': change(world, (index) => world.pods({ ...pod(index), node: `node${(index * 7 + 3) % SIZE.nodes}` })),
      'a node reports, nothing changed': change(world, (index) => world.report(`node${index}`, { observedResourceVersions: { networkpolicies: '100001' } })),
      'a node reports a failure that is not listed': change(world, (index) => world.report(`node${index}`, { observedResourceVersions: { networkpolicies: '100001' }, failuresTotal: 1 })),
      'a node is silent': change(world, (index) => world.live(`node${index + 300}`, SILENT)),
      'a policy is edited': change(world, (index) => world.policies(policy({ namespace: `ns${index}`, name: 'api', generation: 2, pods: 'app=api', ingress: [] }))),
    }
    const figures: Figure[] = Object.entries(kinds).flatMap(([name, { ms, changed }]) => [
      { name, value: ms, unit: 'ms', aim: AIM_MS },
      { name: `${name}: policies told`, value: changed, unit: '', aim: '' },
    ])
    return Promise.resolve([
      { name: 'from nothing', value: full, unit: 'ms', aim: '< 10000' },
      { name: 'all statuses', value: allStatuses, unit: 'ms', aim: '< 5000' },
      { name: 'memory of the process', value: memory, unit: 'MB', aim: '< 400' },
      ...figures,
    ])
  },
}
