// The rules of the house, applied to src/, and shown to find what they are for.
//
// **Invariant:** each rule has a case here that breaks it, so that none of them can pass by finding nothing.
import assert from 'node:assert/strict'
import { circles, environmentFaults, importFaults, purityFaults, rowOf, shapeFaults } from './rules.ts'
import { importsOf, parseSource, sourcesOf } from './source.ts'
import { readTable } from './table.ts'

const rows = readTable()
const sources = sourcesOf('src/**/*.ts')
const at = (path: string, text: string) => parseSource(path, text)

describe('the tree', () => {
  it('is there', () => assert.ok(sources.length > 20))
  it('imports only what src/imports.json allows', () => assert.deepEqual(sources.flatMap((source) => importFaults(source, rows)), []))
  it('has no circle of imports', () => assert.deepEqual(circles(sources), []))
  it('keeps I/O, clocks, randomness and promises out of the pure folders', () => {
    assert.deepEqual(sources.flatMap((source) => purityFaults(source, rows)), [])
  })
  it('reads the environment and the arguments in config.ts only', () => assert.deepEqual(sources.flatMap(environmentFaults), []))
  it('has short files, each with a header and one invariant', () => {
    const all = [...sources, ...sourcesOf('src/**/*.mjs')]
    assert.deepEqual(all.flatMap(shapeFaults), [])
  })
  it('has pure folders that import pure folders only', () => {
    const pure = rows.filter((row) => row.pure)
    const bad = pure.flatMap((row) => [row.imports].flat().filter((name) => !pure.some((one) => one.name === name)).map((name) => `${row.name} -> ${name}`))
    assert.deepEqual(bad, [])
  })
  it('has a table without circles', () => {
    const after = (name: string, seen: readonly string[]): readonly string[] => {
      if (seen.includes(name)) return [[...seen, name].join(' -> ')]
      const imports = rows.find((row) => row.name === name.split('/')[0])?.imports ?? []
      return imports === 'all' ? [] : imports.flatMap((next) => after(next, [...seen, name]))
    }
    assert.deepEqual(rows.flatMap((row) => after(row.name, [])), [])
  })
})

describe('the rules of the house', () => {
  it('see an import that the table does not allow, in any form', () => {
    for (const text of ["import { a } from '../policy/plan.ts'", "import type { A } from '../policy/plan.ts'", "export * from '../policy/plan.ts'"]) {
      assert.equal(importFaults(at('src/nft/x.ts', text), rows).length, 1, text)
    }
    assert.equal(importFaults(at('src/nft/x.ts', "const a = import('../policy/plan.ts')"), rows).length, 1)
    assert.equal(importFaults(at('src/nft/deep/x.ts', "import {\n  a,\n} from '../../config.ts'"), rows).length, 1)
    assert.deepEqual(importFaults(at('src/nft/x.ts', "import { a } from './y.ts'\nimport { b } from '../lib/b.ts'"), rows), [])
    assert.equal(importFaults(at('src/nowhere/x.ts', ''), rows).length, 1)
  })
  it('allow a single file of a folder where the table names it', () => {
    assert.deepEqual(importFaults(at('src/audit/x.ts', "import { a } from '../ruleset/names.ts'"), rows), [])
    assert.equal(importFaults(at('src/audit/x.ts', "import { a } from '../ruleset/pods.ts'"), rows).length, 1)
  })
  it('see what is not pure', () => {
    const impure = ['async function f() {}', 'const a = await b', 'Promise.resolve()', 'Date.now()', 'new Date()', 'performance.now()', 'Math.random()']
      .concat(['setTimeout(f, 1)', 'process.exit()', "import fs from 'node:fs'", "import { systemClock } from '../lib/clock.ts'", 'const f = async () => {}'])
      .concat(['const t = `${await f()}`', "import { randomBytes } from 'node:crypto'", "import pino from 'pino'", 'crypto.randomUUID()'])
    for (const text of impure) assert.notDeepEqual(purityFaults(at('src/nft/x.ts', text), rows), [], text)
    for (const text of impure) assert.deepEqual(purityFaults(at('src/kernel/x.ts', text), rows), [], text)
  })
  it('are not fooled by comments, strings and names', () => {
    const pure = ['// await Date.now()', '/* Promise */', "const a = 'await Math.random()'", 'const a = `Date.now()`', 'const a = /await/', 'const awaited = 1', 'a.process()']
    for (const text of pure) assert.deepEqual(purityFaults(at('src/nft/x.ts', text), rows), [], text)
  })
  it('see the environment read outside config.ts', () => {
    assert.equal(environmentFaults(at('src/lab/x.ts', 'const a = process.env.HOME')).length, 1)
    assert.equal(environmentFaults(at('src/lab/x.ts', "import { env } from 'node:process'")).length, 1)
    assert.deepEqual(environmentFaults(at('src/lab/x.ts', 'spawn(a, { env: { ...process.env, LC_ALL } })')), [])
    assert.deepEqual(environmentFaults(at('src/config.ts', 'const a = process.env.HOME')), [])
  })
  it('see files that are too long, and headers that are missing, too long or without invariant', () => {
    const header = '// One.\n// Two.\n// **Invariant:** three.\n'
    assert.deepEqual(shapeFaults(at('src/lib/x.ts', `${header}export const a = 1\n`)), [])
    assert.equal(shapeFaults(at('src/lib/x.ts', `${header}${'a\n'.repeat(298)}`)).length, 1)
    assert.equal(shapeFaults(at('src/lib/x.ts', 'export const a = 1\n')).length, 2)
    assert.equal(shapeFaults(at('src/lib/x.ts', `${'// more\n'.repeat(9)}${header}`)).length, 1)
    assert.equal(shapeFaults(at('src/lib/x.ts', '// One.\n// Two.\n// Three.\n')).length, 1)
  })
  it('see a circle, and leave type imports alone', () => {
    const a = at('src/lib/a.ts', "import { b } from './b.ts'")
    assert.equal(circles([a, at('src/lib/b.ts', "import { a } from './a.ts'")]).length, 1)
    assert.deepEqual(circles([a, at('src/lib/b.ts', "import type { A } from './a.ts'")]), [])
  })
  it('read code behind regular expressions and templates', () => {
    const source = at('src/lib/x.ts', "const r = /'[/']/\nconst t = `a ${f(`b ${'}'}`)} '`\nimport { x } from './y.ts'\nconst d = a / b / c // '\n")
    assert.deepEqual(importsOf(source).map((one) => one.target), ['src/lib/y.ts'])
    assert.match(source.code, /const d = a \/ b \/ c/)
    assert.equal(source.code.split('\n').length, source.text.split('\n').length)
  })
  it('know the row of a file and of a folder', () => {
    assert.equal(rowOf('src/config.ts', rows)?.name, 'config')
    assert.equal(rowOf('src/nft/objects.ts', rows)?.name, 'nft')
    assert.equal(rowOf('src/nothing.ts', rows), undefined)
  })
})
