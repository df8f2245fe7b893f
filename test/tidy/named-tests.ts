// Tests that a page names, `[words](test/FILE.test.ts): "words of the title"`, and which of them do not exist.
//
// **Invariant:** a title is what stands in `it(...)`, or is the key of a table of tests; comments and other strings are none.
import { parseSource } from './source.ts'

export interface NamedTest {
  readonly file: string
  readonly title: string
}

export function namedTests(page: string): readonly NamedTest[] {
  return [...page.matchAll(/\]\((test\/[^)]+)\):\s+"([^"]+)"/g)].map((match) => ({ file: match[1] as string, title: match[2] as string }))
}

/** `read` throws where there is no such file. */
export function missingTests(tests: readonly NamedTest[], read: (file: string) => string): readonly string[] {
  const titles = new Map<string, readonly string[]>()
  return tests.flatMap(({ file, title }) => {
    const known = titles.get(file) ?? titlesOf(file, read)
    titles.set(file, known)
    return known.some((one) => one.includes(title)) ? [] : [`${file}: no test "${title}"`]
  })
}

function titlesOf(file: string, read: (file: string) => string): readonly string[] {
  try {
    const { uncommented } = parseSource(file, read(file))
    const titles = uncommented.matchAll(/(?:\bit\(\s*|^\s*)(?:'((?:\\.|[^'\\\n])*)'|`([^`]*)`)(?=\s*(?:,|: ))/gm)
    return [...titles].map((match) => (match[1] ?? match[2] ?? '').replaceAll("\\'", "'"))
  } catch {
    return []
  }
}
