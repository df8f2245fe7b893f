// A CNI network configuration as text: our entry put into its plugins, changed, taken out, without touching the rest.
//
// Pure. The file is somebody else's, so it is edited where the entry stands and not written anew.
// **Invariant:** what withEntry() put in, withoutEntry() takes out, to the byte.
import { PicketError } from '../lib/errors.ts'

/** The plugin's type, and the name of its program. */
export const PLUGIN = 'picket-cni'
/** Versions of CNI that our plugin speaks. */
export const CNI_VERSIONS: readonly string[] = ['0.4.0', '1.0.0', '1.1.0']

export interface CniEntry {
  readonly socket: string
  /** `10s` */
  readonly timeout: string
  readonly onTimeout: 'fail' | 'allow'
}

/** Half-open: from the first character of an item to behind its last. */
interface Span {
  readonly start: number
  readonly end: number
}

interface Plugins {
  /** Behind the opening bracket. */
  readonly open: number
  readonly items: readonly Span[]
  /** The index of ours among them; -1 for none. */
  readonly ours: number
}

export function entryText({ socket, timeout, onTimeout }: CniEntry): string {
  return `{ "type": "${PLUGIN}", "socket": ${JSON.stringify(socket)}, "timeout": ${JSON.stringify(timeout)}, "onTimeout": "${onTimeout}" }`
}

/** Whether our entry is in a configuration list. Throws a PicketError where `text` is none; `file` names it. */
export function hasEntry(file: string, text: string): boolean {
  return pluginsOf(file, text).ours >= 0
}

/** The list with our entry behind all others, or in its old place with new settings. Throws a PicketError. */
export function withEntry(file: string, text: string, entry: CniEntry): string {
  const { open, items, ours } = pluginsOf(file, text)
  checkVersion(file, text)
  const mine = items[ours]
  if (mine !== undefined) return text.slice(0, mine.start) + entryText(entry) + text.slice(mine.end)
  const last = items.at(-1)
  if (last === undefined) throw new PicketError('InvalidCni', `${file}: plugins: found an empty list, expected the plugin that gives pods their addresses; install it first`)
  const before = items.at(-2)?.end
  // As the file has it between its items: a new line and indentation, or a blank.
  const gap = text.slice(before === undefined ? open : text.indexOf(',', before) + 1, last.start)
  return `${text.slice(0, last.end)},${gap}${entryText(entry)}${text.slice(last.end)}`
}

/** The list without our entry. Throws a PicketError. */
export function withoutEntry(file: string, text: string): string {
  const { open, items, ours } = pluginsOf(file, text)
  const mine = items[ours]
  if (mine === undefined) return text
  const before = items[ours - 1]
  const after = items[ours + 1]
  if (before !== undefined) return text.slice(0, before.end) + text.slice(mine.end)
  return text.slice(0, open) + text.slice(after === undefined ? mine.end : after.start)
}

/** A configuration of one plugin as a list of one. Throws a PicketError where it is no such thing. */
export function asList(file: string, text: string): string {
  const conf = parse(file, text)
  const { name, type, cniVersion } = conf
  if (typeof name !== 'string' || typeof type !== 'string') throw new PicketError('InvalidCni', `${file}: expected a network configuration with name and type; the runtime would not take it either`)
  const version = typeof cniVersion === 'string' ? `  "cniVersion": ${JSON.stringify(cniVersion)},\n` : ''
  return `{\n${version}  "name": ${JSON.stringify(name)},\n  "plugins": [\n    ${text.trim()}\n  ]\n}\n`
}

/** Both forms of a list's version: `cniVersion`, and since 1.1.0 `cniVersions`. */
function checkVersion(file: string, text: string): void {
  const { cniVersion, cniVersions } = parse(file, text)
  const found = [cniVersion, ...(Array.isArray(cniVersions) ? cniVersions : [])].filter((one) => one !== undefined)
  if (found.some((one) => typeof one === 'string' && CNI_VERSIONS.includes(one))) return
  const shown = found.length === 0 ? 'nothing' : found.map((one) => JSON.stringify(one)).join(', ')
  throw new PicketError('InvalidCni', `${file}: cniVersion: found ${shown}, expected one of ${CNI_VERSIONS.join(', ')}, which ${PLUGIN} speaks: chained plugins need 0.4.0 at least`)
}

function parse(file: string, text: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new PicketError('InvalidCni', `${file}: not valid JSON: ${(error as Error).message}; mend or remove it: the runtime takes the first file of the folder`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new PicketError('InvalidCni', `${file}: expected a network configuration as a JSON object`)
  return value as Record<string, unknown>
}

function pluginsOf(file: string, text: string): Plugins {
  const { plugins } = parse(file, text)
  if (!Array.isArray(plugins)) throw new PicketError('InvalidCni', `${file}: plugins: expected a list of plugins`)
  const open = openOf(text) as number
  const items: Span[] = []
  for (let at = skipBlanks(text, open); text[at] !== ']'; ) {
    const end = skipValue(text, at)
    items.push({ start: at, end })
    at = skipBlanks(text, end)
    if (text[at] === ',') at = skipBlanks(text, at + 1)
  }
  return { open, items, ours: plugins.findIndex((one: { type?: unknown } | null) => one?.type === PLUGIN) }
}

/** Where the items of the last top-level `plugins` begin, as JSON.parse takes the last; `text` is known to be valid JSON. */
function openOf(text: string): number | null {
  let found: number | null = null
  for (let at = skipBlanks(text, text.indexOf('{') + 1); text[at] === '"'; ) {
    const keyEnd = skipValue(text, at)
    const value = skipBlanks(text, skipBlanks(text, keyEnd) + 1)
    if (JSON.parse(text.slice(at, keyEnd)) === 'plugins') found = value + 1
    at = skipBlanks(text, skipValue(text, value))
    if (text[at] === ',') at = skipBlanks(text, at + 1)
  }
  return found
}

function skipBlanks(text: string, at: number): number {
  let end = at
  while (end < text.length && ' \t\r\n'.includes(text[end] as string)) end++
  return end
}

/** Behind the value that begins at `at`. */
function skipValue(text: string, at: number): number {
  const token = /"(?:[^"\\]|\\.)*"|[[\]{}]|[^\s,:"[\]{}]+/gy
  let depth = 0
  for (let end = at; ; ) {
    token.lastIndex = end
    const [part] = token.exec(text) as RegExpExecArray
    end += part.length
    if (part === '{' || part === '[') depth++
    if (part === '}' || part === ']') depth--
    if (depth === 0) return end
    while (' \t\r\n,:'.includes(text[end] as string)) end++
  }
}
