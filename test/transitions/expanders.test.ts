// The way there, not only the end: each story, told in each way, flushed at each moment, judged after each commit.
//
// **Invariant:** every combination of story, expander and flush runs; random stories come on top.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { EXPANDERS, FLUSHES } from '../support/expanders.ts'
import { changeSketch, clusterSketch } from '../support/generate.ts'
import { report, runs } from '../support/runs.ts'
import { statesOf } from '../support/states.ts'
import { walkTale } from '../support/walk-tale.ts'
import { STORIES } from './stories.ts'

const RANDOM_STORIES = 18
const EVERY = 12

describe('transitions: stories', () => {
  let checks = 0
  after(() => report('stories', checks))

  for (const story of STORIES) {
    it(story.title, function () {
      this.timeout(0)
      const states = statesOf(story.start, story.changes)
      for (const [salt, expander] of EXPANDERS.entries()) {
        for (const flush of FLUSHES) {
          const walked = told(`${expander.title}, flushed ${flush}`, () => walkTale(expander.expand(states, 'n1'), 'n1', flush, salt, EVERY))
          assert.ok(walked.commits > 0)
          checks += walked.checks
        }
      }
    })
  }
})

describe('transitions: random stories', () => {
  it('any story, told in any way, flushed at any moment', function () {
    this.timeout(0)
    let checks = 0
    const way = fc.record({ expander: fc.constantFrom(...EXPANDERS), flush: fc.constantFrom(...FLUSHES), node: fc.constantFrom('n1', 'n2') })
    fc.assert(
      fc.property(clusterSketch, fc.array(changeSketch, { minLength: 1, maxLength: 4 }), way, fc.nat({ max: 1000 }), (start, changes, { expander, flush, node }, salt) => {
        checks += told(`${expander.title}, flushed ${flush}`, () => walkTale(expander.expand(statesOf(start, changes), node), node, flush, salt, 15)).checks
      }),
      runs(RANDOM_STORIES),
    )
    report('random stories', checks)
  })
})

/** Says which way of telling went wrong. */
function told<T>(way: string, walk: () => T): T {
  try {
    return walk()
  } catch (error) {
    if (error instanceof Error) error.message = `${way}: ${error.message}`
    throw error
  }
}
