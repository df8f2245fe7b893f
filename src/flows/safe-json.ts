// JSON that can be printed: the same value, with everything unprintable escaped.
//
// JSON escapes the first 32 characters only; a terminal obeys others, too (U+009B begins a sequence as ESC [ does).
// **Invariant:** what it says is what was given; a text that is printable already stays as it is, to the byte.

const UNPRINTABLE = /[\p{C}\u2028\u2029]/u
const ALL_UNPRINTABLE = /[\p{C}\u2028\u2029]/gu

/** In one line. */
export function safeJson(value: unknown): string {
  const text = JSON.stringify(value)
  return UNPRINTABLE.test(text) ? text.replaceAll(ALL_UNPRINTABLE, escape) : text
}

/** `line` is the JSON of `value`. */
export function safeLine(line: string, value: unknown): string {
  return UNPRINTABLE.test(line) ? safeJson(value) : line
}

/** As JSON writes them: in units of UTF-16. */
function escape(char: string): string {
  return Array.from({ length: char.length }, (_, index) => `\\u${char.charCodeAt(index).toString(16).padStart(4, '0')}`).join('')
}
