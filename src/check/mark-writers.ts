// Which bits of connections' marks the rules of a table change: `nft -j list table` -> chains with their bits.
//
// nft 1.0.6 lists iptables' CONNMARK without its values. **Invariant:** bits are never told too few: what is not understood
// counts as all of them, and what is not shown as unknown.
import { objectsOf } from '../nft/listing.ts'

export interface MarkWriter {
  /** `family name` */
  readonly table: string
  readonly chain: string
  /** Null: they cannot be known. */
  readonly bits: number | null
}

export const WHOLE_MARK = 0xffffffff

/** One for each chain, and one more where some of its rules do not show their bits. Throws UnreadableListing. */
export function markWriters(listing: string): readonly MarkWriter[] {
  const writers = new Map<string, MarkWriter>()
  for (const [kind, rule] of objectsOf(listing)) {
    if (kind !== 'rule' || !Array.isArray(rule['expr'])) continue
    for (const statement of rule['expr'] as readonly unknown[]) {
      const bits = writtenBits(statement)
      if (bits === 0) continue
      const [table, chain] = [`${String(rule['family'])} ${String(rule['table'])}`, String(rule['chain'])]
      const key = `${bits === null} ${table} ${chain}`
      writers.set(key, { table, chain, bits: bits === null ? null : union(writers.get(key)?.bits ?? 0, bits) })
    }
  }
  return [...writers.values()]
}

/** 0: it is about something else. */
function writtenBits(statement: unknown): number | null {
  const { mangle, xt } = (statement ?? {}) as { readonly mangle?: { readonly key?: unknown; readonly value?: unknown } | null; readonly xt?: { readonly type?: unknown; readonly name?: unknown } | null }
  if (xt?.type === 'target' && xt.name === 'CONNMARK') return null
  return isMark(mangle?.key) ? changedBits(mangle?.value) : 0
}

/** Which bits may change where the mark is set to `value`: those that are not certainly the mark's own. */
function changedBits(value: unknown): number {
  if (isMark(value)) return 0
  const operation = operationOf(value)
  if (operation === null) return WHOLE_MARK
  const [first, ...others] = operation.operands
  const changed = changedBits(first)
  switch (operation.operator) {
    case '&':
      return others.reduce<number>((bits, other) => union(bits, typeof other === 'number' ? ~other : WHOLE_MARK), changed)
    case '|':
    case '^':
      return others.reduce<number>((bits, other) => union(bits, possibleBits(other)), changed)
    default:
      return WHOLE_MARK
  }
}

/** Which bits of `value` may be set. */
function possibleBits(value: unknown): number {
  if (typeof value === 'number') return value
  const operation = operationOf(value)
  const bits = (operation?.operands ?? []).map(possibleBits)
  switch (operation?.operator) {
    case '&':
      return bits.reduce((all, one) => (all & one) >>> 0, WHOLE_MARK)
    case '|':
    case '^':
      return bits.reduce(union, 0)
    default:
      return WHOLE_MARK
  }
}

function operationOf(value: unknown): { readonly operator: string; readonly operands: readonly unknown[] } | null {
  if (typeof value !== 'object' || value === null) return null
  const [operator, operands] = Object.entries(value)[0] ?? []
  return operator !== undefined && Array.isArray(operands) && operands.length > 1 ? { operator, operands } : null
}

function isMark(expression: unknown): boolean {
  return (expression as { readonly ct?: { readonly key?: unknown } | null } | null | undefined)?.ct?.key === 'mark'
}

function union(a: number, b: number): number {
  return (a | b) >>> 0
}
