// The user's folder as the lab reads it: files, each in chunks that hold whole documents, readable or not.
//
// DIR -> SourceFile[], for control-plane.ts. The lab mirrors each file, so that what agents say of `a.yaml, document 2`
// is true of the user's own a.yaml. **Invariant:** the folder is only ever read.
import fs from 'node:fs'
import path from 'node:path'
import { PicketError } from '../lib/errors.ts'
import { byText } from '../lib/sorting.ts'
import { decodeText, readDocuments } from '../manifests/documents.ts'
import { walk } from '../manifests/walk.ts'
import { watchManifests } from '../manifests/watch.ts'

export interface SourceChunk {
  /** As it stands in the file. */
  readonly text: string
  /** What could be read of it; nothing for comments. */
  readonly values: readonly unknown[]
  /** Some of it cannot be read: the chunk is passed on as it is. */
  readonly damaged: boolean
}

export interface SourceFile {
  /** Within the folder, with `/`. */
  readonly path: string
  readonly chunks: readonly SourceChunk[]
}

/** Reads a folder again and again; files whose bytes are the same are not parsed again. */
export class SourceFolder {
  readonly #dir: string
  #known = new Map<string, { readonly bytes: Buffer; readonly file: SourceFile }>()

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Sorted by path. Throws a PicketError where there is no such folder. */
  async read(): Promise<readonly SourceFile[]> {
    const known = new Map<string, { readonly bytes: Buffer; readonly file: SourceFile }>()
    for (const name of await manifestFiles(this.#dir)) {
      const bytes = readIfThere(path.join(this.#dir, name))
      if (bytes === null) continue
      const before = this.#known.get(name)
      known.set(name, before?.bytes.equals(bytes) === true ? before : { bytes, file: { path: name, chunks: await readChunks(bytes) } })
    }
    this.#known = known
    return [...known.values()].map((one) => one.file)
  }
}

/** Manifest files below `dir`, sorted. Throws a PicketError if there is no such folder. */
async function manifestFiles(dir: string): Promise<readonly string[]> {
  const found: string[] = []
  await walk(dir, '', {
    folder: () => {},
    file: async (name) => void found.push(name),
    unreadable: (name, message) => {
      if (name === '') throw new PicketError('InvalidFolder', `-f ${dir}: ${message}; expected a folder of manifests (.yaml, .yml, .json)`)
    },
  })
  return found.sort(byText)
}

/** Null where the file is gone by now. */
function readIfThere(file: string): Buffer | null {
  try {
    return fs.readFileSync(file)
  } catch {
    return null
  }
}

/** Splits at the lines that begin with `---`, as src/manifests does, so that damage stays where it is. */
async function readChunks(bytes: Buffer): Promise<readonly SourceChunk[]> {
  const text = decodeText(bytes)
  if (text === null) return [{ text: bytes.toString('latin1'), values: [], damaged: true }]
  const chunks: SourceChunk[] = []
  for (const part of text.split(/^(?=---(?:\s|$))/m)) {
    const documents = await readDocuments(part)
    chunks.push({
      text: part,
      values: documents.flatMap((one) => (one.kind === 'value' ? [one.value] : [])),
      damaged: documents.some((one) => one.kind === 'damaged'),
    })
  }
  return chunks
}

/** Calls `onChange` once for each settled change of the folder; the result stops it. */
export async function watchFolder(dir: string, onChange: () => void): Promise<() => Promise<void>> {
  const watch = await watchManifests(dir, { onBatch: onChange })
  return () => watch.close()
}
