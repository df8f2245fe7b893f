// Runs the parts of a test command one after the other and adds up what they found.
//
// A part is a program: a tool (passed or failed as a whole) or mocha with test/support/summary-reporter.ts.
// **Invariant:** a part that crashes, hangs or cannot be started counts as a failure; the last line of a test command
// is `N passed, N failed`.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

export interface Part {
  readonly title: string
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Whether mocha's totals are expected; a tool counts as one test. */
  readonly counts: 'tests' | 'tool'
  /** Milliseconds; then it is killed. */
  readonly limit: number
}

export interface Result {
  readonly title: string
  readonly passed: number
  readonly failed: number
  /** Ids that sampled() left out. */
  readonly leftOut: readonly string[]
}

/** A part that could not even be tried. */
export function failedPart(title: string, reason: string): Result {
  process.stdout.write(`== ${title}\n  FAILED: ${reason}\n`)
  return { title, passed: 0, failed: 1, leftOut: [] }
}

interface Ending {
  readonly status: number | null
  readonly reason: string | null
}

function runProgram(part: Part, env: NodeJS.ProcessEnv): Promise<Ending> {
  return new Promise((resolve) => {
    const child = spawn(part.program, part.args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...part.env, ...env } })
    let reason: string | null = null
    const limit = setTimeout(() => {
      reason = `not done after ${part.limit / 1000} s; killed`
      child.kill('SIGKILL')
    }, part.limit)
    // Mocha answers these by running its hooks, which clean up; this process waits for that.
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
    process.on('SIGTERM', forward)
    process.on('SIGINT', forward)
    const end = (ending: Ending): void => {
      clearTimeout(limit)
      process.off('SIGTERM', forward)
      process.off('SIGINT', forward)
      resolve(ending)
    }
    child.once('error', (error) => end({ status: null, reason: error.message }))
    child.once('exit', (status, signal) => end({ status, reason: reason ?? (signal === null ? null : `ended by ${signal}`) }))
  })
}

export async function runPart(part: Part): Promise<Result> {
  process.stdout.write(`== ${part.title}\n`)
  const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-test-'))
  const totalsFile = path.join(folder, 'totals.json')
  const leftOutFile = path.join(folder, 'left-out')
  const started = performance.now()
  try {
    const ending = await runProgram(part, { PICKET_TEST_TOTALS: totalsFile, PICKET_TEST_LEFT_OUT: leftOutFile })
    const { passed, failed, fault } = judge(part, ending, readIfThere(totalsFile))
    if (fault !== null) process.stdout.write(`  FAILED: ${fault}\n`)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    process.stdout.write(`  ${passed} passed, ${failed} failed (${seconds} s)\n`)
    return { title: part.title, passed, failed, leftOut: readIfThere(leftOutFile).split('\n').filter((id) => id !== '') }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export interface Verdict {
  readonly passed: number
  readonly failed: number
  /** What went wrong besides tests that failed. */
  readonly fault: string | null
}

/** `totals` is what the reporter wrote, empty where it wrote nothing. */
export function judge(part: Part, ending: Ending, totals: string): Verdict {
  const well = ending.status === 0 && ending.reason === null
  if (part.counts === 'tool') return { passed: well ? 1 : 0, failed: well ? 0 : 1, fault: ending.reason }
  const told = totals === '' ? null : (JSON.parse(totals) as { passed: number; failed: number })
  if (told !== null && (well || told.failed > 0)) return { ...told, fault: null }
  const fault = `${ending.reason ?? `ended with status ${ending.status}`}${told === null ? ' before its last test' : ''}`
  return { passed: told?.passed ?? 0, failed: (told?.failed ?? 0) + 1, fault }
}

function readIfThere(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

/** Prints what was left out and the last line; returns the exit status. */
export function conclude(results: readonly Result[], leftOut: readonly string[]): number {
  for (const { title, leftOut: ids } of results) {
    if (ids.length > 0) process.stdout.write(`left out of ${title}: ${ids.length}: ${ids.join(', ')}\n`)
  }
  for (const what of leftOut) process.stdout.write(`left out: ${what}\n`)
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  const failed = results.reduce((sum, result) => sum + result.failed, 0)
  const bad = results.filter((result) => result.failed > 0).map((result) => result.title)
  if (bad.length > 0) process.stdout.write(`failed: ${bad.join(', ')}\n`)
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  return failed === 0 ? 0 : 1
}
