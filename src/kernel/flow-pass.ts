// The connections of some networks: the conntrack worker's part of it.
//
// The kernel needs 0.3 us to pass over an entry and 2 us to tell it (Linux 6.18). So for few IPv4 addresses in a long table
// the kernel filters, one pass for each address and side; else it tells everything once.
// **Invariant:** whichever passes are made, a connection with an end in the networks is told, maybe twice.
import { readFileSync } from 'node:fs'
import type { DumpScope } from '../netlink/conntrack.ts'
import { FlowCollector, NetworkFilter, singleAddresses } from './conntrack-flows.ts'
import { readConntrack } from './conntrack-pass.ts'

/** With so many IPv4 addresses at most, and so many entries at least, filtering is quicker than reading everything. */
const FEW_ADDRESSES = 1
const LONG_TABLE = 5_000

/** `networks` of encodeNetworks(). `tell` is given what was found since the last call; the number of entries that the kernel told. */
export function findFlows(networks: Uint8Array, tell: (flows: Uint8Array<ArrayBuffer>) => void, onLong: () => void): number {
  const isLong = entryCount() >= LONG_TABLE
  if (isLong) onLong()
  const collector = new FlowCollector(new NetworkFilter(networks))
  for (const scope of passesFor(networks, isLong)) {
    readConntrack(scope, collector, () => {
      if (!collector.isEmpty) tell(collector.take())
    })
  }
  return collector.seen
}

/** The passes for these networks. Servers come first: it is replies that flow on where originals are judged. */
function passesFor(networks: Uint8Array, isLong: boolean): readonly DumpScope[] {
  const addresses = singleAddresses(networks)
  const four = addresses?.filter((address) => address.length === 4) ?? []
  if (addresses === null || four.length > FEW_ADDRESSES || !isLong) return [{ kind: 'all' }]
  const from = (direction: 'reply' | 'original'): DumpScope[] => four.map((source) => ({ kind: 'source', direction, source }))
  const six: readonly DumpScope[] = four.length < addresses.length ? [{ kind: 'family', family: 6 }] : []
  return [...from('reply'), ...six, ...from('original')]
}

/** Of this thread's network namespace; 0 where the kernel does not say. */
function entryCount(): number {
  try {
    return Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_count', 'utf8'))
  } catch {
    return 0
  }
}
