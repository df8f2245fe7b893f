// What explain is asked about: objects, and the plans that were compiled of them.
//
// World compiles them for one question, as each node's agent would; an agent answers by those that it holds (agent/explaining.ts).
// **Invariant:** nothing here depends on where the objects came from.
import type { Problem } from '../lib/problem.ts'
import type { Cidr } from '../model/ip.ts'
import type { Pod } from '../model/objects.ts'
import type { ServicePlan } from '../nat/step.ts'
import type { PolicyPlan } from '../policy/step.ts'
import type { Snapshot } from '../store/snapshot.ts'

/** What the agents' settings change of an answer. */
export interface VerdictSettings {
  readonly nodeEgress: 'allow' | 'enforce'
  /** Where no Service has the address, a call there is dropped; empty: not known. */
  readonly serviceCidrs: readonly Cidr[]
}

export interface Planned {
  readonly snapshot: Snapshot
  readonly settings: VerdictSettings
  /** Where calls from outside enter, if nobody says another; null: that has to be said. */
  readonly entrance: string | null
  /** By which the pod is judged; null: by another node's, which is not at hand. */
  planFor(pod: Pod): PolicyPlan | null
  /** As that node translates them; null: they are somebody else's, or that node's plan is not at hand. */
  servicesOn(nodeName: string | null): ServicePlan | null
  /** Of the objects that are named: `NetworkPolicy shop/web`. */
  problemsOf(objects: ReadonlySet<string>): readonly Problem[]
}
