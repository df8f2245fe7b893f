// The content of one manifest file, read whole and only where nobody wrote to it meanwhile.
//
// **Invariant:** never blocks on what is no regular file, never holds more than the limit, and content that changed
// while it was read is not handed over.
import { createHash } from 'node:crypto'
import { constants, type BigIntStats } from 'node:fs'
import { open } from 'node:fs/promises'
import { explain } from './walk.ts'

/** Most bytes of a file. */
export const MOST_BYTES = 64 * 1024 * 1024

export type Content =
  | { readonly kind: 'read'; readonly bytes: Uint8Array; readonly sha256: string; readonly signature: string; readonly modifiedMs: number }
  /** Somebody is writing: read it again. */
  | { readonly kind: 'changing' }
  | { readonly kind: 'failed'; readonly message: string }

/** Equal signatures mean equal content, but for changes within one tick of the file system's clock. */
export function signatureOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
}

export async function readContent(path: string, mostBytes: number = MOST_BYTES): Promise<Content> {
  let handle
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const before = await handle.stat({ bigint: true })
    if (!before.isFile()) return { kind: 'failed', message: 'it is no regular file' }
    if (before.size > BigInt(mostBytes)) {
      return { kind: 'failed', message: `found ${before.size} bytes, expected at most ${mostBytes}` }
    }
    const bytes = await handle.readFile()
    const after = await handle.stat({ bigint: true })
    const signature = signatureOf(before)
    if (signature !== signatureOf(after) || BigInt(bytes.length) !== before.size) return { kind: 'changing' }
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    return { kind: 'read', bytes, sha256, signature, modifiedMs: Number(before.mtimeNs / 1_000_000n) }
  } catch (error) {
    return { kind: 'failed', message: explain(error) }
  } finally {
    await handle?.close()
  }
}
