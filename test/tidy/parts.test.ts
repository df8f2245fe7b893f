// The parts of a test command: what fails, crashes, hangs or leaves somebody behind is counted, whether alone or beside others.
//
// **Invariant:** no part is lost, and none passes that did not end well.
import assert from 'node:assert/strict'
import { runTogether, type Part } from '../support/summary.ts'

function part(title: string, script: string, limit = 20_000): Part {
  return { title, program: 'bash', args: ['-c', script], counts: 'tool', limit }
}

describe('parts of a test command, two at a time', function () {
  this.timeout(10_000)

  it('are all counted, their output together, each with what became of it', async () => {
    const written: string[] = []
    const write = process.stdout.write.bind(process.stdout)
    process.stdout.write = (text) => Boolean(written.push(String(text)))
    let results: Awaited<ReturnType<typeof runTogether>>
    try {
      results = await runTogether([
        part('slow', 'echo one; sleep 0.3; echo two'),
        part('fails', 'echo no; exit 3'),
        part('crashes', 'kill -SEGV $$'),
        part('hangs', 'exec sleep 30', 200),
        // Whoever holds its output must not hold up the others.
        part('leaves somebody behind', 'echo left; sleep 15 & exit 0'),
      ], 2)
    } finally {
      process.stdout.write = write
    }
    const told = Object.fromEntries(results.map(({ title, passed, failed }) => [title, [passed, failed]]))
    assert.deepEqual(told, { slow: [1, 0], fails: [0, 1], crashes: [0, 1], hangs: [0, 1], 'leaves somebody behind': [1, 0] })
    const text = written.join('')
    assert.match(text, /== slow\none\ntwo\n {2}1 passed, 0 failed/)
    assert.match(text, /== hangs\n {2}FAILED: not done after 0\.2 s; killed\n/)
    assert.match(text, /== leaves somebody behind\nleft\n/)
  })
})
