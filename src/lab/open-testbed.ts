// Opens a testbed: the underlay, an outside host on it, and nothing else yet.
//
// **Invariant:** either the whole testbed stands, or nothing of it is left.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import os from 'node:os'
import { PicketError } from '../lib/errors.ts'
import { parseAddress } from '../model/ip.ts'
import { netnsPath, removeLeftovers } from './leftovers.ts'
import { NamespaceTestbed } from './namespace-testbed.ts'
import { LabNetwork } from './network.ts'
import type { Testbed, TestbedOptions } from './testbed.ts'
import { WorkerClient } from './worker-client.ts'

/** Threads that carry the hosts. More than there are processors make probing slower, not faster. */
export const WORKERS = Math.max(2, Math.min(4, os.availableParallelism()))

/**
 * Removes what a crashed testbed of the same prefix left, then makes the underlay and the outside host. Throws a
 * PicketError: no root (NeedsRoot), a bad prefix (InvalidPrefix), a living lab of that prefix (LabInUse), no iproute2,
 * no br_netfilter where pods are to be on bridges (NoBridgeNetfilter).
 */
export async function openTestbed(options: TestbedOptions): Promise<Testbed> {
  const { prefix } = options
  if (process.getuid?.() !== 0) throw new PicketError('NeedsRoot', 'the lab makes network namespaces: run it as root')
  if (!/^[a-z][a-z0-9-]{0,18}-$/.test(prefix)) {
    throw new PicketError('InvalidPrefix', `lab prefix ${prefix}: expected at most 20 of a-z, 0-9 and dashes, beginning with a letter and ending with a dash`)
  }
  for (const address of options.outsideAddresses ?? []) {
    if (parseAddress(address) !== address) throw new PicketError('InvalidAddress', `outside address ${address}: expected an IPv4 or IPv6 address`)
  }
  if (options.attachment === 'bridge') requireBridgeNetfilter()
  const removed = await removeLeftovers(prefix)
  if (removed.length > 0) options.onProgress?.(`removed ${removed.length} namespaces that an earlier lab left behind`)
  const underlay = `${prefix}underlay`
  const network = new LabNetwork(underlay, options.attachment ?? 'veth')
  const workers: WorkerClient[] = []
  try {
    await network.open()
    for (let index = 0; index < WORKERS; index++) workers.push(new WorkerClient(netnsPath(underlay)))
    const testbed = new NamespaceTestbed(options, network, workers)
    await testbed.openOutside()
    return testbed
  } catch (error) {
    await Promise.all(workers.map((worker) => worker.terminate()))
    await removeLeftovers(prefix)
    throw error
  }
}

/** Loads br_netfilter where it is a module that is not loaded yet. */
export function requireBridgeNetfilter(): void {
  const there = (): boolean => existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables')
  if (there()) return
  spawnSync('modprobe', ['br_netfilter'], { stdio: 'ignore' })
  if (!there()) throw new PicketError('NoBridgeNetfilter', 'attachment bridge: the kernel has no br_netfilter; load it (modprobe br_netfilter), or attach pods with veth')
}
