// What this node is like: its kernel, the tables and interfaces of others on it, its settings, its agent. Only looks.
//
// judge-node.ts says what it means. In a pod of its own (hostNetwork) it sees the node's network, and no processes but its own.
// **Invariant:** nothing is changed or left behind; what cannot be read is told as such, and holds up nothing else.
import { readdir, readFile, readlink } from 'node:fs/promises'
import os from 'node:os'
import { ConntrackReader } from '../kernel/conntrack.ts'
import { decodeFlowtables } from '../kernel/flowtables.ts'
import type { ForeignFlowtable } from '../kernel/kernel.ts'
import { openRunner, type KernelAccess } from '../kernel/open.ts'
import { firstError, type Runner } from '../kernel/runner.ts'
import { getOver } from '../lab/agent-status.ts'
import { PicketError } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'
import type { SourceEvent } from '../model/changes.ts'
import type { Cidr } from '../model/ip.ts'
import type { HostInterface } from '../model/objects.ts'
import { objectsOf } from '../nft/listing.ts'
import { watchInterfaces } from '../node/watch.ts'
import { TABLE_NAME } from '../ruleset/names.ts'
import { ROUTE_FILES, routesOf4, routesOf6 } from './routes.ts'
import { readTranslation, TRANSLATING_CHAIN, type Translation } from './translation.ts'
import { tryTables, type TrialResult } from './trial.ts'

export interface ForeignChain {
  /** `family name` */
  readonly table: string
  readonly name: string
  /** Of a base chain. */
  readonly hook: string | null
  readonly policy: string | null
}

export interface AgentAnswer {
  readonly version: string
  readonly ready: boolean
  readonly waitingFor: string | null
  readonly problems: readonly Problem[]
}

export interface NodeFacts {
  /** `6.18.0` */
  readonly kernel: string
  /** How nf_tables is reached, or why it is not. */
  readonly access: { readonly kind: 'works'; readonly description: string; readonly trial: TrialResult } | { readonly kind: 'fails'; readonly message: string }
  readonly tables: readonly string[]
  readonly chains: readonly ForeignChain[]
  readonly flowtables: readonly ForeignFlowtable[]
  /** Tables of iptables-legacy, whose rules nf_tables does not show: `filter`. */
  readonly legacyTables: readonly string[]
  readonly links: readonly HostInterface[]
  /** Null where connections can be read. */
  readonly conntrackFault: string | null
  /** By path below /proc/sys; null where it is not there. */
  readonly settings: Readonly<Record<string, string | null>>
  /** Names of processes of this network namespace, as far as they are seen. */
  readonly programs: readonly string[]
  /** Whether processes of the node are seen at all: not from inside a pod. */
  readonly seesProcesses: boolean
  readonly cores: number
  /** Where routes lead to. */
  readonly routes: readonly Cidr[]
  /** Null where Picket translates no Services here. */
  readonly translation: Translation | null
  /** Null where none answers. */
  readonly agent: AgentAnswer | null
  /** Milliseconds since 1970. */
  readonly time: number
}

export const SETTINGS = {
  forward4: 'net/ipv4/ip_forward',
  forward6: 'net/ipv6/conf/all/forwarding',
  entries: 'net/netfilter/nf_conntrack_count',
  mostEntries: 'net/netfilter/nf_conntrack_max',
  established: 'net/netfilter/nf_conntrack_tcp_timeout_established',
  closeWait: 'net/netfilter/nf_conntrack_tcp_timeout_close_wait',
  bridge4: 'net/bridge/bridge-nf-call-iptables',
  bridge6: 'net/bridge/bridge-nf-call-ip6tables',
} as const

/** Whoever sees one of these sees the processes of the node. */
const OF_THE_NODE: readonly string[] = ['kthreadd', 'kubelet']
const LIST_DEADLINE_MS = 15_000
const AGENT_DEADLINE_MS = 3_000

/** PicketError NotPermitted where this process may not look at all. `socket`: of the agent; `access`: as it has it. */
export async function readNode(socket: string, access: KernelAccess): Promise<NodeFacts> {
  const tables = await readTables(access)
  const [links, conntrackFault, legacyTables, programs, routes, agent] = await Promise.all([readLinks(), readConntrack(), readLegacyTables(), readPrograms(), readRoutes(), askAgent(socket)])
  const settings = Object.fromEntries(await Promise.all(Object.values(SETTINGS).map(async (name) => [name, await readText(`/proc/sys/${name}`)])))
  return { kernel: os.release(), ...tables, links, conntrackFault, legacyTables, settings, ...programs, cores: os.cpus().length, routes, agent, time: Date.now() }
}

