// Network namespaces by name: where they are, who is inside, and removing those that a killed lab left behind.
//
// **Invariant:** only namespaces whose name begins with the prefix are touched, and only processes whose own network
// namespace is one of those; a lab that still lives is never pulled from under its process.
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import path from 'node:path'
import { PicketError } from '../lib/errors.ts'
import { IpBatch } from './ip-batch.ts'

/** Where iproute2 keeps namespaces that have names. */
const NETNS_FOLDER = '/run/netns'

export function netnsPath(name: string): string {
  return path.join(NETNS_FOLDER, name)
}

/** Names of the network namespaces that begin with `prefix`. */
export function namespacesOf(prefix: string): readonly string[] {
  try {
    return readdirSync(NETNS_FOLDER).filter((name) => name.startsWith(prefix))
  } catch {
    return []
  }
}

/** The process (not this one) whose threads carry a lab of this prefix; null where none lives. */
export function labOwner(prefix: string): number | null {
  const inodes = inodesOf(namespacesOf(prefix))
  return inodes.size === 0 ? null : (processes().find((pid) => !isInside(pid, inodes) && hasThreadInside(pid, inodes)) ?? null)
}

/**
 * Ends the processes inside the namespaces of `prefix` and removes these; their names. Throws a PicketError (LabInUse)
 * where the process of a lab with this prefix lives.
 */
export async function removeLeftovers(prefix: string): Promise<readonly string[]> {
  const names = namespacesOf(prefix)
  const owner = labOwner(prefix)
  if (owner !== null) {
    throw new PicketError('LabInUse', `the network namespaces ${prefix}* belong to process ${owner}, which is running; end it first, or use another name`)
  }
  const entering = names.map((name) => enteringArgument(netnsPath(name)))
  kill(processes().filter((pid) => argumentsOf(pid).some((argument) => entering.includes(argument))))
  endProcessesIn(names)
  await new IpBatch(null).run(names.map((name) => ({ kind: 'run', text: `netns delete ${name}`, mayFail: true })))
  return names
}

/** Kills the processes whose own namespace is one of `names`: what people started there, and what those started. */
export function endProcessesIn(names: readonly string[]): void {
  const inodes = inodesOf(names)
  if (inodes.size === 0) return
  kill(processes().filter((pid) => isInside(pid, inodes)))
}

/** How nsenter is told to enter the network namespace at a path: who has this argument is on the way in. */
export function enteringArgument(netns: string): string {
  return `--net=${netns}`
}

function kill(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended meanwhile.
    }
  }
}

/** All processes but this one. */
function processes(): readonly number[] {
  return readdirSync('/proc').map(Number).filter((pid) => Number.isInteger(pid) && pid !== process.pid)
}

function isInside(pid: number, inodes: ReadonlySet<string>): boolean {
  return inodes.has(linkedInode(`/proc/${pid}/ns/net`))
}

function argumentsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

function hasThreadInside(pid: number, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).some((thread) => inodes.has(linkedInode(`/proc/${pid}/task/${thread}/ns/net`)))
  } catch {
    return false
  }
}

function inodesOf(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => inodeOf(netnsPath(name))).filter((inode) => inode !== ''))
}

function inodeOf(file: string): string {
  try {
    return String(statSync(file).ino)
  } catch {
    return ''
  }
}

/** `net:[4026531840]` -> `4026531840`; empty where the process is gone or not ours to see. */
function linkedInode(link: string): string {
  try {
    return /\[(\d+)\]/.exec(readlinkSync(link))?.[1] ?? ''
  } catch {
    return ''
  }
}
