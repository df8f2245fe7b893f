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

  constructor(clock: Clock, push: (events: readonly SourceEvent[]) => void) {
    this.#clock = clock
    this.#push = push
  }

  /** Every event of a source passes here on its way to the inbox. */
  take(event: SourceEvent): SourceEvent {
    return event.kind === 'namespace' || event.kind === 'policy' ? this.#take(event) : event
  }

  async close(): Promise<void> {
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

  /** Notes it where there is an end to come; without what has ended. */
  #said(waiting: Map<Uid, Said>, key: Uid, decoded: Decoded<Row>): Decoded<Row> {
    const good = decoded.kind === 'good' ? decoded : (waiting.get(key)?.good ?? null)
    if (endOf(decoded) === null && (good === null || endOf(good) === null)) waiting.delete(key)
    else waiting.set(key, { good, last: decoded })
    if (waiting.size > 0) this.#wait()
    return withoutEnded(decoded, this.#clock.wallTime())
  }

  #wait(): void {
    if (this.#cancel !== null) return
    const ends = [...this.#all()].flatMap(([, , { good, last }]) => [good, last].flatMap((one) => (one === null ? [] : (endOf(one) ?? []))))
    if (ends.length === 0) return
    const left = Math.min(...ends) - this.#clock.wallTime()
    this.#cancel = this.#clock.after(Math.min(Math.max(left, 1), LONGEST_WAIT), () => {
      this.#cancel = null
      this.#end()
      this.#wait()
    })
  }

  #end(): void {
    const now = this.#clock.wallTime()
    const events: SourceEvent[] = []
    for (const [kind, key, { good, last }] of this.#all()) {
      const isOver = (one: Decoded<Row> | null): boolean => one !== null && (endOf(one) ?? Infinity) <= now
      if (!isOver(good) && !isOver(last)) continue
      // The good version first: where the last one is bad, it stands in.
      const versions = good === null || good === last ? [last] : [good, last]
      const [standing, latest] = [good === null ? null : withoutEnded(good, now), withoutEnded(last, now)]
      for (const version of versions) events.push({ verb: 'upsert', kind, key, decoded: version === last ? latest : standing } as SourceEvent)
      if (endOf(latest) === null && (standing === null || endOf(standing) === null)) this.#waiting[kind].delete(key)
      else this.#waiting[kind].set(key, { good: standing, last: latest })
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
