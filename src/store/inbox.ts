// What sources say, netted until a turn takes it: one change per object, however often it changed in between.
//
// Sources push from their callbacks; the agent drains at the start of a turn. **Invariant:** a netted change does to the store
// what its events would have done one by one, so it also carries the last good version between two drains.
import { KINDS, type Decoded, type Kind, type RowOf, type SourceEvent, type SourceEventOf } from '../model/changes.ts'
import type { Uid } from '../model/objects.ts'

/** Several events of one object as one. */
export interface NettedChange<Row> {
  /** It was gone in between, so that what was known before must not stand in for what follows. */
  readonly fresh: boolean
  /** The last good version among the events since it was gone, or since the last drain; null for none. */
  readonly good: Row | null
  /** What was said last; null: it is gone. */
  readonly last: Decoded<Row> | null
}

export interface KindBatch<Row> {
  /** A whole list was said: every object that `changes` does not name is gone. */
  readonly whole: boolean
  readonly changes: ReadonlyMap<Uid, NettedChange<Row>>
}

export type Batch = { readonly [K in Kind]: KindBatch<RowOf[K]> }

const GONE: NettedChange<never> = Object.freeze({ fresh: true, good: null, last: null })

class PendingKind<Row> implements KindBatch<Row> {
  whole = false
  readonly changes = new Map<Uid, NettedChange<Row>>()

  upsert(key: Uid, decoded: Decoded<Row>): void {
    this.changes.set(key, this.#after(key, decoded))
  }

  delete(key: Uid): void {
    this.changes.set(key, GONE)
  }

  /** Visits what is listed, and what waits: once per list. */
  replace(rows: ReadonlyMap<Uid, Decoded<Row>>): void {
    const listed = new Map([...rows].map(([key, decoded]) => [key, this.#after(key, decoded)] as const))
    this.changes.clear()
    for (const [key, change] of listed) this.changes.set(key, change)
    this.whole = true
  }

  #after(key: Uid, decoded: Decoded<Row>): NettedChange<Row> {
    const before = this.changes.get(key)
    const fresh = before === undefined ? this.whole : before.fresh
    return { fresh, good: decoded.kind === 'good' ? decoded.row : (before?.good ?? null), last: decoded }
  }
}

type Pending = { readonly [K in Kind]: PendingKind<RowOf[K]> }

function nothingPending(): Pending {
  return {
    pod: new PendingKind(),
    namespace: new PendingKind(),
    node: new PendingKind(),
    policy: new PendingKind(),
    service: new PendingKind(),
    slice: new PendingKind(),
    interface: new PendingKind(),
  }
}

/** A batch in which nothing was said. */
export function emptyBatch(): Batch {
  return nothingPending()
}

export class Inbox {
  readonly #onWork: () => void
  readonly #unsynced: Set<Kind>
  #pending = nothingPending()
  #told = false

  /** `onWork` is called once per burst: at the first event after a drain, and not again until the next drain. It must not drain by itself. */
  constructor(onWork: () => void, kinds: readonly Kind[] = KINDS) {
    this.#onWork = onWork
    this.#unsynced = new Set(kinds)
  }

  /** Takes one event, in constant time (a `replace`: in the length of its list). */
  push(event: SourceEvent): void {
    this.#take(event)
    if (this.#told) return
    this.#told = true
    this.#onWork()
  }

  /** Whether something was said since the last drain. */
  get hasWork(): boolean {
    return this.#told
  }

  /** Everything since the last drain, netted; empty where nothing was said. */
  drain(): Batch {
    const batch = this.#pending
    this.#pending = nothingPending()
    this.#told = false
    return batch
  }

  /** Whether the first whole list of every kind has been said. Nothing is written to the kernel before (rule 103). */
  isSynced(): boolean {
    return this.#unsynced.size === 0
  }

  #take<K extends Kind>(event: SourceEventOf<K>): void {
    const pending: PendingKind<RowOf[K]> = this.#pending[event.kind]
    switch (event.verb) {
      case 'upsert':
        return pending.upsert(event.key, event.decoded)
      case 'delete':
        return pending.delete(event.key)
      case 'replace':
        return pending.replace(event.rows)
      case 'synced':
        this.#unsynced.delete(event.kind)
    }
  }
}
