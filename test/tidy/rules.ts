// The rules of the house as functions: source files -> sentences that say what is wrong.
//
// The tidy tests apply them to the tree, and to small made-up files that break each of them.
// **Invariant:** a rule reads text, never the linter's configuration: it is the second opinion.
import { importsOf, type SourceFile } from './source.ts'
import { IMPURE_LIB, PURE_PACKAGES, type Row } from './table.ts'

/** `src/nft/objects.ts` -> the row nft. */
export function rowOf(file: string, rows: readonly Row[]): Row | undefined {
  const name = file.split('/')[1]?.replace(/\.ts$/, '')
  return rows.find((row) => row.name === name)
}

/** Imports that the table does not allow. */
export function importFaults(source: SourceFile, rows: readonly Row[]): readonly string[] {
  const row = rowOf(source.path, rows)
  if (row === undefined) return [`${source.path}: src/imports.json has no row for it`]
  const { imports } = row
  if (imports === 'all') return []
  return importsOf(source).flatMap(({ target }) => {
    if (target === null || target === 'package.json') return []
    const to = rowOf(target, rows)?.name
    const file = target.replace(/^src\//, '').replace(/\.ts$/, '')
    const allowed = to === row.name || to === 'lib' || imports.some((name) => name === to || name === file)
    return allowed ? [] : [`${source.path} imports ${file}; ${row.name} may import lib, ${imports.join(', ') || 'and nothing else'}`]
  })
}

const IMPURE_WORDS = ['async', 'await', 'Promise', 'process', 'console', 'fetch', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask']
const IMPURE_CODE: readonly RegExp[] = [
  ...IMPURE_WORDS.map((word) => new RegExp(`(?<![\\w$.])${word}(?![\\w$])(?!\\??:)`)),
  /\bDate\s*\.\s*now\b/,
  /\bnew\s+Date\s*\(\s*\)/,
  /\bperformance\b/,
  /\bMath\s*\.\s*random\b/,
  /\bcrypto\b/,
]

/** I/O, clocks, randomness and promises in a folder that is said to be pure. */
export function purityFaults(source: SourceFile, rows: readonly Row[]): readonly string[] {
  const row = rowOf(source.path, rows)
  if (row === undefined || !row.pure) return []
  const imports = importsOf(source).flatMap(({ specifier, target }) => {
    const lib = target?.replace(/^src\//, '').replace(/\.ts$/, '')
    const bad = target === null ? !PURE_PACKAGES.includes(specifier) : IMPURE_LIB.includes(lib ?? '')
    return bad ? [`${source.path} imports ${specifier}; ${row.name} is pure`] : []
  })
  const code = IMPURE_CODE.flatMap((pattern) => {
    const found = pattern.exec(source.code)?.[0]
    return found === undefined ? [] : [`${source.path} uses ${found}; ${row.name} is pure`]
  })
  return [...imports, ...code]
}

/** The environment and the arguments, read anywhere but in config.ts. `...process.env` hands it on to a child, unread. */
export function environmentFaults(source: SourceFile): readonly string[] {
  if (source.path === 'src/config.ts') return []
  const read = /(?<!\.\.\.)\bprocess\s*\.\s*(env|argv)\b/.exec(source.code)?.[0]
  const imported = importsOf(source).some(({ specifier }) => specifier === 'node:process' || specifier === 'process')
  return [
    ...(read === undefined ? [] : [`${source.path} reads ${read}; only src/config.ts does`]),
    ...(imported ? [`${source.path} imports node:process; the global is enough, and src/config.ts reads the environment`] : []),
  ]
}

const MAX_LINES = 300

/** Length, and the header: 3 to 10 lines of comment with one invariant. */
export function shapeFaults(source: SourceFile): readonly string[] {
  const lines = source.text.trimEnd().split('\n')
  const end = lines.findIndex((line) => !line.startsWith('//'))
  const header = end === -1 ? lines : lines.slice(0, end)
  const invariants = header.join('\n').split('**Invariant:**').length - 1
  return [
    ...(lines.length > MAX_LINES ? [`${source.path} has ${lines.length} lines; at most ${MAX_LINES}`] : []),
    ...(header.length < 3 || header.length > 10 ? [`${source.path}: its header comment has ${header.length} lines; expected 3 to 10`] : []),
    ...(invariants === 1 ? [] : [`${source.path}: its header has ${invariants} times "**Invariant:**"; expected once`]),
  ]
}

/** Circles of imports between files; type imports are gone when the program runs, lazy ones come after all others. */
export function circles(sources: readonly SourceFile[]): readonly string[] {
  const loaded = (source: SourceFile) => importsOf(source).filter((one) => !one.typeOnly && !one.lazy)
  const edges = new Map(sources.map((source) => [source.path, loaded(source).map((one) => one.target)]))
  const done = new Set<string>()
  const found: string[] = []
  const visit = (file: string, trail: readonly string[]): void => {
    if (trail.includes(file)) found.push([...trail.slice(trail.indexOf(file)), file].join(' -> '))
    if (done.has(file) || trail.includes(file)) return
    for (const next of edges.get(file) ?? []) if (next !== null) visit(next, [...trail, file])
    done.add(file)
  }
  for (const file of edges.keys()) visit(file, [])
  return found
}
