// What Picket has on a node, and how it is taken away: the gate's entry first, then the tables, then the agent's files.
//
// A CNI entry without its agent keeps pods from starting, so it goes first, even while an agent still runs; the tables go when none
// does, or it would put them back. **Invariant:** only what is ours by name is removed; what is not there is no error.
import { lstat, readdir, rm } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CniFolders, Step } from './cni-node.ts'
import { takeEntries, takeProgram } from './cni-node.ts'
import { gateFileOf } from '../agent/gate-file.ts'
import { removeStage } from '../canary/stage.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import type { Table } from '../nft/objects.ts'

export const AGENT_RUNS = 'end it first, on a cluster: kubectl -n picket-system delete daemonset picket-agent'
/** A runtime that watches its folder has read it anew by then: no pod start finds an entry without its program. */
const RELOAD_MS = 2_000

/** The gate's entry, then its program. A folder that is not there holds nothing. Throws a PicketError. */
export async function removeGate({ binDir, confDir }: CniFolders, step: Step): Promise<void> {
  const taken = await takeEntries(confDir, step)
  if (taken) await sleep(RELOAD_MS)
  await takeProgram(binDir, step)
}

/** The tables of these that are there, as `inet picket`. Throws a PicketError where the kernel refuses. */
export async function removeTables(kernel: Kernel, tables: readonly Table[]): Promise<readonly string[]> {
  const removed: string[] = []
  for (const table of tables) {
    const there = await kernel.readBack(table)
    if (there.kind === 'absent') continue
    const outcome = await kernel.deleteTable(table)
    if (outcome.kind !== 'acknowledged') throw new PicketError('CleanupFailed', `table ${table.family} ${table.name}: ${outcome.message}; run it again`)
    removed.push(`${table.family} ${table.name}`)
  }
  return removed
}

/** The canary's interfaces. Throws a PicketError where the kernel refuses. */
export function removeCanary(step: Step): void {
  try {
    const names = removeStage()
    if (names.length > 0) step(`interfaces ${names.join(', ')}: removed`)
  } catch (error) {
    throw new PicketError('CleanupFailed', `interfaces of the canary: ${messageOf(error)}; run it again`)
  }
}

/** Its dead socket, and what it remembered of the gate. */
export async function removeFiles(socket: string, step: Step): Promise<void> {
  const folder = path.dirname(socket)
  const kept = path.basename(gateFileOf(socket))
  const names = await readdir(folder).catch(() => [])
  for (const name of names.filter((one) => one === kept || one.startsWith(`${kept}.`) || one === path.basename(socket)).sort()) {
    const file = path.join(folder, name)
    // A path that was meant for something else must not cost somebody a file.
    if (file === socket && (await lstat(file).catch(() => null))?.isSocket() !== true) continue
    await rm(file, { force: true }).catch((error: unknown) => {
      throw new PicketError('CleanupFailed', `${file}: cannot be removed (${messageOf(error)}); run this as root`)
    })
    step(`${file}: removed`)
  }
}

/** Whether an agent answers on its socket. Throws a PicketError where that cannot be told. */
export function agentRuns(socket: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = net.connect(socket)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR'].includes(error.code ?? '')) resolve(false)
      else reject(new PicketError('CleanupFailed', `socket ${socket}: cannot tell whether an agent runs (${messageOf(error)}); run this as root`))
    })
  })
}
