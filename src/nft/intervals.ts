// Ranges held by sources -> the disjoint elements of a set with intervals, edited in place.
//
// The kernel refuses overlapping intervals (rules 34, 52), so what several sources hold is merged, and taken apart again
// when one of them lets go. Two lists: `segments` count how many hold each stretch, `elements` are the merged ranges.
// **Invariant:** elements are disjoint, never adjacent, and cover exactly what at least one source holds.
import { SortedChunks } from './sorted-chunks.ts'

/** Both ends included. */
export interface Range {
  readonly first: bigint
  readonly last: bigint
}

/** Elements that come and go. Removed ones are deleted before added ones are added. */
export interface IntervalDelta {
  readonly added: readonly Range[]
  readonly removed: readonly Range[]
}

const NOTHING: IntervalDelta = Object.freeze({ added: [], removed: [] })

/** From `at` to the next segment's `at`, `count` (source, range) pairs cover everything. */
interface Segment {
  readonly at: bigint
  count: number
}

export class Intervals {
  readonly #held = new Map<string, Set<string>>()
  readonly #segments = new SortedChunks<Segment>((segment) => segment.at)
  readonly #elements = new SortedChunks<Range>((range) => range.first)

  /** `source` holds `range` from now on; nothing changes where it did already. Cost: log n and what the range touches. */
  add(source: string, range: Range): IntervalDelta {
    if (range.first > range.last) throw new RangeError(`range ${range.first}-${range.last} ends before it begins`)
    const held = this.#held.get(source)
    const text = textOf(range)
    if (held?.has(text) === true) return NOTHING
    if (held === undefined) this.#held.set(source, new Set([text]))
    else held.add(text)
    this.#count(range, 1)
    return this.#merge(range)
  }

  /** `source` no longer holds `range`; nothing changes where it did not. */
  remove(source: string, range: Range): IntervalDelta {
    const held = this.#held.get(source)
    if (held === undefined || !held.delete(textOf(range))) return NOTHING
    if (held.size === 0) this.#held.delete(source)
    const gaps = this.#count(range, -1)
    return gaps.length === 0 ? NOTHING : this.#split(range, gaps)
  }

  /** All elements, ascending. */
  elements(): Range[] {
    return [...this.#elements]
  }

  /** Changes the count of every segment of the range; those that came to 0, merged. */
  #count(range: Range, by: 1 | -1): Range[] {
    const end = range.last + 1n
    this.#cut(range.first)
    this.#cut(end)
    const gaps: Range[] = []
    let gap: bigint | null = null
    for (const segment of this.#segments.between(range.first, range.last)) {
      segment.count += by
      if (segment.count === 0) gap ??= segment.at
      else if (gap !== null) {
        gaps.push({ first: gap, last: segment.at - 1n })
        gap = null
      }
    }
    if (gap !== null) gaps.push({ first: gap, last: range.last })
    if (by === -1) this.#join(range)
    return gaps
  }

  /** A segment begins at `at` from now on. */
  #cut(at: bigint): void {
    const before = this.#segments.floor(at)
    if (before?.at !== at) this.#segments.set({ at, count: before?.count ?? 0 })
  }

  /** Segments with their predecessor's count are none of their own: what comes and goes leaves nothing behind. */
  #join(range: Range): void {
    let previous = this.#segments.floor(range.first - 1n)?.count ?? 0
    const needless: bigint[] = []
    for (const { at, count } of this.#segments.between(range.first, range.last + 1n)) {
      if (count === previous) needless.push(at)
      previous = count
    }
    for (const at of needless) this.#segments.delete(at)
  }

  /** Makes one element of the range and all that it meets or borders on. */
  #merge(range: Range): IntervalDelta {
    let { first, last } = range
    const before = this.#elements.floor(first)
    const removed = before !== undefined && before.last + 1n >= first && before.first < first ? [before] : []
    removed.push(...this.#elements.between(first, last + 1n))
    const [only] = removed
    if (removed.length === 1 && only !== undefined && only.first <= first && last <= only.last) return NOTHING
    for (const element of removed) {
      if (element.first < first) first = element.first
      if (element.last > last) last = element.last
      this.#elements.delete(element.first)
    }
    const merged = { first, last }
    this.#elements.set(merged)
    return { added: [merged], removed }
  }

  /** Takes `gaps`, which lie inside of `range`, out of the one element that covers `range`. */
  #split(range: Range, gaps: readonly Range[]): IntervalDelta {
    const element = this.#elements.floor(range.first) as Range
    this.#elements.delete(element.first)
    const added = subtract(element, gaps)
    for (const piece of added) this.#elements.set(piece)
    return { added, removed: [element] }
  }
}

/** `range` without `except`: ascending, disjoint. Excepts may overlap, repeat and reach beyond the range (rules 46, 49, 52). */
export function subtract(range: Range, except: readonly Range[]): Range[] {
  const pieces: Range[] = []
  let { first } = range
  for (const hole of [...except].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    if (hole.last < first) continue
    if (hole.first > range.last) break
    if (hole.first > first) pieces.push({ first, last: hole.first - 1n })
    first = hole.last + 1n
  }
  if (first <= range.last) pieces.push({ first, last: range.last })
  return pieces
}

function textOf(range: Range): string {
  return `${range.first}-${range.last}`
}
