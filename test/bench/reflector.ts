// How fast all pods are read from an API server, in which memory, and how many events a watch takes.
//
// The server replays recorded bytes in a process of its own; the reader is the bundle's own code in another.
// **Invariant:** each way of reading is measured in a fresh process, the ways in turn.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { build } from 'esbuild'
import { kubeconfigText } from '../support/cluster-follower.ts'
import { median, type Bench, type Figure } from './bench.ts'
import { recordedMessage, recordedPod } from './recorded-pod.ts'

const PODS = Number(process.env['PICKET_BENCH_PODS'] ?? 50_000)
const EVENTS = 2 * PODS
const RUNS = 3
/** Paths of the replay server. */
const WAYS: Readonly<Record<string, string>> = {
  'watch-list/protobuf': 'WatchList, protobuf',
  'watch-list/json': 'WatchList, JSON',
  'pages/protobuf': 'pages of 500, protobuf',
  'pages/json': 'pages of 500, JSON',
  'no-limit/protobuf': 'one page, limit ignored, protobuf',
  'no-limit/json': 'one page, limit ignored, JSON',
}

export type Once = Readonly<Record<string, number>>

/** The reader as one file, in that folder. */
export async function bundle(dir: string): Promise<string> {
  const outfile = path.join(dir, 'reflector-once.mjs')
  const banner = { js: "import { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)" }
  await build({ entryPoints: [path.join(import.meta.dirname, 'reflector-once.ts')], outfile, bundle: true, platform: 'node', target: 'node24', format: 'esm', banner, logLevel: 'warning' })
  return outfile
}

async function readOnce(program: string, kubeconfig: string, events: number, server: ChildProcess): Promise<Once> {
  const child = fork(program, [kubeconfig, String(events)], { execArgv: ['--expose-gc'], stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  child.on('message', () => server.send('events'))
  let text = ''
  child.stdout?.on('data', (chunk) => (text += String(chunk)))
  await once(child, 'close')
  return JSON.parse(text) as Once
}

export const bench: Bench = {
  name: 'reflector',
  about: `${PODS} pods of ${(recordedPod(1, 1).length / 1000).toFixed(1)} KB as JSON, ${(recordedMessage('item', 1, 1).length / 1000).toFixed(1)} KB as protobuf, then ${EVENTS} events; medians of ${RUNS} runs of each way`,
  run: async (note) => {
    const dir = await mkdtemp(path.join(tmpdir(), 'picket-bench-'))
    const server = fork(path.join(import.meta.dirname, 'replay-server.ts'), [String(PODS), String(EVENTS)])
    try {
      const [port] = (await once(server, 'message')) as [number]
      const program = await bundle(dir)
      const all = new Map<string, Once[]>()
      for (let run = 0; run < RUNS; run += 1) {
        for (const way of Object.keys(WAYS)) {
          const kubeconfig = path.join(dir, way.replace('/', '-'))
          await writeFile(kubeconfig, kubeconfigText(`http://127.0.0.1:${port}/${way}`))
          const figures = await readOnce(program, kubeconfig, way.startsWith('watch-list') ? EVENTS : 0, server)
          if (figures['rows'] !== PODS) throw new Error(`${way}: ${figures['rows']} rows, expected ${PODS}`)
          all.set(way, [...(all.get(way) ?? []), figures])
          note(`${way}: ${JSON.stringify(figures)}`)
        }
      }
      return Object.entries(WAYS).flatMap(([way, title]) => figuresOf(title, all.get(way) ?? []))
    } finally {
      server.kill()
      await rm(dir, { recursive: true })
    }
  },
}

export function figuresOf(title: string, all: readonly Once[]): readonly Figure[] {
  const figure = (name: string, key: string, unit: string, aim = ''): Figure => ({ name: `${title}: ${name}`, value: median(all.map((one) => one[key] ?? 0)), unit, aim })
  const list = [
    figure('all pods read', 'listSeconds', 's', '< 3'),
    figure("reader's processor time for it", 'cpuSeconds', 's'),
    figure('memory at the peak', 'peakMb', 'MB', '< 350'),
    figure('memory kept', 'keptMb', 'MB'),
    figure('event loop stopped, at most', 'listStopMs', 'ms', '< 100'),
  ]
  if (all.every((one) => (one['good'] ?? 0) === 0)) return list
  return [...list, figure('events', 'eventsPerSecond', '1/s', '> 10000'), figure('event loop stopped by events', 'eventStopMs', 'ms', '< 100'), figure('memory at the peak of all', 'wholePeakMb', 'MB', '< 350')]
}
