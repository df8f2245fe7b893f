// Runs a program to its end and keeps what it printed, with a sign of life while it takes long.
//
// Used for npm and apt-get, whose own output is of interest only when they fail.
// **Invariant:** the child never gets our stdin or stdout.
import { spawn } from 'node:child_process'
import { say } from './errors.mjs'

const SIGN_OF_LIFE_MS = 5000
const KEPT_CHARACTERS = 20_000

/**
 * Resolves to {status, output, seconds}; status is null where the program could not be started or was killed.
 * `label` is what the sign of life calls the work; without it there is none.
 */
export function runCommand(program, args, { cwd, env, label } = {}) {
  const started = Date.now()
  const seconds = () => Math.round((Date.now() - started) / 1000)
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(program, args, { cwd, env: env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] })
    const ticker = label === undefined ? null : setInterval(() => say(`still ${label} (${seconds()} s)`), SIGN_OF_LIFE_MS)
    const end = (status) => {
      if (ticker !== null) clearInterval(ticker)
      resolve({ status, output, seconds: seconds() })
    }
    const keep = (chunk) => {
      output = (output + chunk).slice(-KEPT_CHARACTERS)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.once('error', (error) => {
      output += error.message
      end(null)
    })
    child.once('close', (status) => end(status))
  })
}

/** The last `count` lines that say something, indented, for an error's second half. */
export function lastLines(output, count) {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  return lines.slice(-count).map((line) => `  ${line}`).join('\n')
}
