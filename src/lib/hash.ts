// Short names for long things: a hash in Crockford's base32, for names of sets and chains.
//
// **Invariant:** equal text gives an equal name, in every process and version; names are made in ruleset/names.ts only.
import { createHash } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * The first `length` base32 characters (5 bits each, at most 48) of the SHA-256 of `text`.
 * 16 characters (80 bits) where a tenant chooses the text: a collision with somebody else's name costs 2^80 tries.
 */
export function shortHash(text: string, length: number): string {
  const bytes = createHash('sha256').update(text).digest()
  let out = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    bits += 8
    while (bits >= 5 && out.length < length) {
      bits -= 5
      out += ALPHABET[(value >> bits) & 31]
    }
    value &= (1 << bits) - 1
    if (out.length === length) break
  }
  return out
}
