// What somebody else does to our tables on a real node, chosen at random: through nft, as a person or another program would.
//
// **Invariant:** what packets and the cutter write (elements that expire) is left alone, and what is said to have changed
// did change.
import type { RealCluster } from '../support/real-cluster.ts'
import type { Random } from '../support/random.ts'

interface Listed {
  readonly chain?: { readonly name: string }
  readonly rule?: { readonly chain: string; readonly handle: number }
  readonly set?: ListedSet
  readonly map?: ListedSet
}

interface ListedSet {
  readonly name: string
  readonly flags?: readonly string[]
  readonly elem?: readonly unknown[]
}

export interface Disturbance {
  /** What was done, for nft. */
  readonly what: string
  /** An edit may take away just that: then nobody has anything to put right. */
  readonly isOfElements: boolean
}

/** Null where nothing could be done. */
export function disturbTable(lab: RealCluster, node: string, table: string, random: Random): Disturbance | null {
  const [family, name] = table.split(' ')
  const listing = lab.run(node, ['nft', '-j', '-a', 'list', 'table', ...table.split(' ')], { mayFail: true })
  if (listing === '') return null
  const listed = (JSON.parse(listing) as { nftables: readonly Listed[] }).nftables
  const one = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
  const rules = listed.flatMap(({ rule }) => (rule === undefined ? [] : [rule]))
  const sets = listed.flatMap(({ set, map }) => set ?? map ?? []).filter(({ flags, elem }) => elem !== undefined && elem.length > 0 && !(flags ?? []).some((flag) => flag === 'dynamic' || flag === 'timeout'))
  const kinds: readonly (() => string | object | null)[] = [
    () => `flush table ${table}`,
    () => `delete table ${table}`,
    () => `add chain ${table} strange`,
    () => `add set ${table} strange { type ipv4_addr; }`,
    () => {
      const rule = one(rules)
      return rule === undefined ? null : `delete rule ${table} ${rule.chain} handle ${rule.handle}`
    },
    () => {
      const rule = one(rules)
      return rule === undefined ? null : `insert rule ${table} ${rule.chain} accept`
    },
    () => {
      const rule = one(rules)
      return rule === undefined ? null : `flush chain ${table} ${rule.chain}`
    },
    () => {
      const set = one(sets)
      const elem = one(set?.elem ?? [])
      return set === undefined || elem === undefined ? null : { nftables: [{ delete: { element: { family, table: name, name: set.name, elem: [elem] } } }] }
    },
    () => {
      const set = one(sets)
      return set === undefined ? null : `flush set ${table} ${set.name}`
    },
  ]
  const change = one(kinds)?.() ?? null
  if (change === null) return null
  const text = typeof change === 'string' ? change : JSON.stringify(change)
  // The agent may have taken away in between what was chosen.
  if (!lab.succeeds(node, ['nft', ...(typeof change === 'string' ? [] : ['-j']), text])) return null
  return { what: text, isOfElements: typeof change !== 'string' || change.startsWith('flush set') }
}
