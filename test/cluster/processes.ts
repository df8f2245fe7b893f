// Programs of the cluster: run to their end, or started to stay, in a network namespace and in the cluster's cgroup.
//
// **Invariant:** whatever stays is in the cgroup before its program begins, and so is all that it starts: teardown.ts ends
// what it finds there.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, openSync, closeSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { PicketError } from '../../src/lib/errors.ts'
import { CGROUP, FILES, netnsPath } from './layout.ts'

/** Where a program runs. `node` is the process that holds a node's namespaces open. */
export type Room = { readonly netns: string } | { readonly holder: number }

function enter(room: Room): readonly string[] {
  // `ip netns exec` would lay a new /sys over the cgroups.
  return 'netns' in room ? ['nsenter', `--net=${netnsPath(room.netns)}`] : ['nsenter', '--target', String(room.holder), '--net', '--mount']
}

export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, whatever that is. Throws where it cannot be started or takes longer than `timeout` ms. */
export function runIn(room: Room | null, args: readonly string[], { input, timeout = 60_000 }: { readonly input?: string; readonly timeout?: number } = {}): Promise<Ended> {
  const [program = '', ...rest] = [...(room === null ? [] : enter(room)), ...args]
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'] })
    const out: Buffer[] = []
    const err: Buffer[] = []
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new PicketError('ClusterFailed', `${args.join(' ')}: not done after ${timeout / 1000} s`))
    }, timeout)
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(new PicketError('ClusterFailed', `${program}: ${error.message}`))
    })
    child.once('close', (status) => {
      clearTimeout(timer)
      resolve({ status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
    // A program that ends before it has read everything is judged by its status.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input ?? '')
  })
}

/** As runIn, and throws what the program said where it failed. */
export async function mustRun(room: Room | null, args: readonly string[], options: Parameters<typeof runIn>[2] = {}): Promise<string> {
  const { status, stdout, stderr } = await runIn(room, args, options)
  if (status !== 0) throw new PicketError('ClusterFailed', `${args.join(' ')}: ended with ${status}: ${(stderr || stdout).trim().slice(-2000)}`)
  return stdout
}

/** The cluster's cgroup of the hierarchy by which its processes are found: of version 2, or of `pids`. */
export function cgroupFolder(): string {
  const root = existsSync('/sys/fs/cgroup/cgroup.procs') ? '/sys/fs/cgroup' : '/sys/fs/cgroup/pids'
  return path.join(root, CGROUP)
}

/** Where containerd puts its containers, whatever kubelet says: below the namespace of Kubernetes' own. */
export const CONTAINERS = 'k8s.io/*'

/** Below a hierarchy. */
export function containerCgroup(id: string): string {
  return CONTAINERS.replace('*', id)
}

/** Starts what is to stay, with its output in a log of that name. Returns its process id. */
export function startDaemon(name: string, room: Room, args: readonly string[], env: Readonly<Record<string, string>> = {}): number {
  const folder = path.join(cgroupFolder(), 'daemons')
  mkdirSync(folder, { recursive: true })
  mkdirSync(FILES.logs, { recursive: true })
  const log = openSync(path.join(FILES.logs, `${name}.log`), 'a')
  const join = ['sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', folder]
  const [program = '', ...rest] = [...join, ...enter(room), ...args]
  const child = spawn(program, rest, { detached: true, stdio: ['ignore', log, log], env: { ...process.env, ...env } })
  closeSync(log)
  child.on('error', () => undefined)
  child.unref()
  if (child.pid === undefined) throw new PicketError('ClusterFailed', `${name}: could not be started`)
  return child.pid
}

/** The last lines of a daemon's log. */
export function logOf(name: string, lines = 15): string {
  const file = path.join(FILES.logs, `${name}.log`)
  return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n') : '(no log)'
}

export function onPath(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Asks until the answer is not null. Throws with what `describe` says when `timeout` ms are over. */
export async function until<T>(what: string, timeout: number, ask: () => Promise<T | null>, describe: () => string = () => ''): Promise<T> {
  const deadline = Date.now() + timeout
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (Date.now() > deadline) throw new PicketError('ClusterFailed', `${what}: not so after ${timeout / 1000} s${`; ${describe()}`.replace(/; $/, '')}`)
    await sleep(200)
  }
}
