// `picket lab run` on files that need no packets: exit status, lines of JSON, what people read.
//
// **Invariant:** the real program; no root, no namespaces.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const MAIN = path.resolve(import.meta.dirname, '../../../src/main.ts')

describe('picket lab run, topology', function () {
  this.timeout(20_000)
  const dir = mkdtempSync(path.join(os.tmpdir(), 'picket-lab-test-'))
  const file = path.join(dir, 'topology.json')
  after(() => rmSync(dir, { recursive: true }))

  function run(content: unknown, ...args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
    return spawnSync(process.execPath, [MAIN, 'lab', 'run', file, ...args], { encoding: 'utf8' })
  }

  const endpoints = [{ ep: '[fd00::1]:80', local: true }, { ep: '[fd00::2]:80' }]
  const service = { itpL: false, etpL: true, ext: true }
  const good = { name: 'one', service, endpoints, cluster: ['[fd00::2]:80', '[fd00::1]:80'], local: ['[fd00::1]:80'], hasAny: true }

  it('a line of JSON a case, and 0 where all is as expected', () => {
    const { status, stdout, stderr } = run({ topology: [good, { endpoints: [] }] }, '--output', 'json')
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    assert.deepEqual(stdout.trim().split('\n').map((line) => JSON.parse(line) as unknown), [
      { topology: 0, cluster: ['[fd00::1]:80', '[fd00::2]:80'], local: ['[fd00::1]:80'], all: ['[fd00::1]:80', '[fd00::2]:80'], hasAny: true },
      { topology: 1, cluster: [], local: null, all: [], hasAny: false },
    ])
  })

  it('1 for a mismatch, named', () => {
    const { status, stdout } = run({ topology: [{ ...good, hasAny: false }] })
    assert.equal(status, 1)
    assert.match(stdout, /^topology 0 +MISMATCH one\n +hasAny: expected false, found true\n\n0 of 1 topology case as expected; /)
  })

  it('2 for a file that cannot be used, before anything is started', () => {
    const { status, stdout, stderr } = run('{"topology": [{"endpoints": 1}]}')
    assert.deepEqual({ status, stdout }, { status: 2, stdout: '' })
    assert.match(stderr, /^picket: .*topology\.json: topology\[0\]\.endpoints: expected a list, found 1; nothing was started\n$/)
  })
})
