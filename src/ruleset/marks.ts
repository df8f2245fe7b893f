// How the conntrack mark is divided: which of its bits are ours (setting serviceMarkMask), and what each says.
//
//   affinity | masquerade | list of endpoints | code of its length | (bits of others, above or below)
//
// While length is 0 the list's bits say who asks; the lookup's answer overwrites them.
// **Invariant:** bits outside the mask are never set and never lost.
import type { Client, ListId, ServiceEntry, SizeCode } from '../nat/plan.ts'

/** Bits of others wait on the kernel's call stack, one level each; it has 16, and some are ours. */
export const MOST_FOREIGN_BITS = 10
const FLAGS = 2
const MOST_LIST_BITS = 16
const LEAST_SIZE_BITS = 8

export interface MarkLayout {
  readonly mask: number
  readonly affinity: number
  readonly masquerade: number
  readonly lists: number
  readonly sizes: number
  /** One value for each bit of others, the least first. */
  readonly foreign: readonly number[]
  readonly mostLists: number
  readonly mostSizes: number
}

/** Null where the mask's bits are not side by side, or too few: at least 22. */
export function markLayout(mask: number): MarkLayout | null {
  const bits = mask.toString(2).padStart(32, '0')
  const match = /^0*(1+)(0*)$/.exec(bits)
  if (!Number.isInteger(mask) || mask < 0 || mask > 0xffffffff || match === null) return null
  const width = (match[1] as string).length
  const shift = (match[2] as string).length
  if (32 - width > MOST_FOREIGN_BITS) return null
  const listBits = Math.min(MOST_LIST_BITS, width - FLAGS - LEAST_SIZE_BITS)
  const sizeBits = width - FLAGS - listBits
  const field = (at: number, length: number): number => (2 ** length - 1) * 2 ** (shift + at)
  return Object.freeze({
    mask,
    affinity: 2 ** (shift + width - 1),
    masquerade: 2 ** (shift + width - 2),
    lists: field(sizeBits, listBits),
    sizes: field(0, sizeBits),
    foreign: Object.freeze(Array.from({ length: 32 }, (_, bit) => 2 ** bit).filter((bit) => (BigInt(mask) & BigInt(bit)) === 0n)),
    mostLists: 2 ** listBits - 1,
    // 0 is no service; the two largest say why there is no endpoint.
    mostSizes: 2 ** sizeBits - 3,
  })
}

export function listMark({ lists }: MarkLayout, id: ListId): number {
  return id * leastBit(lists)
}

export function sizeMark({ sizes }: MarkLayout, code: SizeCode): number {
  return code * leastBit(sizes)
}

/** No endpoint on any node. */
export function rejectMark({ sizes }: MarkLayout): number {
  return sizes
}

/** There are some, and the local policy leaves none. */
export function dropMark({ sizes }: MarkLayout): number {
  return sizes - leastBit(sizes)
}

/** What stands in the mark while it is looked up. */
export function clientMark(layout: MarkLayout, client: Client): number {
  return listMark(layout, { pod: 1, outside: 2, node: 3 }[client])
}

/** Null where it names none. */
export function listOfMark({ lists, sizes }: MarkLayout, mark: number): ListId | null {
  const bits = BigInt(Number.isInteger(mark) && mark >= 0 ? mark : 0)
  // What stands for no endpoint has no list, whatever is in its bits.
  if ((bits & BigInt(sizes)) === BigInt(sizes)) return null
  const id = Number(bits & BigInt(lists)) / leastBit(lists)
  return id === 0 ? null : id
}

/** What the lookup of an entry gives. */
export function entryMark(layout: MarkLayout, { to, masquerade }: Pick<ServiceEntry, 'to' | 'masquerade'>, size: SizeCode, stays: boolean): number {
  if (to === 'reject') return rejectMark(layout)
  if (to === 'drop') return dropMark(layout)
  return listMark(layout, to) + sizeMark(layout, size) + (masquerade ? layout.masquerade : 0) + (stays ? layout.affinity : 0)
}

/** As rules write it: `0x00ff0000`. */
export function hex(mark: number): string {
  return `0x${mark.toString(16).padStart(8, '0')}`
}

function leastBit(field: number): number {
  return Number(BigInt(field) & -BigInt(field))
}
