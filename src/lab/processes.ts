// Commands in a lab's namespaces: one that a person waits for, and agents that run for as long as the lab does.
//
// Only the network namespace is entered (nsenter --net): /sys and the file system stay as they are.
// **Invariant:** ended() of a process resolves, whatever happened to it; whoever starts one here can end it.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import os from 'node:os'
import { PicketError } from '../lib/errors.ts'
import { enteringArgument } from './leftovers.ts'
import type { LabProcess } from './testbed.ts'

/** A process that does not go at SIGTERM is killed after this. Milliseconds. */
const PATIENCE = 3000

function nsenter(netns: string, command: readonly string[]): readonly string[] {
  if (command.length === 0) throw new PicketError('InvalidCommand', 'expected a command to run')
  return [enteringArgument(netns), '--', ...command]
}

/** With this process's own terminal; the exit status, 128 and the number where a signal ended it. */
export async function runInNetns(netns: string, command: readonly string[]): Promise<number> {
  const { code, signal } = await ended(spawn('nsenter', nsenter(netns, command), { stdio: 'inherit' }))
  return code ?? 128 + (signal === null ? 0 : os.constants.signals[signal as NodeJS.Signals])
}

/** Without input; what it wrote. `pid`: its own, since nsenter becomes the command. */
export async function outputInNetns(
  netns: string,
  command: readonly string[],
): Promise<{ readonly pid: number; readonly code: number | null; readonly out: string; readonly err: string }> {
  const child = spawn('nsenter', nsenter(netns, command), { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => (out += part))
  child.stderr.setEncoding('utf8').on('data', (part: string) => (err += part))
  const closed = new Promise((resolve) => child.once('close', resolve))
  const { code } = await ended(child)
  await closed
  return { pid: child.pid ?? 0, code, out, err }
}

/** A process in a session of its own, so that Ctrl-C reaches it by way of the lab only; it writes to `logFile`, at its end. */
export function startInNetns(netns: string, command: readonly string[], logFile: string, env: Readonly<Record<string, string>>): LabProcess {
  const log = openSync(logFile, 'a')
  try {
    const child = spawn('nsenter', nsenter(netns, command), { stdio: ['ignore', log, log], env: { ...process.env, ...env }, detached: true })
    const end = ended(child)
    end.catch(() => undefined)
    return { pid: child.pid ?? 0, ended: end, kill: (signal) => void child.kill(signal) }
  } finally {
    closeSync(log)
  }
}

/** SIGTERM, and SIGKILL where that does not end it. */
export async function stopProcess(running: LabProcess): Promise<void> {
  running.kill('SIGTERM')
  const timer = setTimeout(() => running.kill('SIGKILL'), PATIENCE)
  await running.ended.catch(() => undefined)
  clearTimeout(timer)
}

function ended(child: ChildProcess): Promise<{ readonly code: number | null; readonly signal: string | null }> {
  return new Promise((resolve, reject) => {
    child.on('exit', (code, signal) => resolve({ code, signal }))
    child.on('error', (error: NodeJS.ErrnoException) => {
      const missing = error.code === 'ENOENT'
      reject(missing ? new PicketError('MissingProgram', 'nsenter: not found; install util-linux (apt-get install util-linux)') : error)
    })
  })
}
