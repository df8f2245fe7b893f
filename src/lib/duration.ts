// Durations as people write them: `500ms`, `60s`, `2m`, `1.5h`.
//
// **Invariant:** one form in options, settings and queries; what is not of it is null, never a guess.

/** Milliseconds, from 1 to 2^31-1 (what a timer takes); null where `text` is no duration. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,10}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text)
  if (match === null) return null
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] as 'ms' | 's' | 'm' | 'h']
  const ms = Math.round(Number(match[1]) * unit)
  return ms >= 1 && ms <= 2 ** 31 - 1 ? ms : null
}
