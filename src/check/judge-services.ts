// What a node's facts mean for Services: who translates them, and what Picket needs where it does.
//
// Where Picket does not, only the mode of whoever does counts.
// **Invariant:** that kube-proxy does not run is never said where its process could not be seen.
import { FAMILIES } from '../model/ip.ts'
import { hex, markLayout } from '../ruleset/marks.ts'
import { counted, error, named, ok, warning, type Finding } from './finding.ts'
import { IPVS_LINK, leftOvers } from './kube-proxy.ts'
import { WHOLE_MARK, type MarkWriter } from './mark-writers.ts'
import { SETTINGS, type NodeFacts } from './node-facts.ts'
import type { Translation } from './translation.ts'

/** Of serviceMarkMask. */
const DEFAULT_MASK = 0xffffff00
const STOP = 'of kubeadm: kubectl -n kube-system delete daemonset kube-proxy; keep its manifest'
const SYSCTL_FILE = '/etc/sysctl.d/90-picket.conf'

export function judgeServices(facts: NodeFacts): readonly Finding[] {
  const { translation } = facts
  if (translation === null) return [byOthers(facts)]
  return [...beside(facts), ...marks(translation, facts.legacyTables), ...connections(facts), ...routes(facts, translation)]
}

/** Picket does not translate. */
function byOthers({ chains, tables, links, legacyTables, programs }: NodeFacts): Finding {
  if (links.some(({ name }) => name === IPVS_LINK)) {
    const what = `IPVS (interface ${IPVS_LINK}), which carries packets past the forward hook: policies do not hold for Service traffic`
    return error('kube-proxy', what, `set kube-proxy to mode nftables or iptables, and remove ${IPVS_LINK} (kube-proxy --cleanup)`)
  }
  const modes = [
    ...(tables.includes('ip kube-proxy') || tables.includes('ip6 kube-proxy') ? ['nftables'] : []),
    ...(chains.some(({ name }) => name === 'KUBE-SERVICES') ? ['iptables'] : []),
  ]
  if (modes.length > 1) return warning('kube-proxy', 'rules of mode nftables and of mode iptables', 'run kube-proxy --cleanup once for the mode that is no longer used')
  if (modes.length === 1) return ok('kube-proxy', `mode ${modes[0]}`)
  const legacy = legacyTables.includes('nat') ? '; iptables-legacy has a table nat, which is not looked into' : ''
  if (legacy !== '' && programs.includes('kube-proxy')) return ok('kube-proxy', 'a process, mode iptables by iptables-legacy')
  return warning('kube-proxy', `no rules of it are seen${legacy}`, 'see who translates Services: by eBPF or in user space it would go past the forward hook, and policies would not hold')
}

function beside(facts: NodeFacts): readonly Finding[] {
  const { programs, legacyTables, seesProcesses } = facts
  const { what, commands } = leftOvers(facts)
  const remove = commands.join('; ')
  const found: Finding[] = []
  if (programs.includes('kube-proxy')) {
    found.push(warning('kube-proxy', 'kube-proxy runs as well (its process is here): a connection is translated by whoever comes first', `stop it (${STOP}), then check again for what it leaves`))
  } else if (what.length > 0 && seesProcesses) {
    found.push(warning('kube-proxy', `left of kube-proxy, of which no process is seen: ${what.join(', ')}`, `remove it: ${remove}`))
  } else if (what.length > 0) {
    found.push(warning('kube-proxy', `rules of kube-proxy are here as well: ${what.join(', ')}; whether it still runs is not seen from inside a pod`, `stop it if it runs (${STOP}); then, on the node: ${remove}`))
  }
  if (legacyTables.includes('nat')) {
    found.push(warning('kube-proxy', 'iptables-legacy has a table nat, which is not looked into', 'see that kube-proxy left nothing there: iptables-legacy-save -t nat | grep KUBE-'))
  }
  const nothing = found.length > 0 ? '' : `; no rules${seesProcesses ? ' and no process' : ''} of kube-proxy`
  return [ok('kube-proxy', `Picket translates Services${nothing}`), ...found]
}

