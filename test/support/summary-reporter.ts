// Mocha's reporter for `npm run check` and the kernel tests: a line for each failure and each slow test, and the totals
// as JSON in the file that PICKET_TEST_TOTALS names, where test/support/summary.ts picks them up.
//
// **Invariant:** the file is written once, after the last test: without it the run counts as crashed.
import { writeFileSync } from 'node:fs'
import Mocha from 'mocha'

const { EVENT_RUN_END, EVENT_TEST_FAIL, EVENT_TEST_PASS } = Mocha.Runner.constants
/** Tests that take longer are shown while they pass. */
const SLOW_MS = 1000

export default class SummaryReporter extends Mocha.reporters.Base {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    runner.on(EVENT_TEST_PASS, (test) => {
      if ((test.duration ?? 0) >= SLOW_MS) process.stdout.write(`  ok ${test.fullTitle()} (${((test.duration ?? 0) / 1000).toFixed(1)} s)\n`)
    })
    runner.on(EVENT_TEST_FAIL, (test, error: Error) => {
      process.stdout.write(`  FAILED ${test.fullTitle()}: ${error.message.split('\n')[0]}\n`)
    })
    runner.once(EVENT_RUN_END, () => {
      if (this.failures.length > 0) Mocha.reporters.Base.list(this.failures)
      const totals = { passed: this.stats.passes, failed: this.stats.failures + this.stats.pending }
      const file = process.env['PICKET_TEST_TOTALS']
      if (file !== undefined) writeFileSync(file, JSON.stringify(totals))
      else process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`)
    })
  }
}
