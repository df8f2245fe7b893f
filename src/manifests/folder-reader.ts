// Keeps the catalog in step with the folder: reads what was touched, and only what differs from what is known.
//
// **Invariant:** a path that cannot be looked at keeps what it gave; only one that is not there any more takes its
// objects with it, and never because the whole folder is gone.
import type { BigIntStats } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { printable } from '../lib/show.ts'
import type { Catalog } from './catalog.ts'
import { readContent, signatureOf } from './content.ts'
import { type Covers, digestOf } from './digest.ts'
import { decodeText, readDocuments } from './documents.ts'
import { type FileReading, damagedFile, readObjects } from './objects.ts'
import { isManifest, walk } from './walk.ts'

/** A signature is believed once the content is older than this: file systems' clocks tick every 4 ms or so. */
const SETTLED_MS = 50
/** Many writers empty a file before they fill it: an empty one is believed after this long. */
const EMPTY_MS = 100

interface KnownFile {
  /** Null where the content has to be read again. */
  readonly signature: string | null
  /** Null where the content is not known: the file does not count. */
  readonly sha256: string | null
  readonly empty: boolean
}

export interface FolderReaderOptions {
  readonly dir: string
  readonly catalog: Catalog
  readonly clock: Clock
  readonly mostBytes: number
  readonly onFolder: (path: string, identity: string) => void
  readonly onGone: (gone: (path: string) => boolean) => void
}

export class FolderReader {
  readonly #options: FolderReaderOptions
  readonly #files = new Map<string, KnownFile>()
  /** Files that were emptied, and when that was first seen. */
  readonly #emptied = new Map<string, number>()
  readonly #folderProblems = new Map<string, string>()
  #digest: string | null = null
  #lost: string | null = null

  constructor(options: FolderReaderOptions) {
    this.#options = options
  }

  /** Why the whole folder cannot be read now; null where it can. */
  get lost(): string | null {
    return this.#lost
  }

  /** What has been read: number of files, and the digest that folderDigest gives for the same content. */
  covers(): Covers {
    const counted = [...this.#files].flatMap(([path, { sha256 }]): [string, string][] => (sha256 === null ? [] : [[path, sha256]]))
    this.#digest ??= digestOf(counted)
    return { files: counted.length, digest: this.#digest }
  }

  /** Problems with folders; those with files are the catalog's. */
  problems(): readonly Problem[] {
    const lost = this.#lost === null ? [] : [folderProblem('FolderVanished', this.#options.dir, this.#lost)]
    return [...lost, ...[...this.#folderProblems].map(([path, message]) => folderProblem('UnreadableFolder', path, message))]
  }

  /** Looks at a path and all below it; `into`: reads its content even if it seems unchanged. Gives the paths to look at again soon. */
  async examine(path: string, look: 'into' | 'again'): Promise<readonly string[]> {
    const seen = new Set<string>()
    const unreadable: string[] = []
    const changing: string[] = []
    await walk(this.#options.dir, path, {
      folder: (folder, identity) => {
        seen.add(folder)
        this.#folderProblems.delete(folder)
        if (folder === '') this.#lost = null
        this.#options.onFolder(folder, identity)
      },
      file: async (file, stats) => {
        seen.add(file)
        if (!(await this.#examineFile(file, stats, look === 'into' && file === path))) changing.push(file)
      },
      unreadable: (where, message) => {
        unreadable.push(where)
        this.#setUnreadable(where, message)
      },
    })
    const kept = (known: string): boolean => seen.has(known) || unreadable.some((where) => isBelow(known, where))
    this.#forget((known) => isBelow(known, path) && !kept(known))
    return changing
  }

  /** False where the file is being written. */
  async #examineFile(path: string, stats: BigIntStats, force: boolean): Promise<boolean> {
    const known = this.#files.get(path)
    if (!force && known?.signature === signatureOf(stats)) return true
    const readAt = this.#options.clock.wallTime()
    const content = await readContent(join(this.#options.dir, path), this.#options.mostBytes)
    if (content.kind === 'changing') return false
    if (content.kind === 'failed') {
      this.#setUnreadable(path, content.message)
      return true
    }
    if (this.#wasJustEmptied(path, content.bytes.length)) return false
    // Written within the clock's tick, it may be written again without another signature.
    const signature = readAt - content.modifiedMs > SETTLED_MS ? content.signature : null
    if (known?.sha256 !== content.sha256) {
      this.#digest = null
      this.#options.catalog.setFile(path, await readFile(path, content.bytes))
    }
    this.#files.set(path, { signature, sha256: content.sha256, empty: content.bytes.length === 0 })
    this.#folderProblems.delete(path)
    return true
  }

  #wasJustEmptied(path: string, length: number): boolean {
    const known = this.#files.get(path)
    if (length > 0 || known === undefined || known.empty) {
      this.#emptied.delete(path)
      return false
    }
    const since = this.#emptied.get(path) ?? this.#options.clock.now()
    this.#emptied.set(path, since)
    const over = this.#options.clock.now() - since >= EMPTY_MS
    if (over) this.#emptied.delete(path)
    return !over
  }

  #setUnreadable(path: string, message: string): void {
    if (path === '') {
      this.#lost = message
      return
    }
    const isFolder = [...this.#files.keys()].some((file) => file !== path && isBelow(file, path))
    if (isFolder || !isManifest(path.slice(path.lastIndexOf('/') + 1))) {
      this.#folderProblems.set(path, message)
      return
    }
    this.#digest = null
    this.#files.set(path, { signature: null, sha256: null, empty: false })
    this.#options.catalog.setFile(path, damagedFile(path, message))
  }

  #forget(gone: (path: string) => boolean): void {
    for (const path of [...this.#files.keys()].filter(gone)) {
      this.#digest = null
      this.#files.delete(path)
      this.#emptied.delete(path)
      this.#options.catalog.removeFile(path)
    }
    for (const path of [...this.#folderProblems.keys()].filter(gone)) this.#folderProblems.delete(path)
    this.#options.onGone(gone)
  }
}

/** Whether `path` is `above` or lies in it. */
function isBelow(path: string, above: string): boolean {
  return above === '' || path === above || path.startsWith(`${above}/`)
}

async function readFile(path: string, bytes: Uint8Array): Promise<FileReading> {
  const text = decodeText(bytes)
  if (text === null) return damagedFile(path, 'found bytes that are no UTF-8, expected YAML or JSON in UTF-8')
  return readObjects(path, await readDocuments(text))
}

function folderProblem(code: string, path: string, message: string): Problem {
  const text = `cannot be read: ${message}; objects that it gave before stay as they were`
  return { code, severity: 'error', object: `folder ${printable(path, 256)}`, message: text }
}
