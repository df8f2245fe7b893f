// Starts worker threads, from source and from the bundle alike.
//
// From source a worker is a .ts file in its folder; in the bundle all entries lie side by side (dist/NAME.js).
// **Invariant:** a worker is started through spawnWorker only, and its entry is listed here: the build reads this list.
import { Worker, workerData, type WorkerOptions } from 'node:worker_threads'

/** Name of the entry in the bundle -> source file, relative to src/. */
export const WORKERS = {
  'libnftables-worker': 'kernel/libnftables-worker.ts',
  'conntrack-worker': 'kernel/conntrack-worker.ts',
  'elements-worker': 'kernel/elements-worker.ts',
  'notices-worker': 'kernel/notices-worker.ts',
  'canary-worker': 'canary/canary-worker.ts',
  'nflog-worker': 'audit/nflog-worker.ts',
  'rtnetlink-worker': 'node/rtnetlink-worker.ts',
  'lab-pod-worker': 'lab/pod-worker.ts',
} as const

export type WorkerName = keyof typeof WORKERS

/** What terminate() waits for at the longest; loading takes a tenth of a second. */
const LONGEST_LOAD_MS = 10_000

/**
 * Starts the worker of that name. Its terminate() first waits until it has loaded: a thread that is ended while koffi
 * loads a library or looks up a function takes the whole process along (SIGABRT, seen on Node 24.21 with koffi 3.3.4).
 */
export function spawnWorker(name: WorkerName, options: WorkerOptions = {}): Worker {
  const fromSource = import.meta.url.endsWith('.ts')
  const url = fromSource ? new URL(`../${WORKERS[name]}`, import.meta.url) : new URL(`./${name}.js`, import.meta.url)
  const loaded = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(url, { name, ...options, workerData: { ...(options.workerData as object | undefined), loaded } })
  const gone = new Promise((resolve) => worker.once('exit', resolve))
  const terminate = worker.terminate.bind(worker)
  worker.terminate = async () => {
    const waiting = Atomics.waitAsync(loaded, 0, 0, LONGEST_LOAD_MS)
    if (waiting.async) await Promise.race([waiting.value, gone])
    return terminate()
  }
  return worker
}

/** For a worker, as soon as all its native libraries and their functions are looked up: from now on it may be terminated. */
export function tellLoaded(): void {
  const { loaded } = workerData as { readonly loaded: Int32Array }
  Atomics.store(loaded, 0, 1)
  Atomics.notify(loaded, 0)
}
