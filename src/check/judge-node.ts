// What a node's facts mean for Picket: one finding for each check, or more where there is more to do.
//
// Pure, so that every kind of node is a test's input. What an agent knows of its own node is the agent's to tell.
// **Invariant:** every check says something, ok included; a bypass of the forward hook is an error, never a warning.
import { bridgeProblems } from '../agent/bridge-filter.ts'
import { flowtableProblems } from '../agent/foreign.ts'
import type { Problem } from '../lib/problem.ts'
import type { HostInterface } from '../model/objects.ts'
import { TABLE_NAME } from '../ruleset/names.ts'
import { advice, ENGINES } from './engines.ts'
import { counted, error, named, ok, warning, type Finding } from './finding.ts'
import { judgeServices } from './judge-services.ts'
import { SETTINGS, type NodeFacts } from './node-facts.ts'

/** Of a node's table of connections: above this it is nearly full. */
const NEARLY_FULL = 0.8

export function judgeNode(facts: NodeFacts): readonly Finding[] {
  return [kernel(facts), conntrack(facts), ...attachment(facts), ...engines(facts), ...judgeServices(facts), ...firewall(facts), ...settings(facts), agent(facts)]
}

function kernel({ kernel: release, access }: NodeFacts): Finding {
  if (access.kind === 'fails') return error('kernel', `Linux ${release}: ${access.message}`, 'expected nf_tables and libnftables 1.0.6 or later, or its nft')
  const { inet, bridge, log, missing } = access.trial
  const at = `Linux ${release}, ${access.description}`
  if (missing.length > 0) {
    const what = missing.map(({ feature, module, reason }) => `${feature} (${module}): ${reason}`)
    return error('kernel', `${at}: the kernel refuses ${what.join('; ')}`, 'load these modules, or use a kernel that has them')
  }
  if (inet !== null) return error('kernel', `${at}: the trial transaction is refused: ${inet}`, 'use a newer kernel, or libnftables 1.0.6 or later')
  if (bridge !== null) return warning('kernel', `${at}: no table of the family bridge: ${bridge}`, 'load nf_tables_bridge before pods are put on a bridge')
  if (log !== null) return warning('kernel', `${at}: takes no log rules: ${log}`, 'load nfnetlink_log before the agent starts; without it policies are enforced, and nothing of it is logged')
  return ok('kernel', `${at}: takes the trial transaction`)
}

function conntrack({ conntrackFault, settings: all }: NodeFacts): Finding {
  if (conntrackFault !== null) {
    return error('conntrack', `connections cannot be read: ${conntrackFault}`, 'load nf_conntrack_netlink, or set establishedConnections: keep')
  }
  const [entries, most] = [Number(all[SETTINGS.entries] ?? 0), Number(all[SETTINGS.mostEntries] ?? 0)]
  const text = most > 0 ? `${entries} of at most ${most} connections` : 'connections can be read'
  if (most > 0 && entries > most * NEARLY_FULL) return warning('conntrack', `${text}: nearly full`, 'raise net.netfilter.nf_conntrack_max: new connections are dropped when it is full')
  return ok('conntrack', text)
}

/** Names of interfaces that are a pod's: of kind veth with nothing but host routes behind them. */
export function podInterfaces(links: readonly HostInterface[]): readonly string[] {
  return links.filter((one) => one.kind === 'veth' && one.master === 0 && !one.hasWiderRoutes && one.hostRoutes.length > 0).map(({ name }) => name)
}

function attachment({ links, flowtables, settings: all }: NodeFacts): readonly Finding[] {
  const findings: Finding[] = []
  const veths = podInterfaces(links)
  const bridges = links.filter((one) => one.kind === 'bridge')
  const ports = links.filter((one) => one.kind === 'veth' && bridges.some(({ index }) => index === one.master))
  if (ports.length > 0) {
    for (const problem of bridgeProblems((file) => all[file.replace('/proc/sys/', '')] ?? null)) findings.push(bypass(problem, 'pods on a bridge, and '))
  }
  const beside = links.filter(({ kind }) => ['macvlan', 'macvtap', 'ipvlan', 'ipvtap'].includes(kind))
  if (beside.length > 0) {
    const names = named(beside.map(({ name, kind }) => `${name} (${kind})`))
    findings.push(warning('attachment', `${names}: what is attached like this bypasses the forward hook`, 'use a veth per pod, or a bridge, for pods that policies are to hold for'))
  }
  for (const problem of flowtableProblems(flowtables, (name) => veths.includes(name))) findings.push(bypass(problem, ''))
  const found = [
    ...(veths.length > 0 ? [`${counted(veths.length, 'interface')} with routes to a pod`] : []),
    ...(ports.length > 0 ? [`${counted(ports.length, 'port')} on ${named(bridges.filter(({ index }) => ports.some(({ master }) => master === index)).map(({ name }) => name))}`] : []),
  ]
  if (findings.some(({ level }) => level === 'error')) return findings
  return [...findings, ok('attachment', found.length === 0 ? 'no pods on the network of their own yet' : found.join(', '))]
}

