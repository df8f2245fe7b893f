// A table -> how much is in it, and a hash of its text: equal wherever the same rules, sets and elements are.
//
// The order in which elements and objects came does not count, so that no list of them is made or sorted; elements are summed up.
// **Invariant:** visits each rule and element once and keeps nothing. The hash tells tables apart by chance alone (64 bits, not
// cryptographic): nothing may be enforced by it.
import { isKernels, type TableState } from './state.ts'

export interface Fingerprint {
  readonly rules: number
  readonly elements: number
  /** 16 hexadecimal digits. */
  readonly hash: string
}

interface Sum {
  high: number
  low: number
}

export function fingerprintOf({ chains, sets, counters }: TableState): Fingerprint {
  const sum: Sum = { high: 0, low: 0 }
  let rules = 0
  let elements = 0
  for (const chain of chains.values()) {
    rules += chain.rules.length
    add(sum, JSON.stringify(chain))
  }
  for (const counter of counters.keys()) add(sum, `counter ${counter}`)
  for (const [name, set] of sets) {
    elements += set.elements.size
    add(sum, JSON.stringify(set.object))
    // Those of the kernel's own come and go with packets.
    if (isKernels(set)) continue
    const seed = hash(name, 0)
    for (const { key, value } of set.elements.values()) add(sum, value === undefined ? key : `${key} : ${value}`, seed)
  }
  return { rules, elements, hash: [sum.high, sum.low].map((half) => half.toString(16).padStart(8, '0')).join('') }
}

function add(sum: Sum, text: string, seed = 0): void {
  sum.high = (sum.high + hash(text, seed ^ 0x9e3779b9)) >>> 0
  sum.low = (sum.low + hash(text, seed)) >>> 0
}

/** FNV-1a over UTF-16 units, with a last mixing, since plain sums of it would be too even. */
function hash(text: string, seed: number): number {
  let value = (0x811c9dc5 ^ seed) >>> 0
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
