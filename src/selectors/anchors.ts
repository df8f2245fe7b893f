// Which selectors some labels could match: each selector waits at its anchor, one equality of its own (rule 18: it must hold).
//
// **Invariant:** every selector that matches some labels is among their candidates, once; those that are anchored at
// a value which the labels lack are not. A selector without an equality is everybody's candidate.
import type { LabelSelector, Labels, Requirement } from '../model/labels.ts'
import { labelText } from './labeled-rows.ts'

export class Anchors<Item> {
  readonly #at = new Map<string, Set<Item>>()
  readonly #unanchored = new Set<Item>()
  readonly #anchorOf = new Map<Item, Requirement | null>()

  get size(): number {
    return this.#anchorOf.size
  }

  /** Every item, in the order of adding. */
  items(): Iterable<Item> {
    return this.#anchorOf.keys()
  }

  /** Adds `item`, which waits for labels that `selector` could match. An item that is there already stays where it is. */
  add(item: Item, selector: LabelSelector): void {
    if (this.#anchorOf.has(item)) return
    const anchor = this.#leastLoaded(selector)
    this.#anchorOf.set(item, anchor)
    if (anchor === null) this.#unanchored.add(item)
    for (const label of labelsOf(anchor)) {
      const items = this.#at.get(label)
      if (items === undefined) this.#at.set(label, new Set([item]))
      else items.add(item)
    }
  }

  remove(item: Item): void {
    const anchor = this.#anchorOf.get(item)
    if (anchor === undefined) return
    this.#anchorOf.delete(item)
    this.#unanchored.delete(item)
    for (const label of labelsOf(anchor)) {
      const items = this.#at.get(label)
      items?.delete(item)
      if (items?.size === 0) this.#at.delete(label)
    }
  }

  /** Items whose selector could match. `labels` has one value a key, so that no item comes twice. */
  *candidates(labels: Labels): Iterable<Item> {
    yield* this.#unanchored
    if (this.#at.size === 0) return
    for (const [key, value] of labels) {
      const items = this.#at.get(labelText(key, value))
      if (items !== undefined) yield* items
    }
  }

  /** The equality where the fewest items wait: of many selectors with `env=prod, app=X`, all but a few go to their own `app=X`. */
  #leastLoaded(selector: LabelSelector): Requirement | null {
    let best: Requirement | null = null
    let lightest = Infinity
    for (const requirement of selector.requirements) {
      if (requirement.operator !== 'In') continue
      const load = labelsOf(requirement).reduce((sum, label) => sum + (this.#at.get(label)?.size ?? 0), 0)
      if (load < lightest) [best, lightest] = [requirement, load]
    }
    return best
  }
}

function labelsOf(anchor: Requirement | null): readonly string[] {
  return anchor === null ? [] : anchor.values.map((value) => labelText(anchor.key, value))
}
