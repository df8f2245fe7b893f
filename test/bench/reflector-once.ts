// One reading of all pods, and then of events, in a process of its own: its figures as one line of JSON.
//
//   node --expose-gc BUNDLE KUBECONFIG EVENTS   says "synced" over IPC, so that the events begin
// **Invariant:** rows are kept as a store keeps them; nothing else is.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { keepHeapSmall } from '../../src/lib/heap.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { RESOURCES } from '../../src/kube/resources.ts'
import { watchCluster } from '../../src/kube/source.ts'
import type { SourceEvent } from '../../src/model/changes.ts'

const [kubeconfig = '', events = '0'] = process.argv.slice(2)

keepHeapSmall()
const rows = new Map<string, unknown>()
const delay = monitorEventLoopDelay({ resolution: 5 })
let upserts = 0
let good = 0
let began = 0
const figures: Record<string, number> = { importedMb: process.memoryUsage().rss / 1e6 }

function take(event: SourceEvent): void {
  if (event.verb === 'replace') for (const [key, decoded] of event.rows) rows.set(key, decoded)
  else if (event.verb === 'upsert') {
    rows.set(event.key, event.decoded)
    upserts += 1
    if (event.decoded.kind === 'good') good += 1
  }
}

function longestStop(): number {
  const ms = Math.max(0, delay.max / 1e6 - 5)
  delay.reset()
  return ms
}

function synced(): void {
  const { user, system } = process.cpuUsage(before)
  Object.assign(figures, { listSeconds: (performance.now() - began) / 1000, cpuSeconds: (user + system) / 1e6, rows: rows.size, peakMb: process.resourceUsage().maxRSS / 1e3, listStopMs: longestStop() })
  setTimeout(() => {
    global.gc?.()
    figures['keptMb'] = process.memoryUsage().heapUsed / 1e6
    delay.reset()
    if (Number(events) === 0) return done()
    began = performance.now()
    process.send?.('synced')
  }, 200)
}

function done(): void {
  const seconds = (performance.now() - began) / 1000
  Object.assign(figures, { eventsPerSecond: upserts / seconds, good, eventStopMs: longestStop(), wholePeakMb: process.resourceUsage().maxRSS / 1e3 })
  process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit())
}

delay.enable()
began = performance.now()
const before = process.cpuUsage()
await watchCluster({
  access: { kubeconfig, context: null, apiServers: [] },
  clock: systemClock,
  resources: RESOURCES.filter(({ plural }) => plural === 'pods'),
  onEvents: (batch) => {
    for (const event of batch) take(event)
    if (batch.some(({ verb }) => verb === 'synced')) synced()
    if (upserts > 0 && upserts >= Number(events)) done()
  },
  onProblems: (problems) => {
    for (const { severity, message } of problems) if (severity === 'error') process.stderr.write(`${message}\n`)
  },
})
