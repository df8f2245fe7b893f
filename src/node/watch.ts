// The node's interfaces as a source of the inbox: keeps the rtnetlink worker running, folds what it posts, tells changes.
//
// interfaces.ts does the folding; this file is the thread's life: start, bursts, doubt, death, start again, close.
// **Invariant:** the first events are one `replace` and `synced`; after that each batch holds only rows that changed,
// and after a worker's death the new one begins with a `replace` again.
import type { Worker } from 'node:worker_threads'
import type { Clock } from '../lib/clock.ts'
import { systemClock } from '../lib/clock.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import { spawnWorker } from '../lib/workers.ts'
import type { Problem } from '../lib/problem.ts'
import type { SourceEvent } from '../model/changes.ts'
import { decodeMessages } from '../netlink/messages.ts'
import type { RouteEvent } from '../netlink/route.ts'
import { decodeRouteEvent } from '../netlink/route.ts'
import { BridgePorts } from './bridge-ports.ts'
import { InterfaceFold } from './interfaces.ts'
import type { PortReader } from './port-reader.ts'
import type { StreamPost } from './rtnetlink-stream.ts'
import type { RtnetlinkWorkerData } from './rtnetlink-worker.ts'
import { WorkerControl } from '../lib/worker-control.ts'

export interface WatchInterfacesOptions {
  /** Path of the network namespace (/run/netns/NAME); the process's own where it is absent. */
  readonly netns?: string
  readonly onEvents: (events: SourceEvent[]) => void
  /** The worker died; what was told stands until the next `replace`, which follows as soon as a new one runs. */
  readonly onLost: (message: string) => void
  /** Everything was read again: at the start, after messages were lost, or in doubt. For counters and logs. */
  readonly onResync?: (reason: string) => void
  /** What the kernel keeps for us while we are busy; 8 MB where it is absent. It grows with each loss. */
  readonly receiveBufferBytes?: number
  readonly clock?: Clock
  /** Reads what is behind the ports of bridges, and tells it in their rows; nobody does where it is absent. */
  readonly portReader?: PortReader
}

export interface InterfaceWatch {
  /** Something is expected behind a port that is not there yet: ports are read again for a while. */
  readPorts(): void
  /** Of the ports of bridges. */
  problems(): readonly Problem[]
  /** Ends the worker; nothing is told after it was called. */
  close(): Promise<void>
}

const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024
/** A worker that has posted nothing for this long after its start is given up. */
const START_DEADLINE_MS = 15_000
const CLOSE_DEADLINE_MS = 1_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 10_000
/** Resyncs out of doubt: at most one in this time. */
const DOUBT_PAUSE_MS = 1_000

/**
 * Resolves once `replace` and `synced` have been told. Rejects with a PicketError where the first start fails (no such
 * namespace, no right to enter it); later failures go to `onLost` and are tried again.
 */
export async function watchInterfaces(options: WatchInterfacesOptions): Promise<InterfaceWatch> {
  const watcher = new InterfaceWatcher(options)
  await watcher.started
  return watcher
}

class InterfaceWatcher implements InterfaceWatch {
  readonly started: Promise<void>
  readonly #options: WatchInterfacesOptions
  readonly #clock: Clock
  readonly #fold = new InterfaceFold()
  #start: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null = null
  #worker: Worker | null = null
  #control = new WorkerControl()
  /** Whether the present worker has given its first dump. */
  #current = false
  #closed = false
  #pause = FIRST_PAUSE_MS
  readonly #ports: BridgePorts | null
  #cancelTimer: () => void = () => {}
  /** Set for a while after a resync was asked for. */
  #cancelDoubt: (() => void) | null = null
  #doubtAgain = false

