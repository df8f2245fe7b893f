// JSON that can be printed: the same value, with everything unprintable escaped.
//
// JSON escapes the first 32 characters only; a terminal obeys others, too (U+009B begins a sequence as ESC [ does).
// **Invariant:** what it says is what was given; a text that is printable already stays as it is, to the byte.

/** Control and format characters (C0, C1, bidirectional marks), unpaired surrogates, private ones, and line separators. */
const UNPRINTABLE = /[\p{C}\u2028\u2029]/gu
/** Most texts: told apart four times faster than by the classes of Unicode. */
const PLAIN = /^[ -~]*$/

/** In one line. */
export function safeJson(value: unknown): string {
  const text = JSON.stringify(value)
  return PLAIN.test(text) ? text : text.replaceAll(UNPRINTABLE, escape)
}

/** `line` is the JSON of `value`. */
export function safeLine(line: string, value: unknown): string {
  return PLAIN.test(line) || line.search(UNPRINTABLE) < 0 ? line : safeJson(value)
}

/** As JSON writes them: in units of UTF-16. */
function escape(char: string): string {
  return Array.from({ length: char.length }, (_, index) => `\\u${char.charCodeAt(index).toString(16).padStart(4, '0')}`).join('')
}
