// Random numbers by a seed, for tests that print it: the same seed, the same numbers.
//
// **Invariant:** numbers depend on the seed only.

/** [0, 1). */
export type Random = () => number

/** mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
