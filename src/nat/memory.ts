// What an earlier agent of this node had in the kernel: which list an address led to, and the endpoints of each list in order.
//
// ruleset/service-memory.ts reads it from the table; the first steps take from it, so that sessions go on after a restart and
// nothing is written that is there already. **Invariant:** it is never taken for what is true now.
import type { Family } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { Client, ListId } from './plan.ts'
import type { Target } from './targets.ts'

export interface ListMemory {
  /** By `entryKey`. */
  readonly lists: ReadonlyMap<string, ListId>
  readonly slots: ReadonlyMap<ListId, Readonly<Record<Family, readonly Target[]>>>
  /** Under which it remembers clients, whether there is such a list or not. */
  readonly clients: ReadonlySet<ListId>
}

export const NO_MEMORY: ListMemory = { lists: new Map(), slots: new Map(), clients: new Set() }

export function entryKey(client: Client, address: string, protocol: Protocol, port: number): string {
  return `${client} ${address} ${protocol} ${port}`
}
