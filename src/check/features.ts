// What Picket's tables need of the kernel, one small transaction for each: which of them is missing, where the whole is refused.
//
// `picket` writes nothing of these but in check mode: the kernel judges them and drops them.
// **Invariant:** each stands by itself, so that its refusal names it.
export const TRIAL_TABLE = 'picket-trial'

export interface Feature {
  readonly name: string
  /** What to load, or what to build the kernel with. */
  readonly module: string
  /** Commands behind `add table` and `add chain ... c`. */
  readonly lines: readonly string[]
}

const T = `inet ${TRIAL_TABLE}`

export const FEATURES: readonly Feature[] = [
  { name: 'a table of the family inet', module: 'nf_tables (CONFIG_NF_TABLES_INET)', lines: [] },
  ...['prerouting', 'input', 'forward'].map((hook) => ({
    name: `a filter chain on ${hook}`,
    module: 'nf_tables (CONFIG_NF_TABLES_INET)',
    lines: [`add chain ${T} h { type filter hook ${hook} priority filter - 10; policy accept; }`],
  })),
  { name: 'hash sets', module: 'nft_set_hash (part of nf_tables)', lines: [`add set ${T} s { typeof ip saddr; }`, `add rule ${T} c ip saddr @s accept`] },
  { name: 'concatenated keys', module: 'nf_tables', lines: [`add set ${T} s { typeof iifname . ip saddr; }`, `add rule ${T} c iifname . ip saddr @s accept`] },
  { name: 'sets of intervals', module: 'nft_set_rbtree (part of nf_tables)', lines: [`add set ${T} s { typeof ip saddr; flags interval; }`, `add element ${T} s { 10.0.0.0-10.0.0.9 }`] },
  {
    name: 'intervals in concatenated keys', module: 'nft_set_pipapo (part of nf_tables), Linux 5.6',
    lines: [`add set ${T} s { typeof iifname . ip saddr; flags interval; }`, `add element ${T} s { "x" . 10.0.0.0/8 }`, `add rule ${T} c iifname . ip saddr @s accept`],
  },
  { name: 'verdict maps', module: 'nf_tables', lines: [`add map ${T} m { typeof iifname : verdict; }`, `add element ${T} m { "x" : accept }`, `add rule ${T} c iifname vmap @m`] },
  { name: 'kinds of interfaces (meta iifkind)', module: 'nf_tables', lines: [`add rule ${T} c meta iifkind "veth" accept`] },
  { name: 'named counters', module: 'nft_counter, nft_objref', lines: [`add counter ${T} n`, `add rule ${T} c counter name "n" drop`] },
  { name: 'maps of counters', module: 'nft_objref', lines: [`add counter ${T} n`, `add map ${T} m { type ifname : counter; }`, `add element ${T} m { "x" : "n" }`, `add rule ${T} c counter name iifname map @m`] },
  { name: 'connection tracking', module: 'nft_ct, nf_conntrack', lines: [`add rule ${T} c ct state invalid drop`, `add rule ${T} c ct direction reply accept`] },
  { name: 'raw payload (@th)', module: 'nf_tables', lines: [`add rule ${T} c meta l4proto sctp @th,96,8 1 drop`] },
  {
    name: 'sets that packets fill, with a timeout', module: 'nft_dynset (part of nf_tables)',
    lines: [`add set ${T} s { typeof ip saddr; flags dynamic,timeout; timeout 10s; size 1024; }`, `add rule ${T} c update @s { ip saddr }`],
  },
  { name: 'IPv6', module: 'nf_tables, ipv6', lines: [`add set ${T} s { typeof ip6 saddr; comment "x"; }`, `add rule ${T} c ip6 saddr @s icmpv6 type nd-neighbor-solicit accept`] },
]

export function textOf({ lines }: Feature): string {
  return [`add table ${T}`, `add chain ${T} c`, ...lines, ''].join('\n')
}
