// One text for the whole content of a folder of manifests, so that another process can wait until an agent has read it.
//
// **Invariant:** the watcher and folderDigest give the same digest for the same content; a file that cannot be read, or
// is too large, is left out of both.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { PicketError } from '../lib/errors.ts'
import { printable } from '../lib/show.ts'
import { by } from '../lib/sorting.ts'
import { readContent } from './content.ts'
import { walk } from './walk.ts'

/** What has been read: the number of files that count, and the digest that folderDigest gives for the same content. */
export interface Covers {
  readonly files: number
  readonly digest: string
}

/** The digest of files that are known: relative path -> SHA-256 of the content, in hexadecimal. */
export function digestOf(files: Iterable<readonly [path: string, sha256: string]>): string {
  const hash = createHash('sha256')
  for (const [path, sha256] of [...files].sort(by(([path]) => path))) hash.update(`${path}\0${sha256}\n`)
  return `sha256:${hash.digest('hex')}`
}

/**
 * The digest of what the folder holds now: once a batch's `covers.digest` is equal, all of it has been handed over.
 * Meaningful only while nobody writes to the folder. PicketError where the folder cannot be read.
 */
export async function folderDigest(dir: string): Promise<string> {
  const files = new Map<string, string>()
  await walk(dir, '', {
    folder: () => {},
    file: async (path) => {
      const content = await readContent(join(dir, path))
      if (content.kind === 'read') files.set(path, content.sha256)
    },
    unreadable: (path, message) => {
      if (path === '') throw unreadableFolder(dir, message)
    },
  })
  return digestOf(files)
}

export function unreadableFolder(dir: string, message: string): PicketError {
  const what = `manifests: cannot read the folder ${printable(dir, 256)}: ${message}`
  return new PicketError('ManifestFolder', `${what}; expected a folder of YAML and JSON files`)
}
