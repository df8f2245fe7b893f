// What the files say now -> what changed since the last time, with each object's identity.
//
// Knows no file system: it is told a file's objects whenever the file was read, and that a file is gone.
// **Invariant:** identity is the UID (rules 94, 97): one that a manifest does not give is kept through edits and moves
// between files, and is new when the object is created again; an object leaves only when a readable state lacks it.
import { isDeepStrictEqual } from 'node:util'
import type { Problem } from '../lib/problem.ts'
import { printable } from '../lib/show.ts'
import { byText } from '../lib/sorting.ts'
import { type FileReading, MADE_UID, type ManifestItem } from './objects.ts'

/** `uid` is the object's own or made here: `manifest:Pod/shop/web#2`, the second that was created under that name. */
export interface ManifestObject extends Omit<ManifestItem, 'uid'> {
  readonly uid: string
  /** In which order the objects of this folder were created, from 1: time, where they do not say any. */
  readonly order: number
}

export type ManifestEvent =
  | { readonly verb: 'upsert'; readonly object: ManifestObject }
  | { readonly verb: 'delete'; readonly uid: string; readonly kind: string; readonly namespace: string | null; readonly name: string }
  /** Once, at the end of the first batch: everything that the folder held has been said. */
  | { readonly verb: 'synced' }

interface FileState {
  readonly reading: FileReading
  /** Objects that a damaged file gave before and does not give now. */
  readonly kept: readonly ManifestItem[]
}

interface Current {
  readonly item: ManifestItem
  readonly uid: string
  readonly order: number
}

export class Catalog {
  readonly #files = new Map<string, FileState>()
  #current: ReadonlyMap<string, Current> = new Map()
  /** How often each name was created; grows with the names that were ever used. */
  readonly #created = new Map<string, number>()
  #creations = 0

  setFile(path: string, reading: FileReading): void {
    const before = this.#files.get(path)
    const given = new Set(reading.items.map(keyOf))
    const kept = reading.damaged && before !== undefined ? [...before.reading.items, ...before.kept].filter((item) => !given.has(keyOf(item))) : []
    this.#files.set(path, { reading, kept })
  }

  removeFile(path: string): void {
    this.#files.delete(path)
  }

  /** What changed since the last call, deletions first, and all problems of now. */
  settle(): { readonly events: readonly ManifestEvent[]; readonly problems: readonly Problem[] } {
    const problems: Problem[] = []
    const wanted = this.#choose(problems)
    const next = new Map<string, Current>()
    const deletions: ManifestEvent[] = []
    const upserts: ManifestEvent[] = []
    for (const [key, before] of this.#current) {
      const item = wanted.get(key)
      if (item === undefined || !keepsIdentity(before, item)) deletions.push(deletion(before))
    }
    for (const [key, item] of wanted) {
      const before = this.#current.get(key)
      const stays = before !== undefined && keepsIdentity(before, item)
      const uid = stays ? before.uid : this.#identify(key, item)
      const order = stays ? before.order : ++this.#creations
      next.set(key, { item, uid, order })
      if (!stays || !sameItem(before.item, item)) upserts.push({ verb: 'upsert', object: Object.freeze({ ...item, uid, order }) })
    }
    this.#current = next
    return { events: [...deletions, ...upserts], problems }
  }

  /** One item for each name and each UID: the first by path and place; what a damaged file gave before comes last. */
  #choose(problems: Problem[]): ReadonlyMap<string, ManifestItem> {
    const byKey = new Map<string, ManifestItem>()
    const byUid = new Map<string, ManifestItem>()
    const paths = [...this.#files.keys()].sort(byText)
    for (const path of paths) {
      const { reading } = this.#files.get(path) as FileState
      problems.push(...reading.problems)
      for (const item of reading.items) {
        const first = byKey.get(keyOf(item)) ?? (item.uid === null ? undefined : byUid.get(item.uid))
        if (first === undefined) claim(item, byKey, byUid)
        else problems.push(duplicate(item, first))
      }
    }
    for (const path of paths) {
      for (const item of (this.#files.get(path) as FileState).kept) {
        if (!byKey.has(keyOf(item)) && (item.uid === null || !byUid.has(item.uid))) claim(item, byKey, byUid)
      }
    }
    return byKey
  }

  #identify(key: string, item: ManifestItem): string {
    const created = (this.#created.get(key) ?? 0) + 1
    this.#created.set(key, created)
    return item.uid ?? `${MADE_UID}${key}#${created}`
  }
}

/** `Pod/shop/web`, `Node/n1`. What no valid name holds is escaped, so that two names never make one key. */
function keyOf(item: ManifestItem): string {
  const name = escaped(item.name)
  return item.namespace === null ? `${item.kind}/${name}` : `${item.kind}/${escaped(item.namespace)}/${name}`
}

function escaped(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9._-]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function claim(item: ManifestItem, byKey: Map<string, ManifestItem>, byUid: Map<string, ManifestItem>): void {
  byKey.set(keyOf(item), item)
  if (item.uid !== null) byUid.set(item.uid, item)
}

function keepsIdentity(before: Current, item: ManifestItem): boolean {
  return before.item.uid === item.uid
}

/** Whether a reader of the object sees no difference; its source counts, since problems name it. */
function sameItem(a: ManifestItem, b: ManifestItem): boolean {
  if (a === b) return true
  try {
    return isDeepStrictEqual(a, b)
  } catch {
    return false // nested too deeply to compare: say it again
  }
}

function deletion({ item, uid }: Current): ManifestEvent {
  return { verb: 'delete', uid, kind: item.kind, namespace: item.namespace, name: item.name }
}

function duplicate(item: ManifestItem, first: ManifestItem): Problem {
  const what = keyOf(item) === keyOf(first) ? 'the same object' : `an object of the same UID (${titleOf(first)})`
  return {
    code: 'DuplicateObject',
    severity: 'error',
    object: titleOf(item),
    source: printable(item.source, 400),
    message: `${what} stands in ${printable(first.source, 400)} too, expected once; that one counts, since it comes first, and this one is ignored`,
  }
}

function titleOf(item: ManifestItem): string {
  const name = printable(item.name, 253)
  return item.namespace === null ? `${item.kind} ${name}` : `${item.kind} ${printable(item.namespace, 253)}/${name}`
}
