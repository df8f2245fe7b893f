// The log of a process whose standard output nobody reads, or that is closed: it goes on, and tells what it dropped. A process of its own.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'

const LOG = path.resolve(import.meta.dirname, '../../../src/telemetry/log.ts')
const LINES = 3000

/** Logs, says so on descriptor 3, and logs once more when it is asked to by its standard input. */
const PROGRAM = `
  import fs from 'node:fs'
  const { openLog } = await import(${JSON.stringify(LOG)})
  const log = openLog('info', { node: 'node-a' })
  for (let number = 0; number < ${LINES}; number++) log.info({ number, filling: 'x'.repeat(1000) }, 'line')
  fs.writeSync(3, 'done')
  process.stdin.once('data', () => {
    log.info('last')
    setTimeout(() => process.exit(0), 500)
  })
`

function start() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit', 'pipe'], cwd: path.dirname(LOG) })
  return { child, done: once(child.stdio[3] as Readable, 'data') }
}

interface Line {
  readonly level: string
  readonly node: string
  readonly msg: string
  readonly number?: number
  readonly dropped?: number
}

describe('log', function () {
  this.timeout(20_000)
  // As the agent's pipe: node:child_process gives children sockets.
  it('never waits for who reads it, and tells how many lines were dropped', async () => {
    const shell = spawn('sh', ['-c', `"$0" --input-type=module -e "$1" | { read -r line <&5; cat; }`, process.execPath, PROGRAM], { stdio: ['pipe', 'pipe', 'inherit', 'pipe', 'ignore', 'pipe'] })
    const out = text(shell.stdout as Readable)
    await once(shell.stdio[3] as Readable, 'data')
    ;(shell.stdio as unknown as readonly NodeJS.WritableStream[])[5]?.write('read\n')
    await new Promise((resolve) => setTimeout(resolve, 1000))
    shell.stdin?.write('more\n')
    const lines = (await out).trimEnd().split('\n').map((line) => JSON.parse(line) as Line)
    const numbers = lines.flatMap(({ number }) => number ?? [])
    const dropped = lines.flatMap((line) => line.dropped ?? [])
    assert.deepEqual(numbers, numbers.map((_, index) => index))
    assert.equal(dropped.length, 1)
    assert.equal(numbers.length + (dropped[0] ?? 0), LINES)
    assert.ok((dropped[0] ?? 0) > 1000)
    assert.deepEqual([lines.at(-1)?.msg, lines.at(-1)?.node, lines.at(-2)?.level], ['last', 'node-a', 'warn'])
  })
  it('ends nothing when its output is closed', async () => {
    const { child, done } = start()
    child.stdout?.destroy()
    await done
    child.stdin?.write('more\n')
    const [code] = (await once(child, 'exit')) as [number | null]
    assert.equal(code, 0)
  })
})
