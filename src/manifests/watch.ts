// A folder of manifests, watched: one batch of events for each settled change, with what has been read and all problems.
//
// The first stage of the flow for `--source manifests:DIR`; the agent decodes each object and puts it into its inbox.
// Two ways of noticing, one way of reading: inotify for speed, a look at the whole folder on a timer as a safety net.
// **Invariant:** one examination at a time; a batch tells a state in which nobody was writing, or which lasted too long.
import { stat } from 'node:fs/promises'
import { type Clock, systemClock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import { type Problem, problemKey } from '../lib/problem.ts'
import { Catalog, type ManifestEvent } from './catalog.ts'
import { MOST_BYTES } from './content.ts'
import { type Covers, unreadableFolder } from './digest.ts'
import { FolderReader } from './folder-reader.ts'
import { FolderNotifier } from './notifier.ts'
import { inGroups } from './walk.ts'

export type { Covers } from './digest.ts'

export interface ManifestBatch {
  /** In the order to apply; may be empty where only problems or the digest changed. The first batch ends with `synced`. */
  readonly events: readonly ManifestEvent[]
  /** What the state after this batch was read from. */
  readonly covers: Covers
  /** All problems of now, not only new ones. */
  readonly problems: readonly Problem[]
}

export interface WatchOptions {
  /** Called once for each settled change, never again after close() was called. */
  readonly onBatch: (batch: ManifestBatch) => void
  readonly clock?: Clock
  /** Milliseconds without another event after which a change counts as settled. */
  readonly quietMs?: number
  /** Milliseconds between two looks at the whole folder. */
  readonly rescanMs?: number
  /** Most bytes of one file. */
  readonly mostBytes?: number
}

const QUIET_MS = 12
/** However busy the folder is, a batch is told after this long. */
const LONGEST_WAIT_MS = 250
const RESCAN_MS = 2_000
/** Between looks while the folder is missing, or where it cannot be watched. */
const URGENT_RESCAN_MS = 200
/** A look at the whole folder takes at most this share of the time. */
const RESCAN_SHARE = 20
/** How long the first batch waits for files that are being written. */
const FIRST_WAIT_MS = 2_000

/**
 * Reads the folder, tells the first batch, and watches until close(), which resolves when nothing runs any more.
 * PicketError where the folder cannot be read at the start; later, that is a problem, and nothing is deleted.
 */
export async function watchManifests(dir: string, options: WatchOptions): Promise<{ close(): Promise<void> }> {
  try {
    if (!(await stat(dir)).isDirectory()) throw new Error('it is no folder')
  } catch (error) {
    throw unreadableFolder(dir, messageOf(error))
  }
  const watcher = new ManifestWatcher(dir, options)
  await watcher.start()
  return watcher
}

class ManifestWatcher {
  readonly #dir: string
  readonly #options: WatchOptions
  readonly #clock: Clock
  readonly #catalog = new Catalog()
  readonly #notifier: FolderNotifier
  readonly #reader: FolderReader
  readonly #touched = new Map<string, 'into' | 'again'>()
  #firstTouch = 0
  #running: Promise<void> | null = null
  #cancelTurn: () => void = () => {}
  #cancelRescan: () => void = () => {}
  #told: string | null = null
  #closed = false

  constructor(dir: string, options: WatchOptions) {
    this.#dir = dir
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#notifier = new FolderNotifier(dir, (path, look) => this.#touch(path, look))
    this.#reader = new FolderReader({
      dir,
      catalog: this.#catalog,
      clock: this.#clock,
      mostBytes: options.mostBytes ?? MOST_BYTES,
      onFolder: (path, identity) => this.#notifier.watchFolder(path, identity),
      onGone: (gone) => this.#notifier.forget(gone),
    })
  }

  async start(): Promise<void> {
    this.#notifier.watchParent()
    this.#running = this.#readFirst()
    await this.#running
    this.#running = null
    if (this.#reader.lost !== null) {
      await this.close()
      throw unreadableFolder(this.#dir, this.#reader.lost)
    }
    this.#tell()
    this.#armRescan(0)
    if (this.#touched.size > 0) this.#armTurn()
  }

  async #readFirst(): Promise<void> {
    const began = this.#clock.now()
    let changing = await this.#reader.examine('', 'again')
    while (changing.length > 0 && this.#clock.now() - began < FIRST_WAIT_MS) {
      await new Promise<void>((done) => this.#clock.after(this.#quietMs, done))
      changing = (await Promise.all(changing.map((path) => this.#reader.examine(path, 'into')))).flat()
    }
    for (const path of changing) this.#touch(path, 'into')
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTurn()
    this.#cancelRescan()
    this.#notifier.close()
    await this.#running
    this.#notifier.close() // an examination that ran on may have begun to watch
  }

  get #quietMs(): number {
    return this.#options.quietMs ?? QUIET_MS
  }

  #touch(path: string, look: 'into' | 'again'): void {
    if (this.#closed) return
    if (this.#touched.size === 0) this.#firstTouch = this.#clock.now()
    if (look === 'into' || !this.#touched.has(path)) this.#touched.set(path, look)
    if (this.#running === null && this.#told !== null) this.#armTurn()
  }

  /** Every further event puts the turn off, up to the longest wait. */
  #armTurn(): void {
    this.#cancelTurn()
    const left = this.#firstTouch + LONGEST_WAIT_MS - this.#clock.now()
    this.#cancelTurn = this.#clock.after(Math.max(0, Math.min(this.#quietMs, left)), () => this.#run())
  }

  #run(): void {
    if (this.#closed || this.#running !== null) return
    this.#running = this.#turn().finally(() => {
      this.#running = null
      if (this.#touched.size > 0 && !this.#closed) this.#armTurn()
    })
  }

  async #turn(): Promise<void> {
    const began = this.#clock.now()
    const since = this.#firstTouch
    const paths = [...this.#touched]
    this.#touched.clear()
    const changing = await inGroups(outermost(paths), ([path, look]) => this.#reader.examine(path, look))
    if (this.#closed) return
    for (const path of changing.flat()) this.#touch(path, 'into')
    // More came meanwhile: they may belong together, so wait for them too.
    const unsettled = this.#touched.size > 0 && this.#clock.now() - since < LONGEST_WAIT_MS
    if (unsettled) this.#firstTouch = since
    else if (!this.#closed) this.#tell()
    if (paths.some(([path]) => path === '')) this.#armRescan(this.#clock.now() - began)
  }

  #armRescan(tookMs: number): void {
    this.#cancelRescan()
    if (this.#closed) return
    const urgent = this.#reader.lost !== null || this.#notifier.failed.size > 0
    const wanted = urgent ? URGENT_RESCAN_MS : (this.#options.rescanMs ?? RESCAN_MS)
    this.#cancelRescan = this.#clock.after(Math.max(wanted, tookMs * RESCAN_SHARE), () => this.#touch('', 'again'))
  }

  #tell(): void {
    const { events, problems: ofFiles } = this.#catalog.settle()
    const problems = [...this.#reader.problems(), ...this.#watchProblems(), ...ofFiles]
    const covers = this.#reader.covers()
    const first = this.#told === null
    const state = [covers.digest, ...problems.map(problemKey)].join('\n')
    if (events.length === 0 && state === this.#told) return
    this.#told = state
    this.#options.onBatch({ events: first ? [...events, { verb: 'synced' }] : events, covers, problems })
  }

  #watchProblems(): readonly Problem[] {
    return [...this.#notifier.failed].map(([path, message]) => ({
      code: 'WatchUnavailable',
      severity: 'warning',
      object: `folder ${path === '' ? this.#dir : path}`,
      message: `cannot be watched: ${message}; it is looked at every ${URGENT_RESCAN_MS} ms instead`,
    }))
  }
}

/** Without the paths that lie in others: two examinations of one place at a time would disagree. */
function outermost<T>(paths: readonly (readonly [string, T])[]): readonly (readonly [string, T])[] {
  const all = new Set(paths.map(([path]) => path))
  const covered = (path: string): boolean => {
    if (path !== '' && all.has('')) return true
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) if (all.has(path.slice(0, end))) return true
    return false
  }
  return paths.filter(([path]) => !covered(path))
}
