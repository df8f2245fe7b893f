// Services and egress masquerade of one node, each where it is ours: the face of this folder.
//
// **Invariant:** what is switched off costs nothing and tells nothing.
import type { Cidr } from '../model/ip.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import { MasqueradePlan, type MasqueradeDelta } from './masquerade.ts'
import type { NatDelta } from './plan.ts'
import { ServicePlan, type ServiceOptions } from './step.ts'

export interface NatOptions {
  readonly nodeName: string | null
  /** Null: Services are somebody else's. */
  readonly services: Omit<ServiceOptions, 'nodeName'> | null
  /** nonMasqueradeCIDRs; null: masquerading is somebody else's. */
  readonly masquerade: readonly Cidr[] | null
}

export const NO_NAT_OPTIONS: NatOptions = { nodeName: null, services: null, masquerade: null }

export interface Nat {
  readonly services: NatDelta
  readonly masquerade: MasqueradeDelta
}

const NO_SERVICES: NatDelta = { services: new Map(), problems: new Map() }
const NO_MASQUERADE: MasqueradeDelta = { spared: [], sources: null }

export class NatPlan {
  /** Null: Services are somebody else's. */
  readonly services: ServicePlan | null
  readonly #masquerade: MasqueradePlan | null

  constructor({ nodeName, services, masquerade }: NatOptions) {
    this.services = services === null ? null : new ServicePlan({ nodeName, ...services })
    this.#masquerade = masquerade === null ? null : new MasqueradePlan(nodeName, masquerade)
  }

  /** Valid only with the snapshot of this turn. Never throws for what the cluster says. */
  step(snapshot: Snapshot, delta: SnapshotDelta): Nat {
    return { services: this.services?.step(snapshot, delta) ?? NO_SERVICES, masquerade: this.#masquerade?.step(delta) ?? NO_MASQUERADE }
  }
}