  constructor(options: WatchInterfacesOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    const { portReader } = options
    this.#ports = portReader === undefined ? null : new BridgePorts({
      reader: portReader,
      clock: this.#clock,
      onChange: (index, behind) => this.#fold.setBehind(index, behind),
      onRead: () => this.#tell(this.#changes()),
    })
    this.started = new Promise((resolve, reject) => (this.#start = { resolve, reject }))
    this.#startWorker()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#ports?.close()
    this.#cancelTimer()
    this.#cancelDoubt?.()
    if (this.#worker !== null) await endWorker(this.#worker, this.#control, this.#clock)
    this.#worker = null
  }

  readPorts(): void {
    if (this.#closed) return
    this.#ports?.again()
    this.#tell(this.#changes())
  }

  problems(): readonly Problem[] {
    return this.#ports?.problems() ?? []
  }

  #findPorts(): void {
    const links = this.#fold.takeLinks()
    this.#ports?.changed(links)
  }

  #changes(): SourceEvent[] {
    this.#findPorts()
    return this.#fold.changes()
  }

  #startWorker(): void {
    this.#control = new WorkerControl()
    this.#current = false
    const { netns, receiveBufferBytes } = this.#options
    const workerData: RtnetlinkWorkerData = {
      netns: netns ?? null,
      receiveBufferBytes: receiveBufferBytes ?? RECEIVE_BUFFER_BYTES,
      control: this.#control.buffer,
    }
    const worker = spawnWorker('rtnetlink-worker', { workerData })
    this.#worker = worker
    worker.on('message', (post: StreamPost) => this.#receive(worker, post))
    worker.on('error', (error) => this.#lost(worker, messageOf(error)))
    worker.on('exit', () => this.#lost(worker, 'the thread ended by itself'))
    this.#cancelTimer = this.#clock.after(START_DEADLINE_MS, () => this.#lost(worker, `no answer within ${START_DEADLINE_MS} ms`))
  }

  #receive(worker: Worker, post: StreamPost): void {
    if (this.#closed || worker !== this.#worker) return
    if (post.kind === 'resync') this.#resync(worker, post)
    else this.#burst(post.events)
    const doubt = this.#fold.takeDoubt()
    if (doubt !== null) this.#askForResync()
  }

  #resync(worker: Worker, post: StreamPost & { readonly kind: 'resync' }): void {
    try {
      this.#fold.resync(decoded(post.dump), decoded(post.during))
    } catch (error) {
      this.#lost(worker, `a dump cannot be read: ${messageOf(error)}`)
      return
    }
    this.#cancelTimer()
    this.#pause = FIRST_PAUSE_MS
    this.#options.onResync?.(post.reason)
    if (this.#current) {
      this.#tell(this.#changes())
      return
    }
    this.#current = true
    this.#findPorts()
    this.#tell(this.#start === null ? [this.#fold.replace()] : [this.#fold.replace(), { verb: 'synced', kind: 'interface' }])
    this.#start?.resolve()
    this.#start = null
  }

  #burst(events: Uint8Array): void {
    try {
      for (const event of decoded(events)) this.#fold.apply(event)
    } catch {
      // Bytes that cannot be read are as good as lost: a dump says what they would have said.
      this.#askForResync()
    }
    this.#tell(this.#changes())
  }

  #tell(events: SourceEvent[]): void {
    if (events.length > 0) this.#options.onEvents(events)
  }

  /** At most one in a second: doubt that a resync does not end must not keep the node busy. */
  #askForResync(): void {
    if (this.#cancelDoubt !== null) {
      this.#doubtAgain = true
      return
    }
    this.#control.askForResync()
    this.#cancelDoubt = this.#clock.after(DOUBT_PAUSE_MS, () => {
      this.#cancelDoubt = null
      if (!this.#doubtAgain) return
      this.#doubtAgain = false
      this.#askForResync()
    })
  }

  #lost(worker: Worker, message: string): void {
    if (this.#closed || worker !== this.#worker) return
    this.#worker = null
    this.#cancelTimer()
    void endWorker(worker, this.#control, this.#clock)
    const where = this.#options.netns === undefined ? 'the interfaces of this node' : `the interfaces in ${this.#options.netns}`
    if (this.#start !== null) {
      this.#closed = true
      this.#start.reject(new PicketError('InterfacesUnreadable', `cannot watch ${where}: ${message}`))
      return
    }
    this.#cancelTimer = this.#clock.after(this.#pause, () => this.#startWorker())
    this.#options.onLost(`lost sight of ${where}: ${message}; what was known stands, next try in ${this.#pause} ms`)
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS)
  }
}

function* decoded(bytes: Uint8Array): Generator<RouteEvent> {
  for (const message of decodeMessages(bytes)) {
    const event = decodeRouteEvent(message)
    if (event !== null) yield event
  }
}

/** Tells it to stop, which it sees within its receive's timeout, and ends it by force where it does not. */
async function endWorker(worker: Worker, control: WorkerControl, clock: Clock): Promise<void> {
  control.stop()
  const cancel = clock.after(CLOSE_DEADLINE_MS, () => void worker.terminate())
  await new Promise<void>((resolve) => (worker.threadId === -1 ? resolve() : worker.once('exit', () => resolve())))
  cancel()
}
