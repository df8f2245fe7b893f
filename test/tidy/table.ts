// The import table (src/imports.json) and what is made from it: the linter's overrides, and the map in src/README.md.
//
// `npm run generate` writes both; the tidy tests compare. **Invariant:** the table is the only place where a folder's
// imports are said; a row covers src/NAME.ts and src/NAME/.
import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'

export const ROOT = path.resolve(import.meta.dirname, '../..')
export const LINTER_FILE = path.join(ROOT, '.oxlintrc.json')
export const MAP_FILE = path.join(ROOT, 'src/README.md')

export interface Row {
  readonly name: string
  readonly is: string
  /** The file to open first, below src/. */
  readonly first?: string
  /** Rows that it may import besides lib and itself, or single files of them (`ruleset/names`). */
  readonly imports: 'all' | readonly string[]
  /** No I/O, no async, no clock, no randomness. */
  readonly pure: boolean
}

/** Files of lib that a pure folder leaves alone. */
export const IMPURE_LIB = ['lib/clock', 'lib/workers']
/** Packages that a pure folder may use: they compute only. */
export const PURE_PACKAGES = ['ipaddr.js', 'node:util', 'node:assert/strict']

export function readTable(): readonly Row[] {
  return (JSON.parse(readFileSync(path.join(ROOT, 'src/imports.json'), 'utf8')) as { folders: Row[] }).folders
}

/** Whether src/ has anything of it. */
export function exists(row: Row): boolean {
  return existsSync(path.join(ROOT, `src/${row.name}.ts`)) || globSync(`src/${row.name}/**/*.{ts,mjs,go}`, { cwd: ROOT }).length > 0
}

function isOneFile(name: string): boolean {
  return existsSync(path.join(ROOT, `src/${name}.ts`))
}

/**
 * The override of the linter for one row: nothing of ours but what the row allows. Patterns read as in .gitignore, the
 * last one that matches wins. Folders of src/ have no folders in them, so one `../` reaches everything.
 */
function linterOverride(row: Row): object | null {
  if (row.imports === 'all') return null
  const isFile = isOneFile(row.name)
  const up = isFile ? './' : '../'
  const allowed = ['lib', ...row.imports].map((name) => `!${up}${name}${name.includes('/') || isOneFile(name) ? '.ts' : '/**'}`)
  const impure = row.pure ? IMPURE_LIB.map((name) => `${up}${name}.ts`) : []
  const ours = { group: [`${up}**`, ...allowed, ...impure], message: `${row.name} may import ${['lib', ...row.imports].join(', ')}` }
  const nodes = { group: ['node:*', 'node:*/**', ...PURE_PACKAGES.map((name) => `!${name}`)], message: `${row.name} does no I/O` }
  const rule = { patterns: row.pure ? [ours, nodes] : [ours] }
  return { files: [isFile ? `src/${row.name}.ts` : `src/${row.name}/**`], rules: { 'no-restricted-imports': ['error', rule] } }
}

/** JSON in which whatever fits on a line stands on one. */
function compact(value: unknown, indent = ''): string {
  const flat = JSON.stringify(value)
  if (typeof value !== 'object' || value === null || flat.length + indent.length <= 120) return flat
  const inner = `${indent}  `
  const isList = Array.isArray(value)
  const parts = isList
    ? value.map((item) => `${inner}${compact(item, inner)}`)
    : Object.entries(value).map(([key, item]) => `${inner}${JSON.stringify(key)}: ${compact(item, inner)}`)
  return `${isList ? '[' : '{'}\n${parts.join(',\n')}\n${indent}${isList ? ']' : '}'}`
}

interface LinterConfig {
  readonly overrides: readonly { readonly files: readonly string[]; readonly rules?: Readonly<Record<string, unknown>> }[]
}

/** The linter's file as it should be: what was written by hand stays, the overrides for imports are made anew. */
export function linterText(current: string, rows: readonly Row[]): string {
  const config = JSON.parse(current) as LinterConfig
  const byHand = config.overrides.filter((override) => !('no-restricted-imports' in (override.rules ?? {})))
  const made = rows.map(linterOverride).filter((override) => override !== null)
  return `${compact({ ...config, overrides: [...byHand, ...made] })}\n`
}

const BEGIN = '<!-- from imports.json, by `npm run generate` -->'
const END = '<!-- end -->'

/** The map with its table made anew: one line for each row that exists. */
export function mapText(current: string, rows: readonly Row[]): string {
  const [before, rest] = current.split(BEGIN)
  const after = rest?.split(END)[1]
  if (before === undefined || after === undefined) throw new Error(`src/README.md has lost its marks: ${BEGIN} and ${END}`)
  const lines = rows.filter(exists).map((row) => {
    const isFile = isOneFile(row.name)
    const title = isFile ? `${row.name}.ts` : `${row.name}/`
    const imports = row.imports === 'all' ? 'everything' : row.imports.join(', ') || 'nothing'
    const first = row.first === undefined ? '' : `[${row.first}](${row.first})`
    return `| ${title} | ${row.is} | ${first} | ${imports} | ${row.pure ? 'yes' : ''} |`
  })
  const head = '| | what it is | open first | may import, besides lib | pure |\n|---|---|---|---|---|'
  return `${before}${BEGIN}\n${head}\n${lines.join('\n')}\n${END}${after}`
}
