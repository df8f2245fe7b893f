// What no file of the repository may hold: paths of somebody's machine, hosts of package registries, tests that are
// switched off; and what the oracle and the tracer may know.
//
// **Invariant:** the oracle and the tracer share no code with what they judge.
import assert from 'node:assert/strict'
import { globSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { AFTERWARDS, CLUSTER_TESTS, OTHER_CLUSTER } from '../cluster/tests.ts'
import { importsOf, parseSource, sourcesOf, type SourceFile } from './source.ts'
import { ROOT } from './table.ts'

const SKIPPED = ['node_modules', 'dist', 'coverage', '.git']
const files = globSync(['*', '.ci/*', '.*', '{src,test,crds,deploy}/**/*'], { cwd: ROOT, exclude: (name) => SKIPPED.includes(path.basename(String(name))) })
  .filter((file) => statSync(path.join(ROOT, file)).isFile() && !file.endsWith('.log') && file !== '.git') // In a worktree it is a file, with git's own path.
  .sort()

const FOLDERS = ['home', 'root', 'work', 'farm', 'Users'].join('|')
const MACHINE_PATH = new RegExp(`(?:^|[^\\w.-])/(?:${FOLDERS})/`)
const REGISTRY = /https?:\/\/(?:registry|proxy|deb|security|files|static|repo1?)\.|registry\.npmjs/

function faultsOf(file: string, text: string): readonly string[] {
  return text.split('\n').flatMap((line, index) => {
    const found = MACHINE_PATH.exec(line)?.[0] ?? REGISTRY.exec(line)?.[0]
    return found === undefined ? [] : [`${file}:${index + 1}: ${found.trim()}`]
  })
}

describe('the repository', () => {
  it('names no folder of a machine and no package registry', () => {
    assert.ok(files.includes('package-lock.json') && files.includes('.ci/run') && files.includes('src/main.ts'))
    assert.deepEqual(files.flatMap((file) => faultsOf(file, readFileSync(path.join(ROOT, file), 'utf8'))), [])
  })
  it('would notice one', () => {
    assert.equal(faultsOf('x', `cd /${'work'}/main`).length, 1)
    assert.equal(faultsOf('x', `"/${'home'}/me"`).length, 1)
    assert.equal(faultsOf('x', `https://${'registry'}.example.org/`).length, 1)
    assert.equal(faultsOf('x', 'src/work/x.ts, docs.example.org/work/').length, 0)
  })
  it('has the licence that package.json names', () => {
    assert.match(readFileSync(path.join(ROOT, 'LICENSE'), 'utf8'), /Apache License\s+Version 2\.0/)
    assert.match(readFileSync(path.join(ROOT, 'package.json'), 'utf8'), /"license": "Apache-2.0"/)
  })
  it('has a lock file that fits package.json', () => {
    const read = (file: string) => JSON.parse(readFileSync(path.join(ROOT, file), 'utf8')) as Record<string, Record<string, unknown>>
    const locked = read('package-lock.json')['packages']?.[''] as Record<string, unknown>
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) assert.deepEqual(locked[kind], read('package.json')[kind], kind)
  })
  it('locks every package that a locked one may want, or `npm ci` refuses', () => {
    const lock = JSON.parse(readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Record<string, { optionalDependencies?: object }> }
    const wanted = Object.entries(lock.packages).flatMap(([place, entry]) =>
      Object.keys(entry.optionalDependencies ?? {}).map((name) => [`${place}/node_modules/${name}`, `node_modules/${name}`]),
    )
    assert.deepEqual(wanted.filter((places) => !places.some((place) => place in lock.packages)), [])
  })
})

const SWITCHED_OFF = /\b(?:it|describe|specify|context)\s*\.\s*(?:only|skip)\b|\bthis\s*\.\s*skip\s*\(|\bx(?:it|describe)\s*\(/

describe('the tests', () => {
  it('of the cluster are all in the list by which they run', () => {
    const files = globSync('test/cluster/*.test.ts', { cwd: ROOT }).map((file) => path.basename(file, '.test.ts'))
    assert.deepEqual([...CLUSTER_TESTS, ...OTHER_CLUSTER.tests, AFTERWARDS].map(({ name }) => name).sort(), files.sort())
  })
  it('are all switched on', () => {
    const off = sourcesOf('test/**/*.ts').filter((source) => SWITCHED_OFF.test(source.code))
    assert.deepEqual(off.map((source) => source.path), [])
    assert.ok(SWITCHED_OFF.test(parseSource('x', `it.${'only'}('a', f)`).code))
  })
})

/** Imports of a judge: types of model/, its own parts, and what says what a case is. */
function judgeFaults(source: SourceFile, own: RegExp, types = /^src\/model\//): readonly string[] {
  return importsOf(source).flatMap(({ specifier, target, typeOnly }) => {
    const allowed = target === null ? specifier.startsWith('node:assert') : own.test(target) || (typeOnly && types.test(target))
    return allowed ? [] : [`${source.path} imports ${specifier}`]
  })
}

describe('the judges', () => {
  it('test/support/summary-oracle.ts takes types from src/ and nothing else, and the arithmetic of another judge', () => {
    const [source] = sourcesOf('test/support/summary-oracle.ts')
    assert.deepEqual(judgeFaults(source as SourceFile, /^test\/support\/oracle-address\.ts$/, /^src\/(model|crd|summary)\//), [])
  })
  const judges = [
    { files: 'test/support/oracle*.ts', own: /^test\/support\/(oracle[\w-]*|manifests)\.ts$/ },
    { files: 'test/support/tracer*.ts', own: /^test\/support\/(tracer[\w-]*|oracle-address)\.ts$/ },
    { files: 'test/support/manifests.ts', own: /^test\/support\/manifests\.ts$/ },
  ]
  for (const { files: pattern, own } of judges) {
    it(`${pattern} take types from src/model and nothing else from src/`, () => {
      assert.notDeepEqual(sourcesOf(pattern), [])
      assert.deepEqual(sourcesOf(pattern).flatMap((source) => judgeFaults(source, own)), [])
    })
  }
  it('would be found out', () => {
    const own = /^test\/support\/oracle\.ts$/
    assert.equal(judgeFaults(parseSource('test/support/oracle.ts', "import { selectorMatches } from '../../src/model/labels.ts'"), own).length, 1)
    assert.equal(judgeFaults(parseSource('test/support/oracle.ts', "import type { A } from '../../src/policy/plan.ts'"), own).length, 1)
  })
})
