// README's promises: each footnote names a test by its file and words of its title, and that test is there.
//
// **Invariant:** every sentence about changes, restarts and crashes has a footnote.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from './table.ts'

describe('promises', () => {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8')
  const section = readme.split('## During changes, restarts and crashes')[1]?.split('\n## ')[0] ?? ''
  const notes = [...section.matchAll(/^\[\^(\d+)\]: `([^`]+)`: "([^"]+)"$/gm)].map(([, number, file, words]) => ({ number, file: file as string, words: words as string }))

  it('each is kept by a test that exists', () => {
    assert.ok(notes.length > 0)
    for (const { file, words } of notes) assert.ok(readFileSync(path.join(ROOT, file), 'utf8').includes(words), `${file}: no test is called "${words}"`)
  })
  it('each sentence has its note, and each note its sentence', () => {
    const text = section.split('\n[^1]:')[0] ?? ''
    const used = [...text.matchAll(/\[\^(\d+)\]/g)].map(([, number]) => number)
    assert.deepEqual(used, notes.map(({ number }) => number))
    for (const sentence of text.trim().split(/\.\s/)) assert.match(sentence, /\[\^\d+\]/)
  })
})
