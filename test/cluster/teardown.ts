// Ends a cluster, whatever state it is in, and removes all that was made for it.
//
// Found by names and by the cgroup, not by what a start wrote down: one that was killed half-way goes the same way.
// **Invariant:** afterwards there is no process, mount, cgroup, namespace or file of it; the cache stays.
import { existsSync, globSync, readFileSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { CGROUP, PREFIX, STATE } from './layout.ts'
import { cgroupFolder, mustRun, runIn, until } from './processes.ts'

export async function tearDown(): Promise<void> {
  await until('every process of the cluster ended', 30_000, async () => {
    const pids = processesOf(cgroupFolder())
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It ended by itself.
      }
    }
    return pids.length === 0 ? true : null
  }, () => `left: ${processesOf(cgroupFolder()).join(', ')}`)
  for (const folder of globSync(`/sys/fs/cgroup/{,*/}${CGROUP}`)) removeCgroups(folder)
  const { stdout } = await runIn(null, ['ip', 'netns', 'list'])
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '').filter((name) => name.startsWith(`${PREFIX}-`))
  for (const name of names) await mustRun(null, ['ip', 'netns', 'delete', name])
  rmSync(STATE, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
}

/** Whether there is anything for tearDown to do. */
export function isLeft(): boolean {
  return existsSync(STATE) || existsSync(cgroupFolder())
}

function processesOf(folder: string): readonly number[] {
  if (!existsSync(folder)) return []
  return [folder, ...foldersBelow(folder)].flatMap((one) => {
    try {
      return readFileSync(path.join(one, 'cgroup.procs'), 'utf8').split('\n').filter((line) => line !== '').map(Number)
    } catch {
      // The group went with its last process.
      return []
    }
  })
}

function foldersBelow(folder: string): readonly string[] {
  let entries
  try {
    entries = readdirSync(folder, { withFileTypes: true })
  } catch {
    return []
  }
  return entries.filter((entry) => entry.isDirectory()).flatMap((entry) => {
    const below = path.join(folder, entry.name)
    return [below, ...foldersBelow(below)]
  })
}

function removeCgroups(folder: string): void {
  for (const one of [...foldersBelow(folder)].reverse().concat(folder)) {
    try {
      rmdirSync(one)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}
