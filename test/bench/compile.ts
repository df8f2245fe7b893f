// How long compiling takes: a large cluster from nothing, and then one change at a time.
//
// Rows in, wanted table out; no kernel, no decoding. Memory is the peak of a process of its own.
// **Invariant:** every change is measured on the same full cluster, and undone by the next of its kind.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { keepHeapSmall } from '../../src/lib/heap.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { Turns, type TurnReport } from '../../src/agent/turn.ts'
import { bigCluster, LOCAL_NODE, onePod, type BigCluster } from '../support/big-cluster.ts'
import { namespace, policy } from '../support/builders.ts'
import { syncAll, upsert } from '../support/cluster-feed.ts'
import { median, type Bench, type Figure } from './bench.ts'

export const SIZE = { pods: 50_000, local: 110 }
const FULL_RUNS = 5
const CHANGES = 200

export function newTurns(): Turns {
  return new Turns({
    clock: systemClock,
    onWork: () => undefined,
    step: { isLocal: (p) => p.node === LOCAL_NODE, nodeName: LOCAL_NODE, podInterfaces: [], podAttachment: 'auto', sourcePrefixNamespaces: [] },
    skeleton: { newPods: 'deny', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto' },
  })
}

export function fill(turns: Turns, cluster: BigCluster): TurnReport {
  upsert(turns.inbox, 'namespace', ...cluster.namespaces)
  for (const one of cluster.pods) upsert(turns.inbox, 'pod', one)
  for (const one of cluster.policies) upsert(turns.inbox, 'policy', one)
  upsert(turns.inbox, 'interface', ...cluster.interfaces)
  syncAll(turns.inbox)
  return turns.run() as TurnReport
}

interface Measured {
  readonly ms: number
  readonly rows: number
}

function change(turns: Turns, push: (i: number) => void): Measured {
  const all: Measured[] = []
  for (let i = 0; i < CHANGES; i++) {
    push(i)
    const start = performance.now()
    const report = turns.run() as TurnReport
    turns.translator.wanted.takeDirty()
    all.push({ ms: performance.now() - start, rows: report.rowsTouched })
  }
  return { ms: median(all.map((m) => m.ms)), rows: median(all.map((m) => m.rows)) }
}

export const bench: Bench = {
  name: 'compile',
  about: `${SIZE.pods} pods, ${SIZE.pods / 10} policies, ${SIZE.pods / 50} namespaces, ${SIZE.local} local pods; medians of ${FULL_RUNS} full compiles and ${CHANGES} changes of each kind`,
  run: async (note) => {
    keepHeapSmall()
    const cluster = bigCluster(SIZE)
    global.gc?.()
    const heapBefore = process.memoryUsage().heapUsed
    const full: number[] = []
    let turns = newTurns()
    for (let i = 0; i < FULL_RUNS; i++) {
      turns = newTurns()
      const start = performance.now()
      fill(turns, cluster)
      full.push(performance.now() - start)
      note(`full compile ${i + 1} of ${FULL_RUNS}: ${Math.round(full.at(-1) as number)} ms`)
    }
    turns.translator.wanted.takeDirty()
    global.gc?.()
    const heap = process.memoryUsage().heapUsed - heapBefore
    const peak = Number(execFileSync(process.execPath, [fileURLToPath(new URL('compile-once.ts', import.meta.url))]))
    const remote = 1
    const local = cluster.pods.findIndex((p) => p.node === LOCAL_NODE)
    const flip = (i: number): Record<string, string> => ({ release: i % 2 === 0 ? 'flip' : 'flop' })
    const figures: [string, Measured][] = [
      ['one remote pod relabelled', change(turns, (i) => upsert(turns.inbox, 'pod', onePod(remote, false, { app: i % 2 === 0 ? 'web' : 'api' })))],
      ['one local pod relabelled', change(turns, (i) => upsert(turns.inbox, 'pod', onePod(local, true, flip(i))))],
      ['one namespace relabelled', change(turns, (i) => upsert(turns.inbox, 'namespace', namespace({ name: 'ns1', labels: { team: i % 2 === 0 ? 'team1' : 'team2' } })))],
      ['one policy edited', change(turns, (i) => upsert(turns.inbox, 'policy', policy({ namespace: 'ns0', name: 'web', pods: 'app=web', ingress: i % 2 === 0 ? [{}] : [] })))],
    ]
    const ms = (name: string, value: number, aim: string): Figure => ({ name, value, unit: 'ms', aim })
    return [
      ms('full compile', median(full), '< 1500'),
      ...figures.flatMap(([name, m]): Figure[] => [ms(name, m.ms, '< 1'), { name: `${name}: rows touched`, value: m.rows, unit: 'rows', aim: '' }]),
      { name: 'heap of one compiled cluster, rows left out', value: heap / 1e6, unit: 'MB', aim: '' },
      { name: 'peak memory of a process that compiles once, rows included', value: peak / 1e6, unit: 'MB', aim: '< 300' },
    ]
  },
}

