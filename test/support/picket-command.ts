// A command of Picket's, run in the test's own process, since each start of the program takes a moment.
//
// **Invariant:** errors are told, and end it, as by main.ts; the process' streams and exit status are as before.
import { runProgram } from '../../src/cli/program.ts'
import { PicketError } from '../../src/lib/errors.ts'

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export async function picket(...args: readonly string[]): Promise<Ran> {
  const said: Record<'stdout' | 'stderr', string> = { stdout: '', stderr: '' }
  const streams = ['stdout', 'stderr'] as const
  const writes = streams.map((name) => process[name].write.bind(process[name]))
  for (const name of streams) process[name].write = (text) => Boolean((said[name] += String(text)))
  try {
    await runProgram(args)
    return { status: Number(process.exitCode ?? 0), ...said }
  } catch (error) {
    if (!(error instanceof PicketError)) throw error
    return { status: error.exit, ...said, stderr: `${said.stderr}picket: ${error.message}\n` }
  } finally {
    streams.forEach((name, i) => (process[name].write = writes[i] as typeof process.stdout.write))
    process.exitCode = 0
  }
}
