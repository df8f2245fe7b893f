// What kube-proxy leaves to be seen on a node, and the commands that remove it when it has stopped.
//
// **Invariant:** nothing of others matches: chains of kubelet, kube-router and portmap begin with KUBE- or CNI- too.
import { named } from './finding.ts'
import type { NodeFacts } from './node-facts.ts'

export const IPVS_LINK = 'kube-ipvs0'
const TABLES = ['ip kube-proxy', 'ip6 kube-proxy'] as const
const NAMES =
  'SERVICES|EXTERNAL-SERVICES|NODEPORTS|NODE-PORT|POSTROUTING|FORWARD|PROXY-FIREWALL|PROXY-CANARY|MARK-MASQ|LOAD-BALANCER|SOURCE-RANGES-FIREWALL|IPVS-FILTER|IPVS-OUT-FILTER|(SVC|SVL|EXT|SEP|FW|XLB)-[A-Z0-9]+'
const CHAIN = new RegExp(`^KUBE-(${NAMES})$`)

export interface LeftOvers {
  /** `table ip kube-proxy`, `12 chains in ip nat (KUBE-SERVICES, ...)`, `interface kube-ipvs0`; empty for none. */
  readonly what: readonly string[]
  /** For a root shell on the node. */
  readonly commands: readonly string[]
}

export function leftOvers({ tables, chains, links }: Pick<NodeFacts, 'tables' | 'chains' | 'links'>): LeftOvers {
  const own = TABLES.filter((table) => tables.includes(table))
  const legacy = chains.filter(({ table, name }) => CHAIN.test(name) && /^ip6? (nat|filter|mangle)$/.test(table))
  const isThere = links.some(({ name }) => name === IPVS_LINK)
  const places = [...new Set(legacy.map(({ table }) => table))]
  const inPlace = (place: string): readonly string[] => legacy.filter(({ table }) => table === place).map(({ name }) => name)
  return {
    what: [...own.map((table) => `table ${table}`), ...places.map((place) => `chain ${named(inPlace(place), 1)} in ${place}`), ...(isThere ? [`interface ${IPVS_LINK}`] : [])],
    commands: [
      ...own.map((table) => `nft delete table ${table}`),
      ...(['ip', 'ip6'] as const).flatMap((family) => (places.some((place) => place.startsWith(`${family} `)) ? [withoutChains(family)] : [])),
      ...(isThere ? [`ip link delete ${IPVS_LINK}`, 'ipvsadm --clear'] : []),
    ],
  }
}

/** Chains that rules jump to cannot be deleted one by one: the tables are written anew without them, in one commit each. */
function withoutChains(family: 'ip' | 'ip6'): string {
  const program = family === 'ip' ? 'iptables-nft' : 'ip6tables-nft'
  return `${program}-save | grep -vwE 'KUBE-(${NAMES})' | ${program}-restore`
}
