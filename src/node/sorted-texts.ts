// A set of texts that is always in order, and gives itself away as a frozen list.
//
// interfaces.ts keeps addresses and host routes of each interface in one, so that a change costs a search and a move
// of memory, not a sort of everything. **Invariant:** the list is sorted and distinct; it is the identical one until
// something changes.
import { byText } from '../lib/sorting.ts'

export class SortedTexts {
  readonly #texts: string[] = []
  #frozen: readonly string[] | null = null

  /** No effect where it is there already. */
  add(text: string): void {
    const place = this.#placeOf(text)
    if (this.#texts[place] === text) return
    this.#texts.splice(place, 0, text)
    this.#frozen = null
  }

  /** No effect where it is not there. */
  delete(text: string): void {
    const place = this.#placeOf(text)
    if (this.#texts[place] !== text) return
    this.#texts.splice(place, 1)
    this.#frozen = null
  }

  /** All of them, in code-unit order. */
  list(): readonly string[] {
    this.#frozen ??= Object.freeze([...this.#texts])
    return this.#frozen
  }

  /** Where the text is, or would be. */
  #placeOf(text: string): number {
    let low = 0
    let high = this.#texts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (byText(this.#texts[middle] as string, text) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The same texts in the same order. */
export function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((text, i) => text === b[i]))
}
