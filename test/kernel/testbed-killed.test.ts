// A lab whose process was killed: what it leaves is found, kept while it lives, and removed by the next.
//
// **Invariant:** namespaces of this file's own prefix only.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { labOwner, namespacesOf, removeLeftovers } from '../../src/lab/leftovers.ts'
import { openTestbed } from '../../src/lab/open-testbed.ts'

describe('a lab that was killed', function () {
  this.timeout(30_000)
  const prefix = 'pk-killed-'

  after(async () => void (await removeLeftovers(prefix)))

  it('keeps its namespaces from others while it lives, and leaves nothing that the next one does not remove', async () => {
    const module = new URL('../../src/lab/open-testbed.ts', import.meta.url).href
    const script = `const { openTestbed } = await import(${JSON.stringify(module)})
      const testbed = await openTestbed({ prefix: '${prefix}' })
      await testbed.addNode('n1')
      const { pid } = await testbed.start('n1', ['sleep', '1000'], { logFile: '/dev/null' })
      console.log(pid)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const agent = Number(await new Promise<string>((resolve) => child.stdout.once('data', (bytes: Buffer) => resolve(bytes.toString()))))
    assert.equal(labOwner(prefix), child.pid)
    await assert.rejects(openTestbed({ prefix }), new RegExp(`belong to process ${child.pid}`))
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('exit', resolve))
    assert.deepEqual([...namespacesOf(prefix)].sort(), [`${prefix}n1`, `${prefix}outside`, `${prefix}underlay`])
    assert.equal(existsSync(`/proc/${agent}`), true)
    const testbed = await openTestbed({ prefix })
    for (let tries = 0; tries < 50 && isRunning(agent); tries++) await sleep(20)
    assert.equal(isRunning(agent), false)
    assert.deepEqual([...namespacesOf(prefix)].sort(), [`${prefix}outside`, `${prefix}underlay`])
    await testbed.close()
    assert.deepEqual(namespacesOf(prefix), [])
  })

  it('is removed by the next run of cases, and a run that lives is not', async () => {
    const dead = 'picket-lab-r4999999-n1'
    const living = `picket-lab-r${process.pid}-`
    execFileSync('ip', ['netns', 'add', dead])
    const testbed = await openTestbed({ prefix: living })
    try {
      execFileSync(process.execPath, ['-e', `import(${JSON.stringify(new URL('../../src/lab/remains.ts', import.meta.url).href)}).then((m) => m.endKilledRuns())`])
      assert.deepEqual(namespacesOf(dead), [])
      assert.deepEqual([...namespacesOf(living)].sort(), [`${living}outside`, `${living}underlay`])
    } finally {
      await testbed.close()
    }
  })
})

/** A killed process whose parent is gone too may stay as a zombie. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
