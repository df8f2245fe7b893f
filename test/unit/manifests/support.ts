// A folder of manifests in a temporary directory, watched by the real watcher.
//
// **Invariant:** every folder and watcher that a test makes is gone after it.
import { mkdtemp, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ManifestEvent } from '../../../src/manifests/catalog.ts'
import { type ManifestBatch, type WatchOptions, watchManifests } from '../../../src/manifests/watch.ts'

export function pod(name: string, metadata = ''): string {
  return `apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: shop\n  name: ${name}\n${metadata}`
}

/** Events as short text: `+ manifest:Pod/shop/a#1`, `- uid-2`, `synced`. */
export function texts(events: readonly ManifestEvent[]): readonly string[] {
  return events.map((event) => (event.verb === 'synced' ? 'synced' : event.verb === 'delete' ? `- ${event.uid}` : `+ ${event.object.uid}`))
}

export class Folder {
  readonly dir: string
  readonly batches: ManifestBatch[] = []
  #watch: { close(): Promise<void> } | null = null
  #taken = 0
  #onBatch: () => void = () => {}

  private constructor(dir: string) {
    this.dir = dir
  }

  static async make(): Promise<Folder> {
    return new Folder(join(await mkdtemp(join(tmpdir(), 'picket-manifests-')), 'folder'))
  }

  at(path: string): string {
    return join(this.dir, path)
  }

  /** In place, as an editor that does not rename. */
  async write(path: string, content: string | Uint8Array): Promise<void> {
    await mkdir(dirname(this.at(path)), { recursive: true })
    await writeFile(this.at(path), content)
  }

  /** By rename, as kubectl and most editors do. */
  async replace(path: string, content: string): Promise<void> {
    await writeFile(this.at('.new'), content)
    await rename(this.at('.new'), this.at(path))
  }

  async watch(options: Partial<WatchOptions> = {}): Promise<ManifestBatch> {
    this.#watch = await watchManifests(this.dir, {
      onBatch: (batch) => {
        this.batches.push(batch)
        this.#onBatch()
      },
      ...options,
    })
    return this.next()
  }

  /** The next batch that nobody has taken. */
  async next(deadlineMs = 1_500): Promise<ManifestBatch> {
    if (this.batches.length === this.#taken) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no batch within ${deadlineMs} ms`)), deadlineMs)
        this.#onBatch = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#taken += 1
    return this.batches[this.#taken - 1] as ManifestBatch
  }

  /** Batches that came within `ms` and that nobody has taken. */
  async quiet(ms: number): Promise<readonly ManifestBatch[]> {
    await new Promise((resolve) => setTimeout(resolve, ms))
    const rest = this.batches.slice(this.#taken)
    this.#taken = this.batches.length
    return rest
  }

  async close(): Promise<void> {
    await this.#watch?.close()
    this.#watch = null
  }

  async remove(): Promise<void> {
    await this.close()
    await rm(dirname(this.dir), { recursive: true, force: true })
  }
}
