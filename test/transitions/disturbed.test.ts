// Each story, told in some of all ways, while commits are refused, answers and agents are lost, and others change the table.
//
// **Invariant:** what goes wrong follows from the printed seed, and everything that can go wrong did at least once.
import assert from 'node:assert/strict'
import { walkDisturbed } from '../support/disturbed-tale.ts'
import { EXPANDERS, FLUSHES, type Expander } from '../support/expanders.ts'
import { FAULTS } from '../support/faulty-kernel.ts'
import { report, SEED } from '../support/runs.ts'
import { statesOf } from '../support/states.ts'
import { STORIES } from './stories.ts'

const EVERY = 40
/** Of the ways of telling, for each story; which ones moves with the seed. */
const WAYS = 2

describe('transitions: disturbed stories (rules 101, 105, 107, 108)', () => {
  let checks = 0
  const went = new Map<string, number>()
  after(() => report('disturbed stories', checks))

  for (const [number, story] of STORIES.entries()) {
    it(story.title, async function () {
      this.timeout(0)
      const states = statesOf(story.start, story.changes)
      for (let way = 0; way < WAYS; way++) {
        const salt = (SEED + 3 * number + 4 * way) % EXPANDERS.length
        const expander = EXPANDERS[salt] as Expander
        const flush = FLUSHES[(number + salt + SEED) % 2] ?? 'after each step'
        const seed = SEED + 100 * number + salt
        try {
          const walked = await walkDisturbed(expander.expand(states, 'n1'), 'n1', flush, seed, EVERY)
          checks += walked.checks
          for (const [what, count] of walked.went) went.set(what, (went.get(what) ?? 0) + count)
        } catch (error) {
          if (error instanceof Error) error.message = `${expander.title}, flushed ${flush}, seed ${SEED}: ${error.message}`
          throw error
        }
      }
    })
  }

  it('all that can go wrong went wrong', () => {
    assert.deepEqual([...went.keys()].sort(), [...FAULTS, 'changed by somebody else', 'refused content', 'restarted'].sort())
  })
})
