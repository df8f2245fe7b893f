// Annotations audit.picket.dev/until: when the time has come the object is said once more, without what has ended.
//
//   source -> take() -> inbox;  the clock -> push -> inbox
//
// So the stages behind know no clock, and an end is a change like any other.
// **Invariant:** nothing that has ended gets into the inbox, and what ends while it is there is said again.
import type { Clock } from '../lib/clock.ts'
import { ended } from '../logging/wishes.ts'
import type { Decoded, SourceEvent, SourceEventOf } from '../model/changes.ts'
import type { LogWish } from '../model/log-wish.ts'
import type { Uid } from '../model/objects.ts'
import type { Closable } from './follower.ts'

type LoggedKind = 'namespace' | 'policy'
type LoggedEvent = SourceEventOf<LoggedKind>
interface Row {
  readonly log?: LogWish
}
/** As it was said: the last, and the last good one, which stands in for a bad one. */
interface Said {
  readonly good: Decoded<Row> | null
  readonly last: Decoded<Row>
}

/** Milliseconds: should somebody set the time meanwhile. */
const LONGEST_WAIT = 10_000

export class LogEnds implements Closable {
  readonly #clock: Clock
  readonly #push: (events: readonly SourceEvent[]) => void
  /** Objects with an end to come. */
  readonly #waiting: { readonly [K in LoggedKind]: Map<Uid, Said> } = { namespace: new Map(), policy: new Map() }
  #cancel: (() => void) | null = null
  /** What it waits for. */
  #next = 0
  #isClosed = false

  constructor(clock: Clock, push: (events: readonly SourceEvent[]) => void) {
    this.#clock = clock
    this.#push = push
  }

  /** Every event of a source passes here on its way to the inbox. */
  take(event: SourceEvent): SourceEvent {
    return event.kind === 'namespace' || event.kind === 'policy' ? this.#take(event) : event
  }

  /** Sources may go on for a while, and what ends then is nobody's any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel?.()
    this.#cancel = null
  }

  #take(event: LoggedEvent): SourceEvent {
    const waiting = this.#waiting[event.kind]
    switch (event.verb) {
      case 'synced':
        return event
      case 'delete':
        waiting.delete(event.key)
        return event
      case 'upsert':
        return { ...event, decoded: this.#said(waiting, event.key, event.decoded) } as SourceEvent
      case 'replace': {
        const rows = event.rows as ReadonlyMap<Uid, Decoded<Row>>
        for (const key of waiting.keys()) if (!rows.has(key)) waiting.delete(key)
        return { ...event, rows: new Map([...rows].map(([key, decoded]) => [key, this.#said(waiting, key, decoded)])) } as SourceEvent
      }
    }
  }

  /** Without what has ended; noted where there is an end to come. */
  #said(waiting: Map<Uid, Said>, key: Uid, decoded: Decoded<Row>): Decoded<Row> {
    const last = withoutEnded(decoded, this.#clock.wallTime())
    const said: Said = { good: last.kind === 'good' ? last : (waiting.get(key)?.good ?? null), last }
    const end = firstEnd(said)
    if (end === null) waiting.delete(key)
    else {
      waiting.set(key, said)
      this.#wait(end)
    }
    return last
  }

  /** Until then at the latest. */
  #wait(end: number): void {
    if (this.#isClosed || (this.#cancel !== null && this.#next <= end)) return
    this.#cancel?.()
    this.#next = end
    this.#cancel = this.#clock.after(Math.min(Math.max(end - this.#clock.wallTime(), 1), LONGEST_WAIT), () => {
      this.#cancel = null
      this.#end()
      const ends = [...this.#all()].flatMap(([, , said]) => firstEnd(said) ?? [])
      if (ends.length > 0) this.#wait(Math.min(...ends))
    })
  }

  #end(): void {
    const now = this.#clock.wallTime()
    const events: SourceEvent[] = []
    for (const [kind, key, said] of this.#all()) {
      const end = firstEnd(said)
      if (end === null || end > now) continue
      const last = withoutEnded(said.last, now)
      const good = said.good === null || said.good === said.last ? null : withoutEnded(said.good, now)
      const left: Said = { good: good ?? (last.kind === 'good' ? last : null), last }
      // The good version first: where the last one is bad, it stands in.
      for (const decoded of good === null ? [last] : [good, last]) events.push({ verb: 'upsert', kind, key, decoded } as SourceEvent)
      if (firstEnd(left) === null) this.#waiting[kind].delete(key)
      else this.#waiting[kind].set(key, left)
    }
    if (events.length > 0) this.#push(events)
  }

  *#all(): Iterable<readonly [LoggedKind, Uid, Said]> {
    for (const kind of ['namespace', 'policy'] as const) for (const [key, said] of this.#waiting[kind]) yield [kind, key, said]
  }
}

function rowOf(decoded: Decoded<Row>): Row | null {
  return decoded.kind === 'good' ? decoded.row : decoded.strict
}

/** Milliseconds since 1970; null where nothing ends. */
function firstEnd({ good, last }: Said): number | null {
  const ends = [good, last].flatMap((one) => (one === null ? [] : (endOf(one) ?? [])))
  return ends.length === 0 ? null : Math.min(...ends)
}

function endOf(decoded: Decoded<Row>): number | null {
  return rowOf(decoded)?.log?.until ?? null
}

function withoutEnded(decoded: Decoded<Row>, now: number): Decoded<Row> {
  const row = rowOf(decoded)
  const log = ended(row?.log, now)
  if (row === null || log === row.log) return decoded
  const { log: _, ...rest } = row
  const left: Row = Object.freeze(log === undefined ? rest : { ...rest, log })
  return decoded.kind === 'good' ? { ...decoded, row: left } : { ...decoded, strict: left }
}
