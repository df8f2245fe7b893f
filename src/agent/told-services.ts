// The Services of which load balancers ask on a port of their own (healthCheckNodePort), as the kernel holds them.
//
//   turn: what changed, by revision -> the kernel holds that revision -> the whole list, where it is another one now
//
// **Invariant:** nothing is told of an endpoint before the kernel leads to it; a change of other Services tells nothing.
import type { Changes, Revision } from '../model/changes.ts'
import type { Uid } from '../model/objects.ts'
import type { PlannedService } from '../nat/plan.ts'
import type { ServiceHealth } from '../serve/service-health.ts'
import { UntilHeld } from './until-held.ts'

interface Told {
  readonly uid: Uid
  readonly after: ServiceHealth | null
}

export class ToldServices {
  readonly #onChanged: (services: readonly ServiceHealth[]) => void
  readonly #known = new Map<Uid, ServiceHealth>()
  readonly #planned = new UntilHeld<readonly Told[]>()

  constructor(onChanged: (services: readonly ServiceHealth[]) => void) {
    this.#onChanged = onChanged
  }

  planned(revision: Revision, services: Changes<Uid, PlannedService>): void {
    const changes: Told[] = []
    for (const [uid, { before, after }] of services) {
      if (before?.health?.port === after?.health?.port && before?.health?.localEndpoints === after?.health?.localEndpoints) continue
      changes.push({ uid, after: after === null ? null : healthOf(after) })
    }
    if (changes.length > 0) this.#planned.planned(revision, changes)
  }

  held(revision: Revision): void {
    const held = this.#planned.held(revision).flat()
    if (held.length === 0) return
    for (const { uid, after } of held) {
      if (after === null) this.#known.delete(uid)
      else this.#known.set(uid, after)
    }
    this.#onChanged([...this.#known.values()])
  }
}

function healthOf({ namespace, name, health }: PlannedService): ServiceHealth | null {
  return health === null ? null : { namespace, name, ...health }
}
