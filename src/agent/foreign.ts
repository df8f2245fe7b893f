// What others do on this node that carries packets past policy: flowtables on pods' interfaces (rule 89).
//
// Which flowtables there are is read now and then; which interfaces are pods' is asked anew each time.
// **Invariant:** nothing foreign is ever changed; it is told. A reading that fails forgets nothing.
import type { ForeignFlowtable } from '../kernel/kernel.ts'
import type { Problem } from '../lib/problem.ts'

export class ForeignFlowtables {
  #known: readonly ForeignFlowtable[] = []

  /** What `read` finds counts from now on; where it fails, what was found last. */
  async look(read: () => Promise<readonly ForeignFlowtable[]>): Promise<void> {
    this.#known = await read().catch(() => this.#known)
  }

  /** One problem for each flowtable that has a pod's interface among its devices. */
  problems(isPodInterface: (name: string) => boolean): readonly Problem[] {
    return flowtableProblems(this.#known, isPodInterface)
  }
}

/** One for each that has a pod's interface among its devices. */
export function flowtableProblems(flowtables: readonly ForeignFlowtable[], isPodInterface: (name: string) => boolean): readonly Problem[] {
  return flowtables.flatMap((flowtable) => {
    const devices = flowtable.devices.filter(isPodInterface)
    return devices.length === 0 ? [] : [notEnforced(flowtable, devices)]
  })
}

function notEnforced(flowtable: ForeignFlowtable, devices: readonly string[]): Problem {
  return {
    code: 'NotEnforced',
    severity: 'error',
    object: `flowtable ${flowtable.name} of table ${flowtable.table}`,
    message:
      `it offloads ${devices.join(', ')}, so that packets of established connections bypass policy there; remove the pods' interfaces from it`,
  }
}
