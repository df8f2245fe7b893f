// Runs the parts of a test command, one after the other or some at once, and adds up what they found.
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

/** `say` null: what it prints is seen as it comes. */
function runProgram(part: Part, env: NodeJS.ProcessEnv, say: ((text: string) => void) | null): Promise<Ending> {
  return new Promise((resolve) => {
    const output = say === null ? 'inherit' : 'pipe'
    const child = spawn(part.program, part.args, { stdio: ['ignore', output, output], env: { ...process.env, ...part.env, ...env } })
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => say?.(text))
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
    child.once('exit', (status, signal) => {
      const ended = (): void => end({ status, reason: reason ?? (signal === null ? null : `ended by ${signal}`) })
      if (say === null) return ended()
      // The rest of what it printed; somebody whom it left behind may hold the pipe for ever.
      const patience = setTimeout(ended, 2000)
      child.once('close', () => {
        clearTimeout(patience)
        ended()
      })
    })
  })
}

export function runPart(part: Part): Promise<Result> {
  return runAndTell(part, null)
}

/** So many at once; what each prints is printed when it has ended, so that it stays together. */
export async function runTogether(parts: readonly Part[], lanes: number): Promise<readonly Result[]> {
  const left = [...parts]
  const results: Result[] = []
  const lane = async (): Promise<void> => {
    for (let part = left.shift(); part !== undefined; part = left.shift()) {
      process.stdout.write(`-- ${part.title} begins\n`)
      const texts: string[] = []
      results.push(await runAndTell(part, (text) => texts.push(text)))
      process.stdout.write(texts.join(''))
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return results
}

async function runAndTell(part: Part, held: ((text: string) => void) | null): Promise<Result> {
  const say = held ?? ((text: string): void => void process.stdout.write(text))
  say(`== ${part.title}\n`)
  const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-test-'))
  const totalsFile = path.join(folder, 'totals.json')
  const leftOutFile = path.join(folder, 'left-out')
  const started = performance.now()
  try {
    const ending = await runProgram(part, { PICKET_TEST_TOTALS: totalsFile, PICKET_TEST_LEFT_OUT: leftOutFile }, held)
    const { passed, failed, fault } = judge(part, ending, readIfThere(totalsFile))
    if (fault !== null) say(`  FAILED: ${fault}\n`)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    say(`  ${passed} passed, ${failed} failed (${seconds} s)\n`)
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
