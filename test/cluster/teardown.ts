// Ends a cluster, whatever state it is in, and removes all that was made for it.
//
// Found by names, by the cgroup and by what containerd keeps of its containers (whose cgroups it makes itself, by their ids):
// a start that was killed half-way goes the same way.
// **Invariant:** afterwards there is no process, mount, cgroup, namespace or file of it; the cache stays.
import { existsSync, globSync, readFileSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { CGROUP, PREFIX, STATE } from './layout.ts'
import { CONTAINERS, cgroupFolder, containerCgroup, mustRun, runIn, until } from './processes.ts'

export async function tearDown(): Promise<void> {
  await until('every process of the cluster ended', 30_000, async () => {
    const pids = processesOf()
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It ended by itself.
      }
    }
    return pids.length === 0 ? true : null
  }, () => `left: ${processesOf().join(', ')}`)
  const containers = containerIds().map(containerCgroup)
  for (const folder of [...globSync(`/sys/fs/cgroup/{,*/}${CGROUP}`), ...containers.flatMap((id) => globSync(`/sys/fs/cgroup/{,*/}${id}`))]) removeCgroups(folder)
  // Gone only where nobody else has containers in it.
  for (const folder of globSync(`/sys/fs/cgroup/{,*/}${path.dirname(CONTAINERS)}`)) removeIfEmpty(folder)
  const { stdout } = await runIn(null, ['ip', 'netns', 'list'])
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '').filter((name) => name.startsWith(`${PREFIX}-`))
  for (const name of names) await mustRun(null, ['ip', 'netns', 'delete', name])
  rmSync(STATE, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
}

/** Whether there is anything for tearDown to do. */
export function isLeft(): boolean {
  return existsSync(STATE) || existsSync(cgroupFolder())
}

/** Of containers and sandboxes of every node. */
function containerIds(): readonly string[] {
  const kept = ['io.containerd.grpc.v1.cri/{containers,sandboxes}', 'io.containerd.runtime.v2.task/k8s.io']
  return [...new Set(kept.flatMap((folder) => globSync(path.join(STATE, '*/var/lib/containerd', folder, '*'))).map((folder) => path.basename(folder)))]
}

function processesOf(): readonly number[] {
  const own = cgroupFolder()
  const containers = containerIds().map((id) => path.join(path.dirname(own), containerCgroup(id)))
  return [own, ...containers].filter((folder) => existsSync(folder)).flatMap((folder) => [folder, ...foldersBelow(folder)]).flatMap((one) => {
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

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Others use it.
  }
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
