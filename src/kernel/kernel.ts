// The way into the kernel, as an interface: libnftables in a worker, spawned `nft`, and the tests' fake.
// Every implementation passes the same conformance file (test/kernel/conformance.ts).
//
// **Invariant:** one request at a time, in order; every request ends, within its deadline, with an answer that says
// whether the kernel's state is known.
import type { CounterValue, Listing } from '../nft/listing.ts'
import type { ElementsChange } from '../netlink/set-elements.ts'
import type { Table, Transaction } from '../nft/objects.ts'
import type { ClientSweep } from './client-sweep.ts'
import type { ElementsTake } from './elements-worker.ts'

export type CommitOutcome =
  /** The kernel holds it. */
  | { readonly kind: 'acknowledged' }
  /** The kernel holds what it held before; `message` is what nft said, one line where it can be. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Nobody knows (worker lost, deadline over): read back before anything else. */
  | { readonly kind: 'unknown'; readonly message: string }

/** `full`: refused since a set has no room left. */
export type ElementsOutcome = CommitOutcome | { readonly kind: 'full'; readonly message: string }

export type SweepOutcome =
  /** How many clients are forgotten. */
  | { readonly kind: 'done'; readonly forgotten: number }
  /** Some may be forgotten, and others not. */
  | { readonly kind: 'failed'; readonly message: string }

export type { ClientSweep, ElementsChange, ElementsTake }

export type ReadBack =
  | ({ readonly kind: 'table' } & Listing)
  | { readonly kind: 'absent' }
  /** There is a table of our name that this version cannot read: `message` says why. It is replaced. */
  | { readonly kind: 'unreadable'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string }

export interface ForeignFlowtable {
  readonly table: string
  readonly name: string
  readonly devices: readonly string[]
}

/** Somebody else's commit named our table, or may have: it is to be read back. */
export interface ForeignChange {
  /** Who did it, for people: `nft (process 123)`; or why nobody knows whether anybody did. */
  readonly by: string
  /** The chains whose rules were changed; 'all' where any may have been. */
  readonly chains: readonly string[] | 'all'
  /** What was read back in the last so many milliseconds may hold the change already. */
  readonly sinceMs: number
}

export interface Kernel {
  /** `libnftables` or `nft`, with the version, for status. */
  readonly description: string
  /** A transaction of elements alone may go another way than through nft; its answer is the same. */
  commit(transaction: Transaction): Promise<CommitOutcome>
  /** What commit would answer, with nothing kept: the kernel judges everything and drops it. */
  check(transaction: Transaction): Promise<CommitOutcome>
  /** What the kernel holds of our table: sets, maps with elements, chains (rules: LISTED_RULES), counters with their values. */
  readBack(table: Table): Promise<ReadBack>
  /** Removes the table; no error where it is not there. */
  deleteTable(table: Table): Promise<CommitOutcome>
  /**
   * Changes elements of sets that packets fill too, keys byte for byte: by netlink, past nft and its cache of the table.
   * All of them or none; what the socket takes: 200 KB everywhere.
   */
  changeElements(table: Table, changes: readonly ElementsChange[]): Promise<ElementsOutcome>
  /** Takes elements out of such sets; resolves to the keys of each, null where it could not. */
  takeElements(table: Table, takes: readonly ElementsTake[]): Promise<readonly Uint8Array[] | null>
  /** Takes clients out of an affinity map that lead to no valid endpoint; one that goes by itself meanwhile is no error. */
  sweepClients(table: Table, sweep: ClientSweep): Promise<SweepOutcome>
  /** What the table's named counters have counted, by name: by netlink, 3 to 6 us for each. Null where nobody answers. */
  readCounters(table: Table): Promise<ReadonlyMap<string, CounterValue> | null>
  /** Flowtables of other tables (rule 89); empty where the kernel has none or does not know them. */
  flowtables(): Promise<readonly ForeignFlowtable[]>
  /**
   * From its resolution on tells every commit of anybody else that names the table, within some 100 ms, or tells a
   * doubt, within 4 s where the kernel told nothing; what is ours and what packets do is left out. Once for a table. Throws a PicketError where that is not possible.
   */
  watch(table: Table, onChange: (change: ForeignChange) => void): Promise<void>
  close(): Promise<void>
}
