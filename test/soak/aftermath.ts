// What must hold once it is quiet again: everybody reaches whom policy lets them reach, and the tables are those that an
// agent makes that finds none.
//
// **Invariant:** each function gives what is wrong, or null.
import { messageOf } from '../../src/lib/errors.ts'
import { judge, passes } from '../support/oracle.ts'
import type { RealCluster } from '../support/real-cluster.ts'
import { pause } from '../support/real-wire.ts'
import { withoutTraces } from '../support/table-text.ts'
import type { Fleet } from './fleet.ts'
import { keyOf, type History } from './history.ts'
import { LAB_PORT, SLOTS, type World } from './world.ts'

const SHOWN_LINES = 30

/** Every pod to every pod, over every protocol and both families, as the oracle says. */
export async function wrongReachability(lab: RealCluster, world: World): Promise<string | null> {
  const cluster = world.cluster()
  const pods = SLOTS.flatMap((slot) => world.podOf(slot) ?? [])
  const lines = { allowed: [] as string[], denied: [] as string[] }
  for (const from of pods) {
    for (const to of pods) {
      for (const family of [0, 1] as const) {
        for (const protocol of ['TCP', 'UDP', 'SCTP'] as const) {
          const ends = { source: from.status.podIPs?.[family]?.ip as string, destination: to.status.podIPs?.[family]?.ip as string }
          const verdict = passes(judge(cluster, { ...ends, protocol, port: LAB_PORT })) ? 'allowed' : 'denied'
          lines[verdict].push(`${keyOf(from)} -> ${keyOf(to)} ${LAB_PORT}/${protocol} v${family === 0 ? 4 : 6}`)
        }
      }
    }
  }
  return lab.check(lines).then(
    () => null,
    (error: unknown) => `at the end: ${messageOf(error)}`,
  )
}

/** Takes the node's tables away, and its agent makes them anew. */
export async function grownTable(lab: RealCluster, fleet: Fleet, history: History, node: string, tables: readonly string[]): Promise<string | null> {
  const list = (): readonly string[] => tables.flatMap((table) => withoutTraces(lab.listing(node, table)).split('\n')).map((line) => line.trim()).sort()
  const grown = list()
  await fleet.kill(node, 'SIGTERM')
  for (const table of tables) lab.nft(node, `delete table ${table}`)
  await fleet.start(node)
  await fleet.holds(node, history.states.length - 1)
  await pause(500)
  const fresh = list()
  if (grown.join('\n') === fresh.join('\n')) return null
  const differences = [...grown.filter((line) => !fresh.includes(line)).map((line) => `- ${line}`), ...fresh.filter((line) => !grown.includes(line)).map((line) => `+ ${line}`)]
  return `the table of ${node} is not what a start makes of it (- grown, + fresh), ${grown.length} and ${fresh.length} lines:\n${differences.slice(0, SHOWN_LINES).join('\n')}`
}
