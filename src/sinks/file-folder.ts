// A log file's older parts beside it: their names, compression, and how many are kept.
//
//   audit.log --> audit.log.20261127T120000.000Z --> audit.log.20261127T120000.000Z.gz --> gone
//
// **Invariant:** nothing is touched but what bears such a name; no symbolic link is followed; at each moment of a compression, a kill
// included, one whole copy is there.
import { constants, createWriteStream } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

const STAMP = /^\.\d{8}T\d{6}\.\d{3}Z(\.gz)?(\.part)?$/
const PART = '.part'

/** `time`: milliseconds since 1970. Resolves with a name that nothing has yet. */
export async function rotatedName(file: string, time: number): Promise<string> {
  for (let ms = time; ; ms++) {
    const name = `${file}.${new Date(ms).toISOString().replaceAll(/[-:]/g, '')}`
    const [plain, packed] = await Promise.all([exists(name), exists(`${name}.gz`)])
    if (!plain && !packed) return name
  }
}

/** Deletes the oldest ones but `keep`, and what was left of a compression; then compresses the others, where wanted. Rejects at the first failure. */
export async function tidyFolder(file: string, keep: number, compress: boolean, signal: AbortSignal): Promise<void> {
  const folder = path.dirname(file)
  const base = path.basename(file)
  const names = (await fs.readdir(folder)).filter((name) => name.startsWith(base) && STAMP.test(name.slice(base.length))).sort()
  for (const name of names.filter((one) => one.endsWith(PART))) await fs.rm(path.join(folder, name), { force: true })
  const stamps = [...new Set(names.map((name) => name.replace(/(\.gz)?(\.part)?$/, '')))]
  const old = stamps.slice(0, Math.max(0, stamps.length - keep))
  for (const stamp of old) {
    await fs.rm(path.join(folder, stamp), { force: true })
    await fs.rm(path.join(folder, `${stamp}.gz`), { force: true })
  }
  if (!compress) return
  for (const stamp of stamps.slice(old.length)) {
    if (names.includes(stamp)) await pack(path.join(folder, stamp), signal)
  }
}

async function pack(file: string, signal: AbortSignal): Promise<void> {
  const part = `${file}.gz${PART}`
  try {
    const from = await fs.open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    await pipeline(from.createReadStream(), createGzip(), createWriteStream(part, { flags: 'wx', mode: 0o600, flush: true }), { signal })
    await fs.rename(part, `${file}.gz`)
    await fs.rm(file)
  } catch (error) {
    await fs.rm(part, { force: true }).catch(() => undefined)
    throw error
  }
}

async function exists(file: string): Promise<boolean> {
  return (await fs.lstat(file).catch(() => null)) !== null
}
