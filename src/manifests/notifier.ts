// Watches folders with inotify and says which paths were touched; nothing more is taken from an event.
//
// Events may be missing (a full queue, a network file system) or too many: the reader looks for itself.
// **Invariant:** a folder is watched before it is listed, and again when another folder takes its name.
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { explain } from './walk.ts'

/** `path` is relative to the folder, '' for the folder itself; `look` 'again' where only its entries may have changed. */
export type OnTouched = (path: string, look: 'into' | 'again') => void

interface Watched {
  readonly watcher: FSWatcher
  readonly identity: string
}

export class FolderNotifier {
  readonly #dir: string
  readonly #onTouched: OnTouched
  readonly #watched = new Map<string, Watched>()
  readonly #failed = new Map<string, string>()
  #parent: FSWatcher | null = null

  constructor(dir: string, onTouched: OnTouched) {
    this.#dir = dir
    this.#onTouched = onTouched
  }

  /** Folders that cannot be watched, with the reason: changes there are found by the timer only. */
  get failed(): ReadonlyMap<string, string> {
    return this.#failed
  }

  /** Sees the folder itself replaced (a symbolic link that is swapped, a folder that is made again). */
  watchParent(): void {
    const name = basename(resolve(this.#dir))
    try {
      this.#parent = watch(dirname(resolve(this.#dir)), (_event, entry) => {
        if (entry === name) this.#onTouched('', 'again')
      })
      this.#parent.on('error', () => this.#parent?.close())
    } catch {
      this.#parent = null // the timer finds it, later
    }
  }

  /** Watches the folder `path`; does nothing where that very folder is watched already. */
  watchFolder(path: string, identity: string): void {
    const known = this.#watched.get(path)
    if (known?.identity === identity) return
    known?.watcher.close()
    this.#watched.delete(path)
    try {
      const own = basename(path === '' ? resolve(this.#dir) : path)
      const watcher = watch(join(this.#dir, path), (_event, entry) => this.#tell(path, own, entry))
      watcher.on('error', (error) => this.#fail(path, error))
      this.#watched.set(path, { watcher, identity })
      this.#failed.delete(path)
    } catch (error) {
      this.#fail(path, error)
    }
  }

  #fail(path: string, error: unknown): void {
    this.#watched.get(path)?.watcher.close()
    this.#watched.delete(path)
    this.#failed.set(path, explain(error))
  }

  #tell(path: string, own: string, entry: string | null): void {
    if (entry === null) return this.#onTouched(path, 'again')
    // The folder itself was moved or removed: the event bears its own name, which an entry might bear too.
    if (entry === own) this.#onTouched(path, 'again')
    // `..data` is what the entries of a mounted ConfigMap lead through.
    if (entry.startsWith('..')) return this.#onTouched(path, 'again')
    if (!entry.startsWith('.')) this.#onTouched(path === '' ? entry : `${path}/${entry}`, 'into')
  }

  /** Forgets every folder for which `gone` holds. */
  forget(gone: (path: string) => boolean): void {
    for (const [path, { watcher }] of this.#watched) {
      if (!gone(path)) continue
      watcher.close()
      this.#watched.delete(path)
    }
    for (const path of this.#failed.keys()) if (gone(path)) this.#failed.delete(path)
  }

  close(): void {
    this.#parent?.close()
    this.forget(() => true)
  }
}