/** The problem that an agent would tell here: what stands behind the last semicolon is what to do. */
function bypass({ object, message }: Problem, lead: string): Finding {
  const cut = message.lastIndexOf('; ')
  return error('attachment', `${lead}${object}: ${message.slice(0, cut)}`, message.slice(cut + 2))
}

function engines({ chains, tables, links, programs }: NodeFacts): readonly Finding[] {
  const findings = ENGINES.flatMap((engine) => {
    const seen = [
      ...first('chain', chains.filter(({ table, name }) => !isOurs(table) && engine.chains?.test(name) === true).map(({ table, name }) => `${name} in ${table}`)),
      ...first('table', tables.filter((table) => engine.tables?.test(table) === true)),
      ...first('interface', links.filter(({ name }) => engine.links?.test(name) === true).map(({ name }) => name)),
      ...first('process', programs.filter((name) => engine.programs?.test(name) === true)),
    ]
    if (seen.length === 0) return []
    const level = engine.kind === 'past' ? error : warning
    return [level('policy-engine', `${engine.name}: ${seen.join(', ')}`, advice(engine))]
  })
  return findings.length > 0 ? findings : [ok('policy-engine', 'no other one is seen')]
}

function first(what: string, names: readonly string[]): readonly string[] {
  return names.length === 0 ? [] : [`${what} ${named(names, 1)}`]
}

function isOurs(table: string): boolean {
  return table === `inet ${TABLE_NAME}` || table === `bridge ${TABLE_NAME}`
}

function firewall({ chains, legacyTables }: NodeFacts): readonly Finding[] {
  const drops = chains.filter(({ table, hook, policy }) => !isOurs(table) && hook === 'forward' && policy === 'drop')
  const findings: Finding[] = drops.map(({ table, name }) =>
    warning('firewall', `chain ${name} of table ${table} drops what it does not allow to be forwarded`, "see that it allows the pods' networks: what it drops stays dropped, whatever policies allow"),
  )
  const bases = chains.filter(({ table, hook }) => !isOurs(table) && hook === 'forward').length
  if (findings.length === 0) findings.push(ok('firewall', bases === 0 ? 'no other chain sees forwarded packets' : `${counted(bases, 'other chain')} on forward, none with policy drop`))
  if (legacyTables.includes('filter')) findings.push(warning('firewall', 'iptables-legacy has a table filter, which nf_tables does not show', "look for policy DROP in iptables-legacy -S FORWARD, and move to iptables-nft"))
  return findings
}

function settings({ settings: all }: NodeFacts): readonly Finding[] {
  const off = [SETTINGS.forward4, SETTINGS.forward6].filter((name) => all[name] === '0')
  if (off.length === 0) return [ok('sysctl', 'packets are forwarded')]
  const names = off.map((name) => name.replaceAll('/', '.'))
  // A node of one family has the other one's off.
  return [warning('sysctl', `${names.join(' and ')} ${off.length > 1 ? 'are' : 'is'} 0: nothing is forwarded`, `set to 1 for the families that pods have (sysctl -w ${names[0]}=1)`)]
}

function agent({ agent: answer, tables }: NodeFacts): Finding {
  const left = tables.filter(isOurs)
  if (answer === null) {
    if (left.length === 0) return ok('agent', 'none runs here, and no table of Picket is left')
    return warning('agent', `none answers, and table ${left.join(', table ')} is in force as it was left`, 'start the agent, or remove the tables with picket cleanup')
  }
  const about = `version ${answer.version}`
  if (!answer.ready) return error('agent', `${about}: not ready: ${answer.waitingFor ?? 'the first ruleset is being written'}`, "see the agent's log")
  const [worst] = [...answer.problems].sort((a, b) => (a.severity === b.severity ? 0 : a.severity === 'error' ? -1 : 1))
  if (worst === undefined) return ok('agent', `${about}: ready, no problems`)
  const level = worst.severity === 'error' ? error : warning
  const more = answer.problems.length > 1 ? ` (and ${answer.problems.length - 1} more)` : ''
  return level('agent', `${about}: ready, ${counted(answer.problems.length, 'problem')}: ${worst.object}: ${worst.message}${more}`, 'see GET /status on its socket')
}
