// kube-proxy of each node: a process that ends when its Node is deleted or has other addresses, and is then to be started anew.
//
// In a cluster its DaemonSet does that; here a test that makes such a change does.
// **Invariant:** a node has one at most.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { kubeconfigOf } from './control-plane.ts'
import { POD_RANGES, type NodePlace } from './layout.ts'
import { cgroupFolder, startDaemon, until, type Room } from './processes.ts'
import type { Programs } from './programs.ts'

export function startKubeProxy(place: NodePlace, room: Room, programs: Programs): void {
  startDaemon(`${place.name}-kube-proxy`, room, [
    programs.of('kube-proxy'), '--kubeconfig', kubeconfigOf('proxy'), '--hostname-override', place.name, '--proxy-mode', 'nftables',
    '--cluster-cidr', `${POD_RANGES[4]},${POD_RANGES[6]}`, '--conntrack-max-per-core', '0', '--conntrack-tcp-timeout-established', '0', '--conntrack-tcp-timeout-close-wait', '0',
  ])
}

/** Name of the node -> process. */
export function kubeProxies(): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const line of readFileSync(path.join(cgroupFolder(), 'daemons/cgroup.procs'), 'utf8').split('\n')) {
    const words = line === '' ? [] : wordsOf(Number(line))
    if (path.basename(words[0] ?? '') === 'kube-proxy') found.set(words[words.indexOf('--hostname-override') + 1] ?? '', Number(line))
  }
  return found
}

/** All of them; those that have ended by themselves, too. */
export async function endKubeProxies(nodes: readonly NodePlace[]): Promise<void> {
  for (const { name } of nodes) {
    const pid = kubeProxies().get(name)
    if (pid !== undefined) process.kill(pid, 'SIGTERM')
    await until(`kube-proxy of ${name} is gone`, 10_000, async () => (kubeProxies().has(name) ? null : true))
  }
}

function wordsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}
