// A text that has to fit: into a field of the API, or into a line of a terminal.
//
// **Invariant:** no character is cut in two: the API server counts characters, not UTF-16 units.

/** At most so many characters, with dots in place of the rest. */
export function clipped(text: string, length: number): string {
  const characters = [...text]
  return characters.length <= length ? text : `${characters.slice(0, Math.max(0, length - 3)).join('')}...`
}
