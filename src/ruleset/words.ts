// nft's words that differ by family.
//
// **Invariant:** nothing but words.
import type { Family } from '../model/ip.ts'

/** In front of `saddr` and `daddr`. */
export function addressWord(family: Family): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6'
}