/** Other users of connections' marks. */
function marks({ mask, markWriters, unreadTables }: Translation, legacyTables: readonly string[]): readonly Finding[] {
  const ours = mask ?? DEFAULT_MASK
  const setting = `serviceMarkMask ${hex(ours)}`
  const overlapping = markWriters.filter(({ bits }) => common(bits, ours) !== 0)
  const unknown = markWriters.filter(({ bits }) => bits === null)
  const findings: Finding[] = []
  if (overlapping.length > 0) {
    const shared = overlapping.reduce((sum, { bits }) => (sum | common(bits, ours)) >>> 0, 0)
    const taken = markWriters.reduce((sum, { bits }) => (sum | (bits ?? 0)) >>> 0, 0)
    findings.push(error('conntrack-mark', `${named(overlapping.map(told))}, of which ${hex(shared)} are Picket's (${setting}): connections to Services go astray`, remedy(taken)))
  }
  for (const family of ['ip', 'ip6'] as const) {
    const hidden = unknown.filter(({ table }) => table.startsWith('ip6 ') === (family === 'ip6'))
    if (hidden.length === 0) continue
    const program = family === 'ip' ? 'iptables-nft-save' : 'ip6tables-nft-save'
    findings.push(
      warning('conntrack-mark', `${named(hidden.map(({ chain, table }) => `chain ${chain} of table ${table}`))}: CONNMARK, whose bits nf_tables does not show`, `compare what stands behind a / (no mask: all bits) with ${setting}: ${program} | grep CONNMARK; --restore-mark changes none`),
    )
  }
  if (unreadTables.length > 0) findings.push(warning('conntrack-mark', `table ${named(unreadTables)} cannot be read`, `see with nft list ruleset that its rules set no bits of ct mark within ${setting}`))
  if (legacyTables.includes('mangle')) findings.push(warning('conntrack-mark', 'iptables-legacy has a table mangle, which is not looked into', `compare iptables-legacy-save -t mangle | grep CONNMARK with ${setting}`))
  if (findings.length > 0) return findings
  const others = markWriters.map(told)
  return [ok('conntrack-mark', others.length === 0 ? `no other rule sets connections' marks (${setting})` : `${named(others)}: outside ${setting}`)]
}

function common(bits: number | null, mask: number): number {
  return ((bits ?? 0) & mask) >>> 0
}

function told({ table, chain, bits }: MarkWriter): string {
  return `chain ${chain} of table ${table} sets ${bits === WHOLE_MARK ? 'the whole mark' : `bits ${hex(bits ?? 0)}`}`
}

/** The widest mask that leaves `taken` to others, where one is wide enough. */
function remedy(taken: number): string {
  const free = (~taken >>> 0).toString(2).padStart(32, '0')
  const [widest] = [...free.matchAll(/1+/g)].sort((a, b) => b[0].length - a[0].length)
  const mask = widest === undefined ? 0 : (2 ** widest[0].length - 1) * 2 ** (32 - widest.index - widest[0].length)
  if (markLayout(mask) !== null) return `set serviceMarkMask: "${hex(mask)}", which leaves them their bits, or give that program others`
  return 'give that program other bits: at most 10 are left to others, above or below serviceMarkMask, which needs 22 side by side'
}

/** kube-proxy's own defaults; it never goes above the last of the first. */
function wantedConnections(cores: number): readonly (readonly [name: string, least: number])[] {
  return [
    [SETTINGS.mostEntries, Math.min(Math.max(32_768 * cores, 131_072), 1_048_576)],
    [SETTINGS.established, 86_400],
    [SETTINGS.closeWait, 3_600],
  ]
}

function connections({ settings, cores }: NodeFacts): readonly Finding[] {
  const low = wantedConnections(cores).filter(([name, least]) => settings[name] !== null && settings[name] !== undefined && Number(settings[name]) < least)
  if (low.length === 0) return [ok('sysctl', 'connections are tracked at least as long, and as many, as kube-proxy would set it')]
  const dotted = (name: string): string => name.replaceAll('/', '.')
  const lines = low.map(([name, least]) => `'${dotted(name)} = ${least}'`)
  return [
    warning('sysctl', `lower than kube-proxy sets it, and Picket writes no settings: ${low.map(([name, least]) => `${dotted(name)} is ${settings[name]} (kube-proxy: ${least})`).join(', ')}`, `printf '%s\\n' ${lines.join(' ')} >> ${SYSCTL_FILE} && sysctl -p ${SYSCTL_FILE}`),
  ]
}

/** The kernel looks for a route before it translates what the node itself sends. */
function routes({ links, routes: known }: NodeFacts, { serviceCidrs }: Translation): readonly Finding[] {
  const families = FAMILIES.filter((family) => links.some(({ name, addresses }) => name !== 'lo' && addresses.some((address) => address.includes(':') === (family === 6))))
  const findings = families.flatMap((family): readonly Finding[] => {
    const wanted = serviceCidrs.filter((range) => range.family === family)
    const isRouted = (first: bigint, last: bigint): boolean => known.some((route) => route.family === family && route.first <= first && last <= route.last)
    const missing = wanted.filter(({ first, last }) => !isRouted(first, last)).map(({ text }) => text)
    if (isRouted(0n, family === 4 ? 2n ** 32n - 1n : 2n ** 128n - 1n) || (wanted.length > 0 && missing.length === 0)) return []
    const what = `no default route of IPv${family}${missing.length === 0 ? '' : `, and none that covers ${named(missing)}`}`
    const example = `ip${family === 6 ? ' -6' : ''} route add ${missing[0] ?? 'default'} dev INTERFACE`
    return [warning('routes', `${what}: what the node itself sends to Services is refused before it is translated`, `add one, such as ${example}`)]
  })
  return findings.length > 0 ? findings : [ok('routes', `what the node sends to Services has a route (${counted(families.length, 'family', 'families')})`)]
}
