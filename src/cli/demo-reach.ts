// Who is meant to reach whom in the demo's shop, and whether the packets agree.
//
// Intent, cells that were measured -> faults. **Invariant:** an intent names every pair by what it lets through; a pair
// counts as reached only where both families were, and as denied only where neither was.
import type { MatrixCell } from '../lab/matrix.ts'

/** Who reaches whom: source -> destinations. Whoever is not named reaches nobody. */
export type Intent = Readonly<Record<string, readonly string[]>>

/** What the policies of deploy/examples/shop are for. */
export const SHOP_INTENT: Intent = {
  'shop/front': ['shop/api'],
  'shop/api': ['shop/db', 'outside'],
  'shop/db': [],
  'reports/nightly': ['shop/db'],
  'reports/charts': ['shop/front', 'outside'],
  outside: ['shop/front', 'reports/charts'],
}

export interface Judged {
  /** Pairs of two different ones, and how many of them are reached. */
  readonly pairs: number
  readonly reached: number
  readonly faults: readonly string[]
}

/** `intent` 'all': everybody reaches everybody. */
export function judge(cells: readonly MatrixCell[], intent: Intent | 'all'): Judged {
  const asked = cells.filter(({ from, to }) => from !== to)
  const faults = asked.flatMap(({ from, to, v4, v6 }) => {
    const meant = intent === 'all' || (intent[from] ?? []).includes(to)
    if (v4 === meant && v6 === meant) return []
    return [`${from} -> ${to}: meant to be ${meant ? 'allowed' : 'denied'}, but over IPv4 it is ${fateOf(v4)} and over IPv6 ${fateOf(v6)}`]
  })
  // Who is meant and was not asked at all must not pass unnoticed.
  const meant = intent === 'all' ? [] : Object.entries(intent).flatMap(([from, targets]) => targets.map((to) => ({ from, to })))
  const missing = meant
    .filter(({ from, to }) => !asked.some((one) => one.from === from && one.to === to))
    .map(({ from, to }) => `${from} -> ${to}: meant to be allowed, but there is no such pair`)
  return { pairs: asked.length, reached: asked.filter((one) => one.reaches === true).length, faults: [...faults, ...missing] }
}

function fateOf(reaches: boolean | null): string {
  return reaches === null ? 'not asked' : reaches ? 'allowed' : 'denied'
}

/** For `--output json`. */
export function cellFacts(cells: readonly MatrixCell[]): readonly unknown[] {
  return cells.filter(({ from, to }) => from !== to).map(({ from, to, port, v4, v6 }) => ({ from, to, port, v4, v6 }))
}
