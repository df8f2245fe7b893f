// What others do on this node that carries packets past policy: flowtables on pods' interfaces (rule 89).
//
// **Invariant:** nothing foreign is ever changed; it is told.
import type { ForeignFlowtable } from '../kernel/kernel.ts'
import type { Problem } from '../lib/problem.ts'

/** One problem for each flowtable that has a pod's interface among its devices. A failed reading tells nothing new. */
export async function flowtableProblems(
  read: () => Promise<readonly ForeignFlowtable[]>,
  isPodInterface: (name: string) => boolean,
): Promise<readonly Problem[]> {
  const tables = await read().catch(() => [])
  return tables.flatMap((flowtable) => {
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
