// The CNI plugin on a node: its program in the runtime's folder of plugins, its entry in the configuration that the runtime takes.
//
// **Invariant:** no moment has an entry without its program, or no configuration at all: every file is replaced whole, in an order
// that keeps it so.
import { randomUUID } from 'node:crypto'
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { messageOf, PicketError } from '../lib/errors.ts'
import { asList, hasEntry, PLUGIN, withEntry, withoutEntry, type CniEntry } from './cni-conf.ts'

export interface CniFolders {
  readonly binDir: string
  readonly confDir: string
}

export interface CniState {
  readonly installed: boolean
  /** What the runtime takes; null where there is nothing. */
  readonly config: string | null
  readonly hasEntry: boolean
  readonly program: string
  readonly hasProgram: boolean
}

export type Step = (text: string) => void

/** What a runtime takes for configurations: the first of the folder counts. */
const EXTENSIONS = ['.conf', '.conflist', '.json']
/** Behind the name of a single configuration that was made a list; a runtime does not look at it. */
const ASIDE = '.before-picket'
const LARGEST_CONFIG = 2 ** 20

export async function cniState({ binDir, confDir }: CniFolders): Promise<CniState> {
  const config = await firstConfig(confDir)
  const program = path.join(binDir, PLUGIN)
  const there = config !== null && isList(config) && hasEntry(config, await readText(config))
  const hasProgram = (await stat(program).catch(() => null))?.isFile() === true
  return { installed: there && hasProgram, config, hasEntry: there, program, hasProgram }
}

/** Copies the program, whole and executable; nothing where it is the same already. */
export async function putProgram(plugin: string, binDir: string, step: Step): Promise<void> {
  const target = path.join(binDir, PLUGIN)
  const found = await stat(plugin).catch(() => null)
  if (found?.isFile() !== true) {
    throw new PicketError('NoPlugin', `${plugin}: there is no such program; name it with --plugin. Picket's image has it; from a clone: cd src/cni && CGO_ENABLED=0 go build -o ${PLUGIN} .`)
  }
  await needFolder(binDir, '--bin-dir')
  const bytes = await readFile(plugin)
  const there = await stat(target).catch(() => null)
  if (there?.isFile() === true && (there.mode & 0o777) === 0o755 && bytes.equals(await readFile(target))) return step(`${target}: up to date`)
  await replace(target, bytes, { mode: 0o755, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 })
  step(`${target}: installed`)
}

/** Puts our entry into the configuration that the runtime takes; false where there is none yet. */
export async function putEntry(confDir: string, entry: CniEntry, step: Step): Promise<boolean> {
  await needFolder(confDir, '--conf-dir')
  const config = await firstConfig(confDir)
  if (config === null) return false
  const text = await readText(config)
  if (!isList(config)) {
    await makeList(config, text, entry)
    step(`${listOf(config)}: made of ${path.basename(config)}, with an entry for ${PLUGIN}; the old file is kept as ${path.basename(config)}${ASIDE}`)
    return true
  }
  const edited = withEntry(config, text, entry)
  if (edited !== text) await replace(config, Buffer.from(edited), await stat(config))
  step(`${config}: ${edited === text ? 'up to date' : hasEntry(config, text) ? 'entry changed' : 'entry added'}`)
  return true
}

/** Takes our entry out of every configuration of the folder, and puts a single configuration back as it was. */
export async function takeEntries(confDir: string, step: Step): Promise<boolean> {
  let taken = false
  for (const config of (await configs(confDir)).filter(isList)) {
    const text = await readText(config)
    // Broken ones that do not even name us are not ours to complain about.
    if (!text.includes(PLUGIN) || !hasEntry(config, text)) continue
    taken = true
    const without = withoutEntry(config, text)
    const single = await madeOf(config, without)
    if (single === null) {
      await replace(config, Buffer.from(without), await stat(config))
      step(`${config}: entry removed`)
    } else {
      // The single one sorts first: from here on the runtime takes it.
      await rename(`${single}${ASIDE}`, single)
      await rm(config)
      step(`${single}: put back as it was, in place of ${path.basename(config)}`)
    }
  }
  return taken
}

export async function takeProgram(binDir: string, step: Step): Promise<boolean> {
  const program = path.join(binDir, PLUGIN)
  if ((await stat(program).catch(() => null)) === null) return false
  await rm(program)
  step(`${program}: removed`)
  return true
}

async function makeList(config: string, text: string, entry: CniEntry): Promise<void> {
  const list = listOf(config)
  if ((await stat(list).catch(() => null)) !== null) {
    throw new PicketError('InvalidCni', `${list}: is there beside ${path.basename(config)}, which the runtime takes first; remove the one that is not wanted`)
  }
  // Both for a moment, and the single one may come first still: it is moved away only when the list is there.
  await replace(list, Buffer.from(withEntry(list, asList(config, text), entry)), await stat(config))
  await rename(config, `${config}${ASIDE}`)
}

/** The single configuration of which this list was made, where nobody changed it since; else null. */
async function madeOf(list: string, text: string): Promise<string | null> {
  for (const extension of ['.conf', '.json']) {
    const single = list.replace(/\.conflist$/, extension)
    const kept = await readFile(`${single}${ASIDE}`, 'utf8').catch(() => null)
    if (kept !== null && asList(single, kept) === text) return single
  }
  return null
}

function isList(file: string): boolean {
  return file.endsWith('.conflist')
}

function listOf(config: string): string {
  return config.replace(/\.(conf|json)$/, '.conflist')
}

async function firstConfig(confDir: string): Promise<string | null> {
  return (await configs(confDir))[0] ?? null
}

/** As libcni finds and sorts them. */
async function configs(confDir: string): Promise<readonly string[]> {
  const entries = await readdir(confDir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new PicketError('CniFolder', `${confDir}: cannot be read (${messageOf(error)}); name the runtime's folder of network configurations with --conf-dir`)
  })
  const names = entries.filter((entry) => !entry.isDirectory() && EXTENSIONS.includes(path.extname(entry.name))).map((entry) => entry.name)
  return names.sort().map((name) => path.join(confDir, name))
}

async function readText(file: string): Promise<string> {
  const { size } = await stat(file)
  if (size > LARGEST_CONFIG) throw new PicketError('InvalidCni', `${file}: has ${size} bytes, expected a network configuration of at most ${LARGEST_CONFIG}`)
  return readFile(file, 'utf8')
}

async function needFolder(folder: string, option: string): Promise<void> {
  if ((await stat(folder).catch(() => null))?.isDirectory() !== true) throw new PicketError('CniFolder', `${folder}: is no folder; name the runtime's with ${option}`)
}

/** Atomic; the draft's name is none that a runtime would look at. */
async function replace(target: string, bytes: Buffer, { mode, uid, gid }: { readonly mode: number; readonly uid: number; readonly gid: number }): Promise<void> {
  const draft = path.join(path.dirname(target), `.picket-${randomUUID()}.draft`)
  try {
    const file = await open(draft, 'wx', mode & 0o777)
    try {
      await file.writeFile(bytes)
      await file.chmod(mode & 0o777)
      await file.chown(uid, gid).catch(() => undefined)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, target)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined)
    throw new PicketError('CniFolder', `${target}: cannot be written (${messageOf(error)}); run this with the right to write there`)
  }
}
