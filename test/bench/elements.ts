// What one changed element costs on a node of 10,000 services: by netlink, and as text through libnftables.
//
// The compiler's own table, without policies and with 2,000 of them; the elements of the services are filled in.
// **Invariant:** both ways take turns in one process, on one table; each commit is answered.
import { execFileSync } from 'node:child_process'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { openKernel } from '../../src/kernel/open.ts'
import { apply } from '../../src/nft/apply.ts'
import { diff } from '../../src/nft/diff.ts'
import type { Element, NftMap, NftSet, Operation, Transaction } from '../../src/nft/objects.ts'
import { emptyTable, everything, type TableState } from '../../src/nft/state.ts'
import { serviceEndpoints, serviceIds } from '../../src/ruleset/names.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { bigCluster } from '../support/big-cluster.ts'
import { upsert } from '../support/cluster-feed.ts'
import { Pipeline } from '../support/pipeline.ts'
import { median, type Bench, type Figure } from './bench.ts'

const NETNS = `picket-bench-elements-${process.pid}`
const SERVICES = 10_000
const ENDPOINTS = 5
const LOCAL_PODS = 110
const ROUNDS = 41

const RANGES: NftSet = { kind: 'set', name: 'ranges', key: ['ip daddr'], flags: ['interval'] }
const address = (first: number, i: number): string => `${first}.${i >> 16}.${(i >> 8) & 255}.${i & 255}`
const fill = (set: NftSet | NftMap, elements: readonly Element[]): Operation => ({ verb: 'add-elements', set, elements, owners: [] })
const switched = (operations: readonly Operation[], createsTable = false): Transaction => ({ table: TABLE, step: 'switch', createsTable, operations })
const endpoint = (service: number, index: number, version: number): Element => ({ key: `${(service + 1) * 65_536} . ${index}`, value: `${address(11, service * ENDPOINTS + index)} . ${8_080 + version}` })

async function commit(kernel: Kernel, transaction: Transaction): Promise<void> {
  const outcome = await kernel.commit(transaction)
  if (outcome.kind !== 'acknowledged') throw new Error(outcome.message)
}

/** Makes the table that the compiler makes of so many pods' policies, and fills in what services and ranges come to. */
async function load(kernel: Kernel, pods: number): Promise<TableState> {
  const { turns } = new Pipeline({ nodeName: 'n1', services: {} })
  const cluster = bigCluster({ pods, local: LOCAL_PODS })
  upsert(turns.inbox, 'namespace', ...cluster.namespaces)
  upsert(turns.inbox, 'pod', ...cluster.pods)
  upsert(turns.inbox, 'interface', ...cluster.interfaces)
  if (pods > LOCAL_PODS) upsert(turns.inbox, 'policy', ...cluster.policies)
  turns.run()
  const wanted = turns.translator.wanted.state
  let applied: TableState | null = null
  for (;;) {
    const transaction = diff(TABLE, applied, wanted, everything(applied, wanted), () => [])
    if (transaction === null) break
    await commit(kernel, transaction)
    applied ??= emptyTable()
    apply(applied, transaction)
  }
  const services = Array.from({ length: SERVICES }, (_, i) => i)
  await commit(kernel, switched([
    { verb: 'add', object: RANGES, owners: [] },
    fill(setIn(wanted, serviceIds(4)), services.flatMap((i) => [1, 2, 3].map((client): Element => ({ key: `${client << 8} . ${address(10, i)} . tcp . 80`, value: String((i + 1) * 65_536 + ENDPOINTS * 256) })))),
    fill(setIn(wanted, serviceEndpoints('TCP', 4)), services.flatMap((i) => Array.from({ length: ENDPOINTS }, (_, n) => endpoint(i, n, 0)))),
    fill(RANGES, Array.from({ length: 500 }, (_, i): Element => ({ key: `${address(172, i * 16)}-${address(172, i * 16 + 7)}` }))),
  ]))
  return wanted
}

function setIn(table: TableState, name: string): NftSet | NftMap {
  const set = table.sets.get(name)?.object
  if (set === undefined) throw new Error(`there is no ${name}`)
  return set
}

interface Change {
  readonly name: string
  readonly set: NftSet | NftMap
  /** The element as it is after so many changes. */
  readonly at: (version: number) => Element
}

function changesIn(table: TableState): readonly Change[] {
  const profiles = table.sets.get('egress-by-interface')
  const element = [...(profiles?.elements.values() ?? [])][50]
  if (profiles === undefined || element === undefined) throw new Error('no pod has a profile')
  return [
    { name: 'an endpoint', set: setIn(table, serviceEndpoints('TCP', 4)), at: (version) => endpoint(5_000, 2, version) },
    { name: "a pod's profile", set: profiles.object, at: (version) => (version % 2 === 0 ? element : { ...element, value: 'drop' }) },
    { name: 'an interval of 500', set: RANGES, at: (version) => ({ key: version % 2 === 0 ? '172.0.3.32-172.0.3.39' : '172.0.3.32-172.0.3.38' }) },
  ]
}

async function measured(kernel: Kernel, { set, at }: Change): Promise<{ readonly text: number; readonly netlink: number }> {
  const [text, netlink]: [number[], number[]] = [[], []]
  for (let version = 0; version < 2 * ROUNDS; version++) {
    const asText = version % 2 === 0
    const operations: readonly Operation[] = [{ verb: 'delete-elements', set, elements: [at(version)], owners: [] }, fill(set, [at(version + 1)])]
    const start = performance.now()
    // A table that is there may be made again, but not past nft.
    await commit(kernel, switched(operations, asText))
    ;(asText ? text : netlink).push(performance.now() - start)
  }
  return { text: median(text), netlink: median(netlink) }
}

async function run(note: (text: string) => void): Promise<readonly Figure[]> {
  execFileSync('ip', ['netns', 'add', NETNS])
  process.once('exit', () => execFileSync('sh', ['-c', `ip netns del ${NETNS} 2>/dev/null || true`]))
  const kernel = await openKernel({ access: 'auto', netns: `/run/netns/${NETNS}` })
  const figures: Figure[] = []
  for (const [title, pods] of [['no policies', LOCAL_PODS], ['2,000 policies', 20_000]] as const) {
    const table = await load(kernel, pods)
    note(`${kernel.description}; ${title}: ${table.chains.size} chains, ${table.sets.size} sets, ${SERVICES} services of ${ENDPOINTS} endpoints`)
    for (const change of changesIn(table)) {
      const { text, netlink } = await measured(kernel, change)
      const name = `${title}, ${change.name}`
      figures.push({ name: `${name}: as text`, value: text, unit: 'ms', aim: '' }, { name: `${name}: by netlink`, value: netlink, unit: 'ms', aim: '< 5' }, { name: `${name}: text to netlink`, value: text / netlink, unit: 'times', aim: '> 1' })
    }
    await kernel.deleteTable(TABLE)
  }
  await kernel.close()
  return figures
}

export const bench: Bench = { name: 'elements', about: `one element changed in a table of ${SERVICES} services; medians of ${ROUNDS}, from commit() to its answer`, run }
