// What people and programs are shown: cases, matrices, ports.
import assert from 'node:assert/strict'
import { matrixCsv, matrixTable } from '../../../src/cli/lab-ask.ts'
import { caseLine, mismatchTables, summaryOf } from '../../../src/cli/lab-case-report.ts'
import { planMatrix, type Somebody } from '../../../src/lab/matrix.ts'
import { parsePort, parseProbeName, portText, probeName } from '../../../src/lab/probe-name.ts'
import type { CaseRun } from '../../../src/lab/run-cases.ts'
import type { ProbeResult } from '../../../src/lab/testbed.ts'

const step = { actions: [], pods: ['a/x', 'a/y'], expect: new Map([['v4 80/TCP', ['10', '11']], ['v6 80/TCP', ['10', '11']]]) }
const of = { id: 'g1', title: 'something', namespaces: new Map(), pods: [], steps: [step] }

function runOf(rows: readonly string[], mismatches: CaseRun['result']['mismatches']): CaseRun {
  return { of, step, problems: [], result: { case: 'g1', step: 0, observed: { 'v4 80/TCP': rows, 'v6 80/TCP': rows }, mismatches, settle_ms: 20, probe_ms: 700 } }
}

const GOOD = runOf(['10', '11'], [])
const BAD = runOf(['11', '11'], ['v4 80/TCP', 'v6 80/TCP'].map((probe) => ({ from: 'a/x', to: 'a/y', probe, expected: '0', observed: '1' })))

describe('what the lab shows', () => {
  it('a line a case, and nothing more where all is as expected', () => {
    assert.equal(caseLine([GOOD], 3, 112), '[  3/112] ok       g1     something (settle 20 ms, probe 700 ms)')
    assert.deepEqual(mismatchTables(GOOD), [])
  })

  it('marks the wrong cells, equal matrices once', () => {
    assert.match(caseLine([BAD], 1, 1), /^\[1\/1\] MISMATCH g1/)
    const [table, ...others] = mismatchTables(BAD)
    assert.equal(others.length, 0)
    assert.match(table ?? '', /step 0, v4 80\/TCP, v6 80\/TCP: 1 of 4 cells are not as expected/)
    assert.match(table ?? '', /^ +1 a\/x +1 +1!$/m)
    assert.match(table ?? '', /^ +2 a\/y +1 +1$/m)
  })

  it('says why a step is unusable', () => {
    const unusable: CaseRun = { ...GOOD, result: { case: 'g1', step: 0, unusable: 'no luck', mismatches: [], settle_ms: 1, probe_ms: 0 } }
    assert.match(caseLine([unusable], 1, 1), /unusable g1[^\n]*\n +step 0: no luck/)
    assert.match(summaryOf([unusable, BAD], 1_500), /^0 of 1 cases as expected, 2 mismatches, 1 unusable steps; 8 probes in 2 steps, 1\.5 s/)
  })

  it('names probes and ports in one form each', () => {
    for (const name of ['v4 80/TCP', 'v6 65535/SCTP', 'v4 1/UDP']) assert.equal(probeName(parseProbeName(name) ?? assert.fail(name)), name)
    for (const name of ['v4 0/TCP', 'v4 65536/TCP', 'v5 1/TCP', 'v4 1/tcp', 'v4  1/TCP', '']) assert.equal(parseProbeName(name), null)
    assert.equal(portText(parsePort('53/UDP')), '53/udp')
    assert.deepEqual(parsePort('80'), { protocol: 'TCP', port: 80 })
    for (const text of ['0', '80/icmp', '/tcp', 'http', '70000/tcp']) assert.throws(() => parsePort(text), /expected PORT\/PROTOCOL/)
  })

  it('a matrix: asks what both have in common, and says which family is missing', () => {
    const pod = (name: string, addresses: readonly string[], port: number): Somebody => ({
      label: `a/${name}`, source: { kind: 'pod', key: `a/${name}` }, party: { key: `a/${name}`, node: 'n1' }, addresses, ports: [{ protocol: 'TCP', port }],
    })
    const both = pod('both', ['10.0.0.1', 'fd00::1'], 80)
    const old = pod('old', ['10.0.0.2'], 81)
    const plan = planMatrix([both, old], [both, old], null)
    assert.equal(plan.questions.length, 5)
    const results = plan.questions.map(({ address, to }): ProbeResult => (address === 'fd00::1' ? { kind: 'silent' } : { kind: 'answered', by: to.key, source: '10.0.0.9', at: '', ms: 1 }))
    const cells = plan.cells(results)
    assert.deepEqual(cells.map(({ from, to, port, reaches, v4, v6 }) => [from, to, port, reaches, v4, v6]), [
      ['a/both', 'a/both', '80/tcp', false, true, false],
      ['a/both', 'a/old', '81/tcp', true, true, null],
      ['a/old', 'a/both', '80/tcp', true, true, null],
      ['a/old', 'a/old', '81/tcp', true, true, null],
    ])
    assert.match(matrixTable(cells), /^1 a\/both +v4 +yes$/m)
    assert.equal(matrixCsv(cells).split('\n')[1], 'a/both,a/both,80/tcp,false,true,false')
    assert.equal(planMatrix([both], [old], { protocol: 'TCP', port: 99 }).questions.length, 0)
  })
})
