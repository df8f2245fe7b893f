// Starts worker threads, from source and from the bundle alike.
//
// From source a worker is a .ts file in its folder; in the bundle all entries lie side by side (dist/NAME.js).
// **Invariant:** a worker is started through spawnWorker only, and its entry is listed here: the build reads this list.
import { Worker, type WorkerOptions } from 'node:worker_threads'

/** Name of the entry in the bundle -> source file, relative to src/. */
export const WORKERS = {
  'libnftables-worker': 'kernel/libnftables-worker.ts',
  'conntrack-worker': 'kernel/conntrack-worker.ts',
  'notices-worker': 'kernel/notices-worker.ts',
  'rtnetlink-worker': 'node/rtnetlink-worker.ts',
  'lab-pod-worker': 'lab/pod-worker.ts',
} as const

export type WorkerName = keyof typeof WORKERS

export function spawnWorker(name: WorkerName, options: WorkerOptions = {}): Worker {
  const fromSource = import.meta.url.endsWith('.ts')
  const url = fromSource ? new URL(`../${WORKERS[name]}`, import.meta.url) : new URL(`./${name}.js`, import.meta.url)
  return new Worker(url, { name, ...options })
}
