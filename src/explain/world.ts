// Objects -> what explain asks: the rows, and for each pod and node the plans that an agent there would have.
//
// The agent's own inbox, store and steps. A plan is compiled for the one pod that is asked about, with the name of its node, since
// what comes from a pod's own node is never judged; the Services are compiled as one node sees them.
// **Invariant:** what a policy or a Service means is what the agents would enforce: nothing here reads the specification.
import type { Problem } from '../lib/problem.ts'
import { KINDS, type SourceEvent } from '../model/changes.ts'
import type { Cidr } from '../model/ip.ts'
import type { Pod, PodUid } from '../model/objects.ts'
import { ServicePlan } from '../nat/step.ts'
import { PolicyPlan } from '../policy/step.ts'
import { Inbox } from '../store/inbox.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import { Store } from '../store/store.ts'
import type { Planned, VerdictSettings } from './planned.ts'

export interface WorldSettings extends VerdictSettings {
  readonly masqueradeAll: boolean
  /** `primary`: each node's first address of each family. */
  readonly nodePortAddresses: readonly Cidr[] | 'primary'
}

export const USUAL_SETTINGS: WorldSettings = { nodeEgress: 'allow', masqueradeAll: false, nodePortAddresses: 'primary', serviceCidrs: [] }

/** No mark has to hold them here. */
const AS_MANY_AS_THERE_ARE = 2 ** 31

export class World implements Planned {
  readonly snapshot: Snapshot
  readonly entrance = null
  /** Every row as a change: snapshots cannot be listed. */
  readonly rows: SnapshotDelta
  /** Of the objects. */
  readonly problems: readonly Problem[]
  readonly #plans = new Map<PodUid, PolicyPlan>()
  readonly #services = new Map<string | null, ServicePlan>()

  readonly settings: WorldSettings

  /** Never throws for what the objects say. */
  constructor(events: readonly SourceEvent[], settings: WorldSettings = USUAL_SETTINGS) {
    this.settings = settings
    const inbox = new Inbox(() => undefined)
    for (const event of events) inbox.push(event)
    for (const kind of KINDS) inbox.push({ verb: 'synced', kind })
    const turn = new Store().apply(inbox.drain())
    this.snapshot = turn.snapshot
    this.rows = turn.delta
    this.problems = [...turn.problems.values()].flatMap(({ after }) => after ?? [])
  }

  /** Of the agent of the pod's node, as far as it concerns this pod. */
  planFor({ uid, node }: Pod): PolicyPlan {
    const known = this.#plans.get(uid)
    if (known !== undefined) return known
    const plan = new PolicyPlan({ isLocal: (pod) => pod.uid === uid, nodeName: node, podInterfaces: [], podAttachment: 'address', sourcePrefixNamespaces: [] })
    plan.step(this.snapshot, this.rows)
    this.#plans.set(uid, plan)
    return plan
  }

  /** As that node translates them; null: a node that has no endpoints of its own. */
  servicesOn(nodeName: string | null): ServicePlan {
    const known = this.#services.get(nodeName)
    if (known !== undefined) return known
    const { nodePortAddresses, masqueradeAll } = this.settings
    const plan = new ServicePlan({ nodeName, nodePortAddresses, masqueradeAll, mostLists: AS_MANY_AS_THERE_ARE, mostSizes: AS_MANY_AS_THERE_ARE })
    plan.step(this.snapshot, this.rows)
    this.#services.set(nodeName, plan)
    return plan
  }

  problemsOf(objects: ReadonlySet<string>): readonly Problem[] {
    return this.problems.filter(({ object }) => objects.has(object))
  }
}
