// nftables' nouns, as data: what a table holds and what a transaction does to it. Knows no Kubernetes.
//
// Bodies of rules are nft text, made by whoever builds the rule; everything around them is typed.
// **Invariant:** objects are frozen values; two with equal fields are the same object, whoever made them.

export type TableFamily = 'inet' | 'bridge'

export interface Table {
  readonly family: TableFamily
  readonly name: string
  readonly comment?: string
}

/** A base chain has a hook; priority in nft's own words (`filter - 10`, `raw`). */
export interface Chain {
  readonly kind: 'chain'
  readonly name: string
  readonly base?: { readonly type: 'filter' | 'nat' | 'route'; readonly hook: string; readonly priority: string; readonly policy: 'accept' | 'drop' }
  readonly comment?: string
  /** Bodies, in order: `ip saddr @pods/0QW1N8ZC/v4 accept`. */
  readonly rules: readonly string[]
}

export interface NftSet {
  readonly kind: 'set'
  readonly name: string
  /** The expressions that a key is made of: `['ip saddr', 'meta l4proto', 'th dport']`. */
  readonly key: readonly string[]
  readonly flags: readonly ('interval' | 'dynamic' | 'timeout')[]
  /** Seconds; with flag timeout. */
  readonly timeout?: number
  /** Maximum number of elements; with flag dynamic. */
  readonly size?: number
  readonly comment?: string
}

export interface NftMap extends Omit<NftSet, 'kind'> {
  readonly kind: 'map'
  /** `verdict`, `counter` (each element leads to a counter by its name), or the expressions of the data. */
  readonly data: readonly string[]
}

export interface Counter {
  readonly kind: 'counter'
  readonly name: string
  readonly comment?: string
}

export type NftObject = Chain | NftSet | NftMap | Counter
export type ObjectKind = NftObject['kind']

/**
 * An element of a set or map. `key` is nft text in canonical form: parts joined by ` . `, names of interfaces quoted,
 * addresses canonical, ranges `first-last` (a range of one is that one, never a prefix), protocols in lower case:
 * `"veth1" . 10.0.0.1`, `10.0.0.0-10.0.0.9`, `10.0.0.1 . tcp . 80`. Numbers (marks, ports, indexes) are decimal, in data too.
 */
export interface Element {
  readonly key: string
  /** Of a map: `goto ingress/shop/ABC`, `accept`, the name of a counter, or data. */
  readonly value?: string
}

/** Who an operation is for (`NetworkPolicy shop/web`, `Pod shop/api`): what a refused transaction is bisected by. */
export type Owner = string

/** What elements are of is named with its declaration: by that they can be written past nft (element-bytes.ts). */
export type Operation =
  | { readonly verb: 'add'; readonly object: NftObject; readonly owners: readonly Owner[] }
  /** Replaces the rules of a chain that is there. */
  | { readonly verb: 'rewrite'; readonly object: Chain; readonly owners: readonly Owner[] }
  | { readonly verb: 'delete'; readonly object: { readonly kind: ObjectKind; readonly name: string }; readonly owners: readonly Owner[] }
  | {
      readonly verb: 'add-elements' | 'delete-elements'
      readonly set: NftSet | NftMap
      readonly elements: readonly Element[]
      readonly owners: readonly Owner[]
    }
  /**
   * Takes out what is there; what is not there, or expires just now, is no refusal. For sets whose elements packets make
   * and time takes away; elements of maps need their value.
   */
  | {
      readonly verb: 'remove-elements'
      readonly set: NftSet | NftMap
      readonly elements: readonly Element[]
      readonly owners: readonly Owner[]
    }
  /** Empties a set that stays and gives it exactly these elements: loses no packet either, and nft is faster at it than at many deletes. */
  | {
      readonly verb: 'refill-elements'
      readonly set: NftSet | NftMap
      readonly elements: readonly Element[]
      readonly owners: readonly Owner[]
    }

/** All or nothing. `stage` adds what nothing reaches yet, `switch` changes what packets see, `sweep` deletes what nothing names. */
export interface Transaction {
  readonly table: Table
  readonly step: 'stage' | 'switch' | 'sweep'
  /** Whether the table itself has to be made. */
  readonly createsTable: boolean
  readonly operations: readonly Operation[]
}
