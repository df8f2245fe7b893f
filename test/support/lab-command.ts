// Runs `picket lab ...` as a user does, from the sources, and keeps what it says.
//
// **Invariant:** a run has ended, with its output whole, when its promise resolves.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface Ended {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** `picket lab ARGS`; `interrupt` sends SIGINT once `out` or `err` match. */
export function lab(args: readonly string[], interrupt?: RegExp): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, 'lab', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    const heard = (): void => {
      if (interrupt?.test(out + err) === true) child.kill('SIGINT')
    }
    child.stdout.setEncoding('utf8').on('data', (part: string) => (out += part, heard()))
    child.stderr.setEncoding('utf8').on('data', (part: string) => (err += part, heard()))
    child.on('close', (status) => resolve({ status, out, err }))
  })
}
