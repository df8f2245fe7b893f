// Walks a folder: which of its entries are manifests, and which are folders to look into.
//
// The watcher and folderDigest both come through here. **Invariant:** what counts is decided here alone: regular files,
// also behind symbolic links, named *.yaml, *.yml or *.json, nothing whose name begins with a dot.
import type { BigIntStats } from 'node:fs'
import { lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

export interface Visitor {
  /** Before its entries are listed, so that whoever watches it misses none. `identity` changes when the folder is replaced. */
  folder(path: string, identity: string): void
  file(path: string, stats: BigIntStats): Promise<void>
  /** It exists (or it is the top folder) and cannot be looked at; nothing is known of what lies below. */
  unreadable(path: string, message: string): void
}

/** Folders in folders beyond this many are a mistake, or a loop. */
const DEEPEST = 32

export function isManifest(name: string): boolean {
  return !name.startsWith('.') && /\.(?:yaml|yml|json)$/.test(name)
}

/** `path` is relative to `root`, '' for the whole; an entry that does not exist is nothing to visit. */
export async function walk(root: string, path: string, visitor: Visitor): Promise<void> {
  const above: string[] = []
  const parts = path === '' ? [] : path.split('/')
  if (parts.some((part) => part.startsWith('.'))) return
  for (let i = 0; i < parts.length; i += 1) {
    const stats = await statOf(join(root, ...parts.slice(0, i)))
    if (typeof stats !== 'string' && stats !== null) above.push(identityOf(stats))
  }
  await visit(root, path, above, visitor)
}

async function visit(root: string, path: string, above: readonly string[], visitor: Visitor): Promise<void> {
  const stats = await statOf(join(root, path))
  const matters = path === '' || isManifest(path.slice(path.lastIndexOf('/') + 1))
  if (stats === null) {
    if (path === '') visitor.unreadable(path, 'it does not exist')
    return
  }
  if (typeof stats === 'string') {
    visitor.unreadable(path, stats)
    return
  }
  if (stats.isDirectory()) return visitFolder(root, path, identityOf(stats), above, visitor)
  if (!matters) return
  if (stats.isFile() && path !== '') return visitor.file(path, stats)
  visitor.unreadable(path, path === '' ? 'it is no folder' : 'it is no regular file')
}

async function visitFolder(root: string, path: string, identity: string, above: readonly string[], visitor: Visitor): Promise<void> {
  if (above.includes(identity)) return visitor.unreadable(path, 'the link leads back to a folder that it stands in')
  if (above.length >= DEEPEST) return visitor.unreadable(path, `folders are nested more than ${DEEPEST} deep`)
  visitor.folder(path, identity)
  let entries
  try {
    entries = await readdir(join(root, path), { withFileTypes: true })
  } catch (error) {
    visitor.unreadable(path, explain(error))
    return
  }
  const wanted = entries.filter((entry) => !entry.name.startsWith('.') && (isManifest(entry.name) || !entry.isFile()))
  await inGroups(wanted, (entry) => visit(root, path === '' ? entry.name : `${path}/${entry.name}`, [...above, identity], visitor))
}

/** Eight at a time, which keeps the disk busy and the memory bounded; results in the order of the items. */
export async function inGroups<T, R>(items: readonly T[], action: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = []
  for (let i = 0; i < items.length; i += 8) results.push(...(await Promise.all(items.slice(i, i + 8).map(action))))
  return results
}

/** Null where nothing of that name exists; a text where something does that cannot be looked at (a broken link, no right). */
async function statOf(path: string): Promise<BigIntStats | string | null> {
  try {
    return await stat(path, { bigint: true })
  } catch (error) {
    if (!isGone(error)) return explain(error)
  }
  try {
    await lstat(path)
    return 'the symbolic link leads nowhere'
  } catch (error) {
    return isGone(error) ? null : explain(error)
  }
}

function identityOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENOTDIR'
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'there is no right to read it',
  EPERM: 'there is no right to read it',
  ELOOP: 'its symbolic links lead in a circle',
  ENOENT: 'it vanished while it was read',
  ENOTDIR: 'it vanished while it was read',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
}

/** What a file system's error means, without a stack. */
export function explain(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return (code === undefined ? undefined : REASONS[code]) ?? message
}
