// The map (src/README.md), the linter's file and the README: true, complete, and made from the same table.
//
// **Invariant:** every folder of src/ has a row, and every path that a page names exists.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { METRICS_FILE, metricsText } from './metrics-page.ts'
import { SETTINGS_FILE, settingsText } from './settings-page.ts'
import { exists, LINTER_FILE, linterText, MAP_FILE, mapText, readTable, ROOT } from './table.ts'

const rows = readTable()
const map = readFileSync(MAP_FILE, 'utf8')
const linter = readFileSync(LINTER_FILE, 'utf8')
const GENERATE = 'run: npm run generate'

/** Names below src/ that are not code. */
const NOT_CODE = ['README.md', 'imports.json', 'decisions']

/** Targets of the links of a page, pages elsewhere left out. */
function linksOf(text: string): readonly string[] {
  return [...text.matchAll(/\]\(([^)#]+)[^)]*\)/g)].map((match) => match[1] as string).filter((link) => !link.includes('://'))
}

function missingLinks(page: string): readonly string[] {
  const file = path.join(ROOT, page)
  return linksOf(readFileSync(file, 'utf8')).filter((link) => !existsSync(path.resolve(path.dirname(file), link)))
}

describe('the map', () => {
  it('is what src/imports.json makes of it', () => assert.equal(mapText(map, rows), map, GENERATE))
  it('has a row for every folder and file of src/', () => {
    const names = readdirSync(path.join(ROOT, 'src')).filter((name) => !NOT_CODE.includes(name))
    const unknown = names.map((name) => name.replace(/\.ts$/, '')).filter((name) => !rows.some((row) => row.name === name))
    assert.deepEqual(unknown, [], 'add a row to src/imports.json')
  })
  it('names nothing that does not exist', () => {
    assert.deepEqual(missingLinks('src/README.md'), [])
    for (const page of ['README.md', ...readdirSync(path.join(ROOT, 'deploy/docs')).map((name) => `deploy/docs/${name}`)]) assert.deepEqual(missingLinks(page), [], page)
    const named = rows.filter(exists).flatMap((row) => row.first ?? [])
    assert.deepEqual(named.filter((file) => !existsSync(path.join(ROOT, 'src', file))), [])
  })
  it('has the settings as the agent has them', () => {
    const page = readFileSync(path.join(ROOT, SETTINGS_FILE), 'utf8')
    assert.equal(settingsText(page), page, GENERATE)
  })
  it('has the metrics as the agent has them', () => {
    const page = readFileSync(path.join(ROOT, METRICS_FILE), 'utf8')
    assert.equal(metricsText(page), page, GENERATE)
  })
  it('names tests that exist', () => {
    const folders = [...map.matchAll(/`(test\/[\w/.-]+)`/g)].map((match) => match[1] as string)
    assert.ok(folders.length > 0)
    assert.deepEqual(folders.filter((folder) => !existsSync(path.join(ROOT, folder))), [])
  })
  it('lists rows that only name rows, or files of rows', () => {
    const names = new Set(rows.map((row) => row.name))
    const unknown = rows.flatMap((row) => (row.imports === 'all' ? [] : row.imports)).filter((name) => !names.has(name.split('/')[0] as string))
    assert.deepEqual(unknown, [])
    assert.equal(names.size, rows.length)
  })
})

describe('the linter', () => {
  it('has the rules for imports that src/imports.json makes', () => assert.equal(linterText(linter, rows), linter, GENERATE))
  it('notices an edit by hand of those rules', () => {
    const edited = linter.replace('"!../lib/**"', '"!../lib/**","!../policy/**"')
    assert.notEqual(edited, linter)
    assert.equal(linterText(edited, rows), linter)
  })
  it('looks for circles, floating promises, long files and long functions', () => {
    const { rules, overrides } = JSON.parse(linter) as { rules: Record<string, unknown>; overrides: { files: string[]; rules: Record<string, unknown> }[] }
    for (const rule of ['import/no-cycle', 'typescript/no-floating-promises', 'typescript/no-misused-promises', 'no-unused-vars']) {
      assert.equal(rules[rule], 'error', rule)
    }
    const source = overrides.find((override) => override.files.includes('src/**/*.ts'))
    assert.deepEqual(source?.rules['max-lines'], ['error', { max: 300 }])
    assert.deepEqual(source?.rules['max-lines-per-function'], ['error', { max: 70 }])
  })
})

describe('the README', () => {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8')
  const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  it('names only commands that package.json has', () => {
    const named = [...`${readme}${map}`.matchAll(/\bnpm (?:run (?:-s )?([a-z:]+)|(test)\b)/g)].map((match) => (match[1] ?? match[2]) as string)
    assert.ok(named.includes('demo') && named.includes('test'))
    assert.deepEqual(named.filter((name) => scripts[name] === undefined), [])
  })
  it('has scripts whose files exist', () => {
    const files = Object.values(scripts).flatMap((script) => script.split(' ').filter((word) => word.includes('/')))
    assert.deepEqual(files.filter((file) => !existsSync(path.join(ROOT, file))), [])
  })
})
