// Events that wait for their write: warnings first, each in order of arrival, of one object and reason only the newest.
//
// **Invariant:** no more wait than there is room for: what came first goes first, and of news that all is well before any warning.
import type { Series } from './event-series.ts'

export class EventQueue {
  readonly #room: number
  readonly #lanes: Readonly<Record<Series['type'], Map<string, Series>>> = { Warning: new Map(), Normal: new Map() }

  constructor(room: number) {
    this.#room = room
  }

  get size(): number {
    return this.#lanes.Warning.size + this.#lanes.Normal.size
  }

  /** In the place of one that it replaces, which is given back. */
  add(series: Series): Series | null {
    const lane = this.#lanes[series.type]
    const key = keyOf(series)
    const before = lane.get(key)
    lane.set(key, series)
    return before === undefined || before === series ? null : before
  }

  /** Whether another one waits in its place. */
  holdsOther(series: Series): boolean {
    const held = this.#lanes[series.type].get(keyOf(series))
    return held !== undefined && held !== series
  }

  /** One that there is no room for, and that waits no more; null while there is. */
  overflow(): Series | null {
    if (this.size <= this.#room) return null
    return takeFrom(this.#lanes.Normal) ?? takeFrom(this.#lanes.Warning)
  }

  take(): Series | null {
    return takeFrom(this.#lanes.Warning) ?? takeFrom(this.#lanes.Normal)
  }
}

/** What is made already counts further, and gives way to none. */
function keyOf({ isMade, id, slot }: Series): string {
  return isMade ? id : slot
}

function takeFrom(lane: Map<string, Series>): Series | null {
  for (const [key, series] of lane) {
    lane.delete(key)
    return series
  }
  return null
}
