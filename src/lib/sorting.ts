// Orders for Array.sort that do not depend on the locale: names, ids and keys are sorted by them wherever order shows.
//
// **Invariant:** code-unit order, the same on every machine.

/** For Array.sort: code-unit order of strings. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** For Array.sort: by a text that `key` gives for each value. */
export function by<T>(key: (value: T) => string): (a: T, b: T) => number {
  return (a, b) => byText(key(a), key(b))
}
