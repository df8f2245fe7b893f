// The machinery behind the test commands: sums, samples, .ci/run's arithmetic, and what a fresh clone lacks.
//
// **Invariant:** nothing here installs anything: incomplete trees are made up in a temporary folder.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { attachments, pick, SAMPLE_PARTS, sampled } from '../support/sample.ts'
import { judge, type Part } from '../support/summary.ts'
import { ROOT } from './table.ts'

let folder: string
beforeEach(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'picket-tidy-'))))
afterEach(() => rmSync(folder, { recursive: true }))

describe('samples', () => {
  const ids = Array.from({ length: 47 }, (_, index) => `case-${index}`)
  it('hold what belongs to each of them, and a tenth of the rest, in order', () => {
    const picked = pick(ids, ['case-3', 'case-40'], 5)
    assert.ok(picked.includes('case-3') && picked.includes('case-40'))
    assert.ok(picked.length >= 2 + 4 && picked.length <= 2 + 5)
    assert.deepEqual(picked, ids.filter((id) => picked.includes(id)))
  })
  it('cover everything in ten seeds in a row', () => {
    const seen = new Set(Array.from({ length: SAMPLE_PARTS }, (_, seed) => pick(ids, [], 1000 + seed)).flat())
    assert.equal(seen.size, ids.length)
  })
  it('take one attachment for as many seeds as cover everything, then the other one', () => {
    const env = process.env
    const { PICKET_TEST_SEED: _, PICKET_TEST_WHOLE: __, PICKET_TEST_LEFT_OUT: ___, ...rest } = env
    try {
      process.env = { ...rest, PICKET_TEST_SEED: '7' }
      assert.deepEqual(attachments(), ['veth'])
      process.env['PICKET_TEST_SEED'] = String(7 + SAMPLE_PARTS)
      assert.deepEqual(attachments(), ['bridge'])
      process.env['PICKET_TEST_WHOLE'] = '1'
      assert.deepEqual(attachments(), ['veth', 'bridge'])
    } finally {
      process.env = env
    }
  })
  it('refuse an id that does not exist', () => assert.throws(() => sampled(ids, { every: ['case-99'] }), /no such ids: case-99/))
})

describe('sums', () => {
  const part: Part = { title: 'x', program: 'x', args: [], counts: 'tests', limit: 1 }
  const well = { status: 0, reason: null }
  it('take what the reporter counted', () => {
    assert.deepEqual(judge(part, well, '{"passed":3,"failed":0}'), { passed: 3, failed: 0, fault: null })
    assert.deepEqual(judge(part, { status: 2, reason: null }, '{"passed":3,"failed":2}'), { passed: 3, failed: 2, fault: null })
  })
  it('count a crash, a kill and a silent failure as failures', () => {
    assert.deepEqual(judge(part, well, ''), { passed: 0, failed: 1, fault: 'ended with status 0 before its last test' })
    assert.deepEqual(judge(part, { status: null, reason: 'killed' }, '{"passed":3,"failed":0}'), { passed: 3, failed: 1, fault: 'killed' })
    assert.deepEqual(judge(part, { status: 1, reason: null }, '{"passed":3,"failed":0}'), { passed: 3, failed: 1, fault: 'ended with status 1' })
  })
  it('count a tool as one', () => {
    assert.deepEqual(judge({ ...part, counts: 'tool' }, well, ''), { passed: 1, failed: 0, fault: null })
    assert.deepEqual(judge({ ...part, counts: 'tool' }, { status: 1, reason: null }, ''), { passed: 0, failed: 1, fault: null })
  })
})

