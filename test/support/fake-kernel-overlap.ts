// Do two elements of a set with intervals overlap? For the fake kernel: the real one refuses such a set.
//
// **Invariant:** two elements overlap when every part of one meets the same part of the other.
import { parseAddress, toBits } from '../../src/model/ip.ts'

/** Each part from `first` to `last`; what is no number (an interface, a protocol) is a range of one, by its text. */
interface Part {
  readonly first: bigint | string
  readonly last: bigint | string
}

const parsed = new Map<string, readonly Part[]>()

/** The key of an element that overlaps another one; null where all are disjoint. */
export function findOverlap(keys: Iterable<string>): string | null {
  const elements = [...keys].map((key) => ({ key, parts: partsOf(key) }))
  elements.sort((a, b) => compare(a.parts[0]?.first ?? 0n, b.parts[0]?.first ?? 0n))
  // Those that have begun in the first part and may not have ended.
  let open: typeof elements = []
  for (const element of elements) {
    const begins = element.parts[0]?.first ?? 0n
    open = open.filter((other) => compare(other.parts[0]?.last ?? 0n, begins) >= 0)
    if (open.some((other) => other.parts.every((part, i) => meet(part, element.parts[i] as Part)))) return element.key
    open.push(element)
  }
  return null
}

function meet(a: Part, b: Part): boolean {
  return compare(a.first, b.last) <= 0 && compare(b.first, a.last) <= 0
}

/** Numbers before words. */
function compare(a: bigint | string, b: bigint | string): number {
  if (typeof a !== typeof b) return typeof a === 'bigint' ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

function partsOf(key: string): readonly Part[] {
  const known = parsed.get(key)
  if (known !== undefined) return known
  if (parsed.size > 200_000) parsed.clear()
  const parts = key.split(' . ').map((part): Part => {
    const [first, last = first] = part.startsWith('"') ? [part] : part.split('-')
    return { first: valueOf(first as string), last: valueOf(last as string) }
  })
  parsed.set(key, parts)
  return parts
}

function valueOf(text: string): bigint | string {
  if (/^[0-9]+$/.test(text)) return BigInt(text)
  const address = parseAddress(text)
  return address === null ? text : toBits(address)
}
