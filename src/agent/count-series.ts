// Totals of counters -> the series of a scrape: one for each rule and each pod's direction, up to a number; the rest as one sum.
//
// What has a series keeps it, and what was left out stays left out, as long as it is counted: so that no sum falls because a series moved.
// **Invariant:** packets are in one series or in the sum, never in both, and never in none.
import type { CounterValue } from '../nft/listing.ts'
import type { CountedReading, CountedSeries } from '../telemetry/readings.ts'
import type { Total } from './counting.ts'

type Kind = Total['counted']['kind']

interface Series extends CounterValue, CountedSeries {
  readonly live: boolean
}

export class CountSeries {
  readonly #most: number
  readonly #shown = new Set<string>()
  /** What is left out -> the total that is in the sum. */
  readonly #left = new Map<string, CounterValue>()
  readonly #overflow: Record<Kind, CounterValue> = { allowed: { packets: 0, bytes: 0 }, dropped: { packets: 0, bytes: 0 } }

  /** `most` series; each is one of packets and one of bytes. */
  constructor(most: number) {
    this.#most = most
  }

  of(totals: Iterable<Total>): CountedReading {
    const all = seriesOf(totals)
    for (const key of this.#shown) if (!all.has(key)) this.#shown.delete(key)
    for (const key of this.#left.keys()) if (!all.has(key)) this.#left.delete(key)
    const shown: CountedSeries[] = []
    for (const [key, series] of all) {
      if (!this.#left.has(key) && (this.#shown.has(key) || this.#shown.size < this.#most)) {
        this.#shown.add(key)
        shown.push(series)
      } else this.#leaveOut(key, series)
    }
    return { series: shown, overflow: this.#overflow, leftOut: this.#left.size }
  }

  #leaveOut(key: string, series: Series): void {
    const before = this.#left.get(key) ?? { packets: 0, bytes: 0 }
    const grown = (what: keyof CounterValue): number => this.#overflow[series.kind][what] + (series[what] < before[what] ? series[what] : series[what] - before[what])
    this.#overflow[series.kind] = { packets: grown('packets'), bytes: grown('bytes') }
    this.#left.set(key, { packets: series.packets, bytes: series.bytes })
  }
}

/** By labels. What is counted now stands in for what went under the same name: another policy, or another pod. */
function seriesOf(totals: Iterable<Total>): ReadonlyMap<string, Series> {
  const all = new Map<string, Series>()
  for (const { counted, live, packets, bytes } of totals) {
    const labels = labelsOf(counted)
    const key = JSON.stringify([counted.kind, labels])
    const other = all.get(key)
    if (other !== undefined && other.live && !live) continue
    const joins = other !== undefined && other.live && live
    all.set(key, { kind: counted.kind, labels, live, packets: packets + (joins ? other.packets : 0), bytes: bytes + (joins ? other.bytes : 0) })
  }
  return all
}

function labelsOf(counted: Total['counted']): Readonly<Record<string, string>> {
  const { namespace, direction } = counted
  if (counted.kind === 'dropped') return { namespace, pod: counted.pod, direction }
  return { namespace, policy: counted.policy?.name ?? '', direction, rule: counted.rule === null ? 'several' : String(counted.rule) }
}
