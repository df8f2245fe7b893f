// Plants each bug in a copy of src/ and runs the test that should find it there.
//
//   node test/mutants/run.ts [TEXT]      only mutants whose title holds TEXT
//
// **Invariant:** a mutant that survives, cannot be planted, or breaks the test before it judges anything is a failure; the
// unchanged copy must pass. Seeds and runs are fixed, so that the outcome is the same each time.
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { AUDIT_MUTANTS } from './audit-mutants.ts'
import { COUNTER_MUTANTS } from './counter-mutants.ts'
import { EXPLAIN_MUTANTS } from './explain-mutants.ts'
import { OBSERVE_MUTANTS } from './observe-mutants.ts'
import { LOG_MUTANTS } from './log-mutants.ts'
import { SINK_MUTANTS } from './sink-mutants.ts'
import { LOOP_MUTANTS } from './loop-mutants.ts'
import { MUTANTS, type Mutant } from './mutants.ts'
import { NODE_STATUS_MUTANTS } from './node-status-mutants.ts'
import { OPERATOR_MUTANTS } from './operator-mutants.ts'
import { READER_MUTANTS } from './reader-mutants.ts'
import { SERVICE_MUTANTS } from './service-mutants.ts'
import { SUMMARY_MUTANTS } from './summary-mutants.ts'
import { WAIT_MUTANTS } from './wait-mutants.ts'
import { TESTS, type MutantTest, type TestName } from './tests.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
/** Runs of the unchanged copy: it only has to show that the tests can pass. */
const CONTROL_RUNS = 60
const LIMIT_MS = 120_000
const JOBS = 2

type Outcome = { readonly kind: 'caught'; readonly by: string } | { readonly kind: 'survived' } | { readonly kind: 'broken'; readonly message: string }

function copyTree(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-mutant-'))
  for (const name of ['src', 'test', 'package.json']) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true })
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  return folder
}

/** Null where it was planted, else why not. */
function plant(folder: string, mutant: Mutant): string | null {
  const file = path.join(folder, 'src', mutant.file)
  const text = readFileSync(file, 'utf8')
  const found = text.split(mutant.search).length - 1
  if (found !== 1) return `src/${mutant.file} holds the text to replace ${found} times, expected once: adapt the mutant`
  writeFileSync(file, text.replace(mutant.search, () => mutant.replace))
  return null
}

function runTest(folder: string, name: TestName, fewer?: number): Promise<{ readonly status: number | null; readonly output: string }> {
  const { file, grep, runs = 0 }: MutantTest = TESTS[name]
  const args = [path.join(ROOT, 'node_modules/mocha/bin/mocha.js'), '--reporter', 'dot', '--exit', '--bail', '--timeout', '20000', ...(grep === undefined ? [] : ['--grep', grep]), file]
  const env = { ...process.env, PICKET_PROPERTY_RUNS: String(Math.min(fewer ?? runs, runs)), PICKET_PROPERTY_SEED: '20260101', PICKET_PROPERTY_FAST: '1', PICKET_TEST_WHOLE: '1' }
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT_MS, killSignal: 'SIGKILL' })
    let output = ''
    child.stdout.on('data', (data: Buffer) => (output += data.toString()))
    child.stderr.on('data', (data: Buffer) => (output += data.toString()))
    child.once('close', (status) => resolve({ status, output }))
  })
}

/** What the test said against the bug; null where it failed in another way than by judging. */
function caught(name: TestName, output: string): string | null {
  if ('runs' in TESTS[name]) {
    const failed = /Property failed after (\d+) tests/.exec(output)
    return failed === null ? null : `${failed[1]} runs: ${/Caused by: (.*)/.exec(output)?.[1] ?? ''}`
  }
  const failed = /^ +1\) .*\n(?: +.*\n)*?\s*\n? +(AssertionError|Error: Timeout|Error: not within)/m.exec(output)
  return failed === null ? null : failed[0].replaceAll(/\s+/g, ' ')
}

async function tryMutant(mutant: Mutant): Promise<Outcome> {
  const folder = copyTree()
  try {
    const trouble = plant(folder, mutant)
    if (trouble !== null) return { kind: 'broken', message: trouble }
    const { status, output } = await runTest(folder, mutant.caughtBy)
    if (status === 0) return { kind: 'survived' }
    const by = caught(mutant.caughtBy, output)
    return by === null ? { kind: 'broken', message: output.slice(-2000) } : { kind: 'caught', by: by.slice(0, 200) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whether these tests pass where nothing is planted. */
async function control(tests: ReadonlySet<TestName>): Promise<boolean> {
  const folder = copyTree()
  try {
    for (const test of tests) {
      const { status, output } = await runTest(folder, test, CONTROL_RUNS)
      if (status !== 0) {
        process.stdout.write(`FAILED  ${test}: fails where nothing is planted\n${output.slice(-2000)}\n`)
        return false
      }
    }
    return true
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function main(only: string): Promise<number> {
  const left = [...MUTANTS, ...LOOP_MUTANTS, ...SERVICE_MUTANTS, ...SUMMARY_MUTANTS, ...NODE_STATUS_MUTANTS, ...WAIT_MUTANTS, ...EXPLAIN_MUTANTS, ...OBSERVE_MUTANTS, ...OPERATOR_MUTANTS, ...AUDIT_MUTANTS, ...READER_MUTANTS, ...LOG_MUTANTS, ...SINK_MUTANTS, ...COUNTER_MUTANTS].filter((mutant) => mutant.title.includes(only))
  if (!(await control(new Set(left.map(({ caughtBy }) => caughtBy))))) return 1
  const total = left.length
  let caught = 0
  const worker = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const outcome = await tryMutant(mutant)
      if (outcome.kind === 'caught') caught += 1
      const said = { caught: () => `caught  ${mutant.title}\n          ${outcome.kind === 'caught' ? outcome.by : ''}`, survived: () => `FAILED  ${mutant.title}: survived`, broken: () => `FAILED  ${mutant.title}: ${outcome.kind === 'broken' ? outcome.message : ''}` }
      process.stdout.write(`${said[outcome.kind]()}\n`)
    }
  }
  await Promise.all(Array.from({ length: JOBS }, worker))
  process.stdout.write(`${caught} passed, ${total - caught} failed\n`)
  return caught === total && total > 0 ? 0 : 1
}

process.exitCode = await main(process.argv[2] ?? '')
