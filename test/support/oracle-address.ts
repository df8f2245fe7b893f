// The oracle's own arithmetic of addresses and CIDRs: shares no line with src/model/ip.ts.
//
// **Invariant:** imports nothing. An address is its list of bits, so that "inside a CIDR" is "begins with the same bits".

/** The 32 or 128 bits of an address as a string of 0 and 1; null where `text` is no address. */
export function bitString(text: string): string | null {
  const known = KNOWN.get(text)
  if (known !== undefined) return known
  const bits = text.includes(':') ? bitsOfSix(text) : bitsOfFour(text)
  if (KNOWN.size > 10_000) KNOWN.clear()
  KNOWN.set(text, bits)
  return bits
}

/** Every question parses the same few texts again. */
const KNOWN = new Map<string, string | null>()

function bitsOfFour(text: string): string | null {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256)) return null
  return parts.map((part) => Number(part).toString(2).padStart(8, '0')).join('')
}

function bitsOfSix(text: string): string | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')))
  const head = groups[0] ?? []
  const tail = groups[1] ?? []
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const all = [...head, ...Array.from({ length: missing }, () => '0'), ...tail]
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return null
  return all.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('')
}

/**
 * "cidr is a string representing the IPBlock; valid examples are 192.168.1.0/24 or 2001:db8::/64." Host bits do not
 * matter (rule 51), and the families never mix (rule 50). Null where `cidr` cannot be read.
 */
export function cidrHolds(cidr: string, address: string): boolean | null {
  const slash = cidr.indexOf('/')
  const network = bitString(slash < 0 ? '' : cidr.slice(0, slash))
  const length = cidr.slice(slash + 1)
  if (network === null || !/^(0|[1-9][0-9]*)$/.test(length) || Number(length) > network.length) return null
  const bits = bitString(address)
  if (bits === null || bits.length !== network.length) return false
  return bits.startsWith(network.slice(0, Number(length)))
}

/** Whether two texts mean the same address. */
export function sameAddress(a: string, b: string): boolean {
  const bits = bitString(a)
  return bits !== null && bits === bitString(b)
}
