// How fast all pods are read from a real API server, in which memory: the test cluster's, with recorded pods in its etcd.
//
// `npm run cluster -- up` first. Controllers and scheduler are stopped meanwhile: they would take such pods away, and the
// processors. **Invariant:** afterwards the pods are gone and everything runs again.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openCluster } from '../cluster/cluster.ts'
import { CONTROL, FILES, netnsPath } from '../cluster/layout.ts'
import { cgroupFolder, mustRun, until } from '../cluster/processes.ts'
import type { Bench } from './bench.ts'
import { recordedPod } from './recorded-pod.ts'
import { bundle, figuresOf, type Once } from './reflector.ts'

const PODS = Number(process.env['PICKET_BENCH_PODS'] ?? 50_000)
const RUNS = 5
const ROOM = { netns: CONTROL }
const STOPPED = ['kube-controller-manager', 'kube-scheduler']

function signal(name: NodeJS.Signals): void {
  for (const pid of readFileSync(path.join(cgroupFolder(), 'daemons/cgroup.procs'), 'utf8').trim().split('\n').map(Number)) {
    const program = path.basename(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '')
    if (STOPPED.includes(program)) process.kill(pid, name)
  }
}

async function readOnce(program: string): Promise<Once> {
  const child = spawn('nsenter', [`--net=${netnsPath(CONTROL)}`, process.execPath, '--expose-gc', program, FILES.kubeconfig, '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  await once(child, 'close')
  return JSON.parse(text) as Once
}

export const bench: Bench = {
  name: 'reflector-cluster',
  about: `${PODS} pods of ${(recordedPod(1, 1).length / 1000).toFixed(1)} KB from the test cluster's API server; medians of ${RUNS} runs`,
  run: async (note) => {
    const cluster = await openCluster(note)
    const dir = await mkdtemp(path.join(tmpdir(), 'picket-bench-'))
    const fill = (verb: string): Promise<string> => mustRun(ROOM, [process.execPath, path.join(import.meta.dirname, 'fill-etcd.ts'), verb, String(PODS)], { timeout: 300_000 })
    signal('SIGSTOP')
    try {
      await fill('put')
      const program = await bundle(dir)
      const count = async (): Promise<number> => {
        const list = JSON.parse(await cluster.mustKubectl(['get', '--raw', '/api/v1/pods?limit=1'], { timeout: 120_000 })) as { readonly metadata: { readonly remainingItemCount?: number } }
        return 1 + (list.metadata.remainingItemCount ?? 0)
      }
      await until('the API server has the pods', 120_000, async () => ((await count()) >= PODS ? true : null))
      note('the pods are there')
      // The first reading warms the server's own cache.
      const all: Once[] = []
      for (let run = 0; run <= RUNS; run += 1) {
        const figures = await readOnce(program)
        if ((figures['rows'] ?? 0) < PODS) throw new Error(`${figures['rows']} rows, expected ${PODS}`)
        note(JSON.stringify(figures))
        if (run > 0) all.push(figures)
      }
      return figuresOf('WatchList', all)
    } finally {
      await fill('delete')
      signal('SIGCONT')
      await rm(dir, { recursive: true })
    }
  },
}
