// README's promises about changes, restarts and crashes: each sentence names a test in its footnote, and that test is there.
//
// **Invariant:** a footnote is `[^N]: [words](test/FILE.test.ts): "words of the title"`.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { missingTests, namedTests } from './named-tests.ts'
import { ROOT } from './table.ts'

describe('promises', () => {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8')
  const section = readme.split('## During changes, restarts and crashes')[1]?.split('\n## ')[0] ?? ''

  it('each is kept by a test that exists', () => {
    assert.ok(namedTests(section).length > 10)
    assert.deepEqual(missingTests(namedTests(section), (file) => readFileSync(path.join(ROOT, file), 'utf8')), [])
  })
  it('each sentence has its note, and each note its test', () => {
    const text = section.split('\n[^1]:')[0] ?? ''
    const notes = [...section.matchAll(/^\[\^(\d+)\]: /gm)].map(([, number]) => number)
    assert.deepEqual([...text.matchAll(/\[\^(\d+)\]/g)].map(([, number]) => number), notes)
    assert.equal(namedTests(section).length, notes.length)
    for (const sentence of text.trim().split(/\.\s/)) assert.match(sentence, /\[\^\d+\]/)
  })
  it('would notice a test that is gone, renamed, or named in a comment only', () => {
    const text = "// rule 1: never\nit('rule 2: it\\'s so', f)\n  'rule 3: a key': async () => {},\nconst x = other('rule 4: no title')\nit(`${what}: rule 5`, f)\n"
    const missing = (title: string): number => missingTests(namedTests(`Yes ([x](test/a.test.ts): "${title}").`), () => text).length
    assert.deepEqual(["rule 2: it's so", "it's so", 'rule 3: a key', 'rule 5'].map(missing), [0, 0, 0, 0])
    assert.deepEqual(['rule 1: never', 'rule 4: no title', 'rule 6'].map(missing), [1, 1, 1])
    assert.equal(missingTests(namedTests('([x](test/a.test.ts): "b")'), () => { throw new Error('ENOENT') }).length, 1)
  })
})
