// Lines of several calls in one batch: which text they make, and whose a failure is.
//
// **Invariant:** no process is started.
import assert from 'node:assert/strict'
import { type IpLine, parseFailures, renderBatch } from '../../../src/lab/ip-batch.ts'

const run = (text: string, mayFail = false): IpLine => ({ kind: 'run', text, mayFail })
const remove = (name: string): IpLine => ({ kind: 'delete-link', name })

describe('ip batches', () => {
  it('delete neighbouring links together, before what comes after them', () => {
    const texts = renderBatch([[remove('a')], [remove('b')], [run('link add a'), remove('c')]]).map((line) => line.text)
    assert.deepEqual(texts, [
      'link set dev a group 7061',
      'link set dev b group 7061',
      'link delete group 7061',
      'link add a',
      'link set dev c group 7061',
      'link delete group 7061',
    ])
  })

  it('a failure is that of the call whose line it was', () => {
    const rendered = renderBatch([[run('one')], [run('two'), run('three')], [run('four')]])
    const failures = parseFailures('Object "two" is unknown\nCommand failed -:2\nno such thing\nCommand failed -:3\n', rendered)
    assert.deepEqual([...failures], [[1, 'two: Object "two" is unknown']])
  })

  it('a line that may fail fails nobody, and its words are not blamed on the next', () => {
    const rendered = renderBatch([[run('gone', true)], [run('wrong')]])
    const failures = parseFailures('Cannot find it\nCommand failed -:1\nBad\nCommand failed -:2\n', rendered)
    assert.deepEqual([...failures], [[1, 'wrong: Bad']])
  })
})
