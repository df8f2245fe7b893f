// Whether two rows say the same, so that an object that is read again is no event.
//
// **Invariant:** rows are plain data: primitives, bigints, arrays, Maps in any order, and objects with fields.

/** Structural equality of rows. Lists are equal in the same order only, Maps in any. */
export function sameRow(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((value, i) => sameRow(value, b[i]))
  if (a instanceof Map) {
    return b instanceof Map && a.size === b.size && [...a].every(([key, value]) => b.has(key) && sameRow(value, b.get(key)))
  }
  if (Array.isArray(b) || b instanceof Map) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameRow(field(a, key), field(b, key)))
}

function field(of: object, key: string): unknown {
  return (of as Record<string, unknown>)[key]
}
