// What the cluster's commands tell while they work: one line a step, with its seconds, and a sign of life during long ones.
//
// **Invariant:** all of it goes to stderr; stdout is the answer's.
import { spawn } from 'node:child_process'
import { PicketError } from '../../src/lib/errors.ts'

export type Say = (line: string) => void

const SIGN_OF_LIFE_MS = 10_000

export const sayOnStderr: Say = (line) => void process.stderr.write(`cluster: ${line}\n`)

/** Does something and tells how long it took, where that was long enough to notice. */
export async function step<T>(say: Say, what: string, action: () => Promise<T>): Promise<T> {
  const started = Date.now()
  const seconds = (): string => ((Date.now() - started) / 1000).toFixed(1)
  const ticker = setInterval(() => say(`still ${what} (${seconds()} s)`), SIGN_OF_LIFE_MS)
  try {
    const value = await action()
    say(`${what}: ${seconds()} s`)
    return value
  } finally {
    clearInterval(ticker)
  }
}

/** A step that is a program; its output is shown only where it fails. Throws a PicketError then. */
export function stepOf(say: Say, what: string, args: readonly string[], options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {}): Promise<void> {
  return step(say, what, () => {
    const [program = '', ...rest] = args
    return new Promise<void>((resolve, reject) => {
      const child = spawn(program, rest, { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      const keep = (chunk: Buffer): void => void (output = (output + chunk.toString()).slice(-4000))
      child.stdout.on('data', keep)
      child.stderr.on('data', keep)
      child.once('error', (error) => reject(new PicketError('ClusterFailed', `${what}: ${program}: ${error.message}`)))
      child.once('close', (status) => (status === 0 ? resolve() : reject(new PicketError('ClusterFailed', `${what}: ended with ${status}:\n${output.trimEnd()}`))))
    })
  })
}
