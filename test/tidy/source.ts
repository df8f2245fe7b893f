// Source text -> the same text without comments, and without what stands in strings; and the imports of a file.
//
// A small lexer, since a search for `await` must not find it in a sentence. **Invariant:** line numbers are kept.
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from './table.ts'

export interface SourceFile {
  /** Below the repository: `src/nft/objects.ts`. */
  readonly path: string
  readonly text: string
  /** Without comments; strings, templates and regular expressions are empty. */
  readonly code: string
  /** Without comments, with strings. */
  readonly uncommented: string
}

const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ')

/** A `/` after these begins a regular expression, after anything else it divides. */
const BEFORE_REGEX = /(?:^|[([{,;=:!&|?+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new))$/
const REGEX = /^\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/
const PLAIN = [/^\/\/[^\n]*/, /^\/\*[\s\S]*?\*\//, /^'(?:\\.|[^'\\\n])*'/, /^"(?:\\.|[^"\\\n])*"/]

/** Reads a template from its backtick; the code inside `${}` is code. Returns how far it reaches. */
function readTemplate(text: string, start: number): { readonly end: number; readonly code: string } {
  let at = start + 1
  let code = '`'
  while (at < text.length && text[at] !== '`') {
    if (text[at] === '\\') {
      code += '  '
      at += 2
    } else if (text.startsWith('${', at)) {
      const inner = readCode(text, at + 2, '}')
      code += `  ${inner.code} `
      at = inner.end + 1
    } else {
      code += blank(text[at] as string)
      at++
    }
  }
  return { end: at + 1, code: `${code}\`` }
}

/** Reads code up to an unmatched `until`, or the end. */
function readCode(text: string, start: number, until: string | null): { readonly end: number; readonly code: string; readonly uncommented: string } {
  let at = start
  let depth = 0
  let code = ''
  let uncommented = ''
  while (at < text.length) {
    const rest = text.slice(at, at + 20_000)
    const plain = PLAIN.map((pattern) => pattern.exec(rest)?.[0]).find((found) => found !== undefined)
    const regex = BEFORE_REGEX.test(code.slice(-40).trimEnd()) ? REGEX.exec(rest)?.[0] : undefined
    let piece = plain ?? regex
    if (piece !== undefined) {
      code += blank(piece)
      uncommented += piece.startsWith('//') || piece.startsWith('/*') ? blank(piece) : piece
    } else if (text[at] === '`') {
      const template = readTemplate(text, at)
      piece = text.slice(at, template.end)
      code += template.code
      uncommented += piece
    } else {
      piece = text[at] as string
      if (piece === '{') depth++
      if (piece === '}' && depth-- === 0 && until === '}') return { end: at, code, uncommented }
      code += piece
      uncommented += piece
    }
    at += piece.length
  }
  return { end: at, code, uncommented }
}

export function parseSource(file: string, text: string): SourceFile {
  const { code, uncommented } = readCode(text, 0, null)
  return { path: file, text, code, uncommented }
}

/** Every file that `pattern` finds below the repository, in order. */
export function sourcesOf(pattern: string): readonly SourceFile[] {
  return globSync(pattern, { cwd: ROOT })
    .sort()
    .map((file) => parseSource(file, readFileSync(path.join(ROOT, file), 'utf8')))
}

export interface Import {
  /** As it stands in the file. */
  readonly specifier: string
  /** Below the repository, for a relative one; null for a package. */
  readonly target: string | null
  readonly typeOnly: boolean
  /** `import('...')`: loaded when it is wanted. */
  readonly lazy: boolean
}

const IMPORTS = /\b(?:import|export)\s+(type\s+)?(?:[\w*{][^'"`;=]*?\s+from\s+)?['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]/g

export function importsOf(source: SourceFile): readonly Import[] {
  return [...source.uncommented.matchAll(IMPORTS)].map((match) => {
    const specifier = (match[2] ?? match[3]) as string
    const target = specifier.startsWith('.') ? path.posix.normalize(path.posix.join(path.posix.dirname(source.path), specifier)) : null
    return { specifier, target, typeOnly: match[1] !== undefined, lazy: match[3] !== undefined }
  })
}