describe('.ci/run', () => {
  /** Runs it over an `npm` that prints what `lines` says, and ends with `status`. */
  function run(line: string, status: number): { readonly last: string | undefined; readonly status: number | null } {
    mkdirSync(path.join(folder, '.ci'))
    mkdirSync(path.join(folder, 'bin'))
    mkdirSync(path.join(folder, 'node_modules/.bin'), { recursive: true })
    cpSync(path.join(ROOT, '.ci/run'), path.join(folder, '.ci/run'))
    const npm = path.join(folder, 'bin/npm')
    writeFileSync(npm, `#!/bin/sh\n[ "$2" = -s ] && exit 0\necho '${line}'\nexit ${status}\n`)
    writeFileSync(path.join(folder, 'node_modules/.bin/node'), '#!/bin/sh\nexit 0\n')
    for (const file of [npm, path.join(folder, 'node_modules/.bin/node')]) chmodSync(file, 0o755)
    const env = { ...process.env, PATH: `${path.join(folder, 'bin')}:${process.env['PATH']}` }
    const ran = spawnSync(path.join(folder, '.ci/run'), { encoding: 'utf8', env })
    return { last: ran.stdout.trimEnd().split('\n').at(-1), status: ran.status }
  }
  it('adds up', () => assert.deepEqual(run('7 passed, 0 failed', 0), { last: '30 passed, 0 failed', status: 0 }))
  it('fails where something failed', () => assert.deepEqual(run('7 passed, 2 failed', 1), { last: '30 passed, 8 failed', status: 1 }))
  it('counts a command that says nothing as a failure', () => assert.deepEqual(run('Killed', 137), { last: '2 passed, 4 failed', status: 1 }))
  it('does not believe a good line of a command that failed', () => {
    assert.deepEqual(run('7 passed, 0 failed', 3), { last: '30 passed, 4 failed', status: 1 })
  })
})

describe('the bootstrap', () => {
  /** What packages.mjs says of a tree with this lock file and, unless null, this list of installed packages. */
  function missing(lock: object, installed: object | null, there: readonly string[]): string {
    writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify({ packages: lock }))
    mkdirSync(path.join(folder, 'node_modules'), { recursive: true })
    if (installed !== null) writeFileSync(path.join(folder, 'node_modules/.package-lock.json'), JSON.stringify({ packages: installed }))
    for (const name of there) {
      mkdirSync(path.join(folder, 'node_modules', name), { recursive: true })
      writeFileSync(path.join(folder, 'node_modules', name, 'package.json'), '{}')
    }
    return missingIn(folder)
  }
  function missingIn(tree: string): string {
    const ask = `import { packagesMissing } from '${path.join(ROOT, 'src/bootstrap/packages.mjs')}'; console.log(packagesMissing('${tree}'))`
    return spawnSync(process.execPath, ['--input-type=module', '-e', ask], { encoding: 'utf8' }).stdout.trim()
  }
  const a = { version: '1.0.0', integrity: 'x' }
  it('is content where everything is in place', () => assert.equal(missing({ '': {}, 'node_modules/a': a }, { 'node_modules/a': a }, ['a']), 'null'))
  it('notices an interrupted installation', () => assert.equal(missing({ 'node_modules/a': a }, null, ['a']), 'node_modules is incomplete'))
  it('notices a package that is gone', () => assert.equal(missing({ 'node_modules/a': a }, { 'node_modules/a': a }, []), 'node_modules/a is missing'))
  it('notices a package of another version', () => {
    assert.equal(missing({ 'node_modules/a': a }, { 'node_modules/a': { ...a, version: '0.9.0' } }, ['a']), 'node_modules/a is not 1.0.0')
  })
  it('notices an optional package of this machine that npm skipped, and wants none of other machines', () => {
    const here = { ...a, optional: true, os: [process.platform], cpu: [process.arch] }
    assert.equal(missing({ 'node_modules/a': here }, {}, []), 'node_modules/a is missing')
    assert.equal(missing({ 'node_modules/a': { ...here, os: ['win32'] } }, {}, []), 'null')
    assert.equal(missing({ 'node_modules/a': { ...here, cpu: [`!${process.arch}`] } }, {}, []), 'null')
  })
  it('writes nothing where everything is in place, and hands status and output on', () => {
    assert.equal(missingIn(ROOT), 'null', 'run this through npm run check')
    const run = path.join(ROOT, 'src/bootstrap/run.mjs')
    const good = spawnSync(process.execPath, [run, 'src/main.ts', '--version'], { encoding: 'utf8' })
    const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string }
    assert.deepEqual([good.status, good.stdout, good.stderr], [0, `${version}\n`, ''])
    const bad = spawnSync(process.execPath, [run, 'src/main.ts', 'nope'], { encoding: 'utf8' })
    assert.equal(bad.status, 2)
  })
})
