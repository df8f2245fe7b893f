// How long a node with 2,000 policies is without its table after somebody flushed it.
//
// The agent's loop in this process, on a network namespace of its own: from the end of the foreign commit to the last
// commit of the repair. **Invariant:** the table is compared with what it was, so that a figure is of a whole repair.
import { execFileSync, spawnSync } from 'node:child_process'
import { openKernel } from '../../src/kernel/open.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { AgentWorld } from '../support/agent-world.ts'
import { bigCluster } from '../support/big-cluster.ts'
import { upsert } from '../support/cluster-feed.ts'
import { median, type Bench, type Figure } from './bench.ts'

const NETNS = `picket-bench-repair-${process.pid}`
const PATH = `/run/netns/${NETNS}`
/** 400 namespaces of 50 pods and 5 policies; on this node as many pods as a node carries. */
const SIZE = { pods: 20_000, local: 110 }
const ROUNDS = 7
const KINDS = [
  ['rules flushed', 'flush table inet picket'],
  ['table deleted', 'delete table inet picket'],
  ['a chain flushed', 'flush chain inet picket settled'],
  ['a set emptied', 'flush set inet picket self-v4'],
  ['everything deleted', 'flush ruleset'],
] as const

function fill({ turns }: AgentWorld): number {
  const { namespaces, pods, policies, interfaces } = bigCluster(SIZE)
  upsert(turns.inbox, 'namespace', ...namespaces)
  upsert(turns.inbox, 'pod', ...pods)
  upsert(turns.inbox, 'interface', ...interfaces)
  upsert(turns.inbox, 'policy', ...policies)
  return policies.length
}

function nft(...args: string[]): string {
  return spawnSync('nsenter', [`--net=${PATH}`, 'nft', ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 }).stdout
}

const sorted = (): string => nft('list', 'table', 'inet', 'picket').split(/[\n,]\s*/).sort().join('\n')

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}

async function run(note: (text: string) => void): Promise<readonly Figure[]> {
  execFileSync('ip', ['netns', 'add', NETNS])
  process.once('exit', () => execFileSync('sh', ['-c', `ip netns del ${NETNS} 2>/dev/null || true`]))
  for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]] as const) process.once(signal, () => process.exit(status))
  const kernel = await openKernel({ access: 'auto', netns: PATH })
  const world = new AgentWorld(kernel, systemClock)
  await kernel.watch(TABLE, (change) => world.committer.check(change))
  const policies = fill(world)
  world.turn()
  await until(() => world.held.length > 0)
  const { chains, sets } = world.turns.translator.wanted.state
  note(`${policies} policies: ${chains.size} chains, ${sets.size} sets, ${[...sets.values()].reduce((n, s) => n + s.elements.size, 0)} elements`)
  const figures: Figure[] = []
  for (const [name, command] of KINDS) {
    const times: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      // Beyond the pause between two repairs.
      await new Promise((resolve) => setTimeout(resolve, 1_700))
      const [before, repairs] = [sorted(), world.repairs.length]
      nft(command)
      const start = performance.now()
      await until(() => world.repairs.length > repairs)
      times.push(performance.now() - start)
      if (sorted() !== before) throw new Error(`${name}: the table is not what it was`)
    }
    note(`${name}: ${times.map(Math.round).join(', ')} ms`)
    figures.push({ name: `${name}: whole again after`, value: median(times), unit: 'ms', aim: '< 300' })
  }
  await world.close()
  await kernel.close()
  return figures
}

export const bench: Bench = {
  name: 'repair',
  about: `a cluster of 2,000 policies, ${SIZE.local} pods on this node; its table changed by nft; medians of ${ROUNDS}, from the end of nft to the last commit`,
  run,
}