async function readTables(access: KernelAccess): Promise<Pick<NodeFacts, 'access' | 'tables' | 'chains' | 'flowtables' | 'translation'>> {
  let opened: Awaited<ReturnType<typeof openRunner>>
  try {
    opened = await openRunner({ access, trial: 'listing' })
  } catch (error) {
    if (!(error instanceof PicketError) || error.code === 'NotPermitted') throw error
    return { access: { kind: 'fails', message: error.message }, tables: [], chains: [], flowtables: [], translation: null }
  }
  const { runner, description } = opened
  try {
    const tables = (await list(runner, 'list tables')).flatMap(([kind, one]) => (kind === 'table' ? [`${String(one['family'])} ${String(one['name'])}`] : []))
    const chains = (await list(runner, 'list chains')).flatMap(([kind, one]) => (kind === 'chain' ? [chainOf(one)] : []))
    const flowtables = await runner.run({ text: 'list flowtables', mode: 'json', deadline: LIST_DEADLINE_MS })
    const translates = chains.some(({ table, name }) => table === `inet ${TABLE_NAME}` && name === TRANSLATING_CHAIN)
    return {
      access: { kind: 'works', description, trial: await tryTables(runner) },
      tables,
      chains,
      flowtables: flowtables.kind === 'done' ? decodeFlowtables(flowtables.output, TABLE_NAME) : [],
      translation: translates ? await readTranslation(runner, tables) : null,
    }
  } finally {
    await runner.close()
  }
}

async function list(runner: Runner, text: string): Promise<ReturnType<typeof objectsOf>> {
  const result = await runner.run({ text, mode: 'json', deadline: LIST_DEADLINE_MS })
  if (result.kind === 'done') return objectsOf(result.output)
  throw new PicketError('CannotList', `nft ${text}: ${result.kind === 'failed' ? firstError(result.output, text) : result.message}; expected a listing`)
}

function chainOf(one: Readonly<Record<string, unknown>>): ForeignChain {
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)
  return { table: `${String(one['family'])} ${String(one['table'])}`, name: String(one['name']), hook: text(one['hook']), policy: text(one['policy']) }
}

async function readLinks(): Promise<readonly HostInterface[]> {
  const links: HostInterface[] = []
  const take = (event: SourceEvent): void => {
    if (event.kind !== 'interface' || event.verb !== 'replace') return
    for (const decoded of event.rows.values()) if (decoded.kind === 'good') links.push(decoded.row)
  }
  const watch = await watchInterfaces({ onEvents: (events) => events.forEach(take), onLost: () => undefined })
  await watch.close()
  return links
}

async function readConntrack(): Promise<string | null> {
  const reader = new ConntrackReader()
  try {
    // A network that nobody is in: the whole table is gone through, and nothing is told.
    const end = await reader.dump([{ bytes: Uint8Array.of(192, 0, 2, 1), prefix: 32 }], () => undefined)
    return end.kind === 'done' ? null : end.message
  } finally {
    await reader.close()
  }
}

async function readLegacyTables(): Promise<readonly string[]> {
  const texts = await Promise.all(['ip_tables_names', 'ip6_tables_names'].map((name) => readText(`/proc/net/${name}`)))
  return [...new Set(texts.flatMap((text) => (text ?? '').split('\n')).filter((name) => name !== ''))]
}

/** Those whose network namespace is known to be another one are left out. */
async function readPrograms(): Promise<Pick<NodeFacts, 'programs' | 'seesProcesses'>> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const networkOf = (id: string): Promise<string | null> => readlink(`/proc/${id}/ns/net`).catch(() => null)
  const own = await networkOf('self')
  const all = await Promise.all(ids.map(async (id) => ({ name: await readText(`/proc/${id}/comm`), network: await networkOf(id) })))
  const names = (list: typeof all): readonly string[] => [...new Set(list.flatMap(({ name }) => name ?? []))]
  const seesProcesses = names(all).some((name) => OF_THE_NODE.includes(name))
  return { programs: names(all.filter(({ network }) => network === null || network === own)), seesProcesses }
}

async function readRoutes(): Promise<readonly Cidr[]> {
  const [four, six] = await Promise.all([readText(ROUTE_FILES[4]), readText(ROUTE_FILES[6])])
  return [...routesOf4(four ?? '', os.endianness() === 'LE'), ...routesOf6(six ?? '')]
}

async function askAgent(socket: string): Promise<AgentAnswer | null> {
  try {
    const { body } = await getOver(socket, '/status', AGENT_DEADLINE_MS)
    const { version, ready, waitingFor, problems } = JSON.parse(body) as Partial<AgentAnswer>
    if (typeof ready !== 'boolean') return null
    return { version: String(version), ready, waitingFor: waitingFor ?? null, problems: Array.isArray(problems) ? problems : [] }
  } catch {
    return null
  }
}

async function readText(file: string): Promise<string | null> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch {
    return null
  }
}

