// resourceVersions that travel from the sources through turns to commits.
import assert from 'node:assert/strict'
import { Watermarks } from '../../../src/agent/watermarks.ts'

describe('watermarks', () => {
  let said: Record<string, string> = {}
  let marks: Watermarks
  beforeEach(() => {
    said = {}
    marks = new Watermarks(() => said)
  })
  const turn = (revision: number, versions: Record<string, string>): void => {
    said = versions
    marks.drained(revision)
  }

  it('are observed when their revision is held, and no later one', () => {
    turn(1, { pods: '10' })
    turn(2, { pods: '20' })
    assert.deepEqual(marks.observed, {})
    said = { pods: '99' }
    marks.held(1)
    assert.deepEqual(marks.observed, { pods: '10' }, 'what is said later did not go through the turn')
    marks.held(2)
    assert.deepEqual(marks.observed, { pods: '20' })
    marks.held(2)
    assert.deepEqual(marks.observed, { pods: '20' })
  })

  it('a turn that changes nothing is held with the revision of the one before', () => {
    turn(1, { pods: '10' })
    marks.held(1)
    turn(1, { pods: '11' })
    turn(1, { pods: '12' })
    marks.held(1)
    assert.deepEqual(marks.observed, { pods: '12' })
  })

  it('a resource that is being listed anew keeps its own; after the list it may go down', () => {
    turn(1, { pods: '900', nodes: '900' })
    marks.held(1)
    turn(2, { nodes: '901' })
    marks.held(2)
    assert.deepEqual(marks.observed, { pods: '900', nodes: '901' })
    turn(3, { pods: '5', nodes: '901' })
    marks.held(3)
    assert.deepEqual(marks.observed, { pods: '5', nodes: '901' })
  })

  it('are bounded while the kernel holds nothing, and never too new', () => {
    for (let revision = 1; revision <= 10_000; revision++) turn(revision, { pods: String(revision) })
    for (const held of [1, 777, 5_000, 9_999, 10_000]) {
      marks.held(held)
      assert.ok(Number(marks.observed['pods'] ?? 0) <= held, `${held}: ${JSON.stringify(marks.observed)}`)
    }
    assert.deepEqual(marks.observed, { pods: '10000' })
  })

  it('the newest is never left out', () => {
    for (const count of [1_023, 1_024, 1_025, 1_026, 1_537, 1_538, 3_000]) {
      marks = new Watermarks(() => said)
      for (let revision = 1; revision <= count; revision++) turn(revision, { pods: String(revision) })
      marks.held(count)
      assert.deepEqual(marks.observed, { pods: String(count) })
    }
  })
})
