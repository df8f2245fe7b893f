// What goes wrong during a round: agents are killed, others change the table, pods end and others take their addresses.
//
// **Invariant:** one mishap at a time on a node; whatever a pod's end sends or gets while it is being replaced is not
// missed (lives.ts).
import type { PodAttachment } from '../../src/lab/testbed.ts'
import type { RawPod } from '../support/manifests.ts'
import type { RealCluster } from '../support/real-cluster.ts'
import type { RealPod } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import type { Fleet } from './fleet.ts'
import { slotEnd } from './flows.ts'
import { disturbTable } from './foreign.ts'
import { keyOf, type History } from './history.ts'
import type { Lives } from './lives.ts'
import { REPAIR_MS, type Timeline } from './timeline.ts'
import type { Traffic } from './traffic.ts'
import { LAB_PORT, type Slot, type World } from './world.ts'

export interface Place {
  readonly lab: RealCluster
  readonly attachment: PodAttachment
  readonly world: World
  readonly timeline: Timeline
  readonly history: History
  readonly lives: Lives
  readonly fleet: Fleet
  readonly traffic: Traffic
  /** Done in the background; a rejection is a fault. */
  readonly behind: (what: Promise<void>) => void
  readonly fault: (why: string) => void
}

const LONGEST_ABSENCE_MS = 3_000
/** Within this of an edit, so that any moment of its commit is hit. */
const COMMIT_MS = 60
const BRIDGE_SHARE = 0.3

export class Mishaps {
  replaced = 0
  foreign = 0
  longestRepairMs = 0
  readonly #at: Place

  constructor(at: Place) {
    this.#at = at
  }

  /** A pod ends, and another one takes its place and its addresses. */
  async replace(slot: Slot): Promise<void> {
    const { lab, world, history, lives, fleet, traffic, behind } = this.#at
    const pod = world.podOf(slot)
    if (pod === null) return
    const end = slotEnd(slot.number).name
    await history.commit(world.terminate(pod))
    await pause(world.random() * 300)
    lives.gone(end, Date.now())
    traffic.end(end)
    await lab.endPod(keyOf(pod))
    await history.commit(world.remove(pod))
    await pause(world.random() * 300)
    const next = world.newPod(slot)
    await lab.runPod(realPodOf(slot, next))
    const state = await history.commit(world.add(next))
    await traffic.start(end, lab.testbed.netnsOf(lab.source(keyOf(next))))
    this.replaced++
    behind(fleet.holds(slot.node, state).then(() => lives.there(end, Date.now())))
  }

  /** At any moment of what is being committed; for a while nobody is there. */
  kill(node: string): Promise<void> {
    const { world, history, fleet } = this.#at
    return fleet.disturb(node, async () => {
      await pause(world.random() * COMMIT_MS)
      const signal = world.random() < 0.7 ? 'SIGKILL' : 'SIGTERM'
      history.tell(`${signal} to the agent of ${node}`)
      await fleet.kill(node, signal)
      await pause(world.random() * LONGEST_ABSENCE_MS)
      await fleet.start(node)
      history.tell(`the agent of ${node} starts`)
      await fleet.holds(node, history.states.length - 1)
    })
  }

  /** Somebody else changes a table; it must be put right, and told. */
  change(node: string): Promise<void> {
    const { lab, attachment, world, timeline, history, fleet, fault } = this.#at
    return fleet.disturb(node, async () => {
      if (!fleet.runs(node)) return
      const table = attachment === 'bridge' && world.random() < BRIDGE_SHARE ? 'bridge picket' : 'inet picket'
      const before = await fleet.repairs(node)
      const at = Date.now()
      timeline.foreign(node, at)
      const done = disturbTable(lab, node, table, world.random)
      history.tell(`on ${node}, somebody else: ${done?.what ?? 'nothing'}`)
      if (done !== null) {
        const states = history.states.length
        const isOver = (): boolean => Date.now() - at > REPAIR_MS + 1_000
        while ((await fleet.repairs(node)) === before && !isOver()) await pause(20)
        // Elements that an edit was taking away at that moment; had they to be there, packets would tell, and the end of the round.
        const isUntold = isOver()
        if (isUntold && !(done.isOfElements && history.states.length > states)) return fault(`on ${node} nobody put right within ${REPAIR_MS} ms: ${done.what}`)
        this.foreign++
        if (!isUntold) this.longestRepairMs = Math.max(this.longestRepairMs, Date.now() - at)
      }
      timeline.repaired(node, Date.now() + 1)
    })
  }
}

/** For the testbed: the lab's servers stand on LAB_PORT, the traffic's own on the others. */
export function realPodOf(slot: Slot, pod: RawPod): RealPod {
  const ports = (['TCP', 'UDP', 'SCTP'] as const).map((protocol) => ({ protocol, port: LAB_PORT }))
  return { key: keyOf(pod), node: slot.node, addresses: slot.addresses, ports, labels: null, uid: pod.metadata.uid }
}
