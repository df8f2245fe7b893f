// Whether the kernel shows bridged packets to inet (br_netfilter): without that no policy holds between pods on a bridge.
//
// The settings are of the network namespace; whoever sets them to 0 is not told to anybody, so they are read on a timer.
// **Invariant:** nothing is set here: the problem says what to do.
import { readFileSync } from 'node:fs'
import type { Problem } from '../lib/problem.ts'
import type { Changes } from '../model/changes.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import type { PodUid } from '../model/objects.ts'
import type { Attachment } from '../policy/plan.ts'

/** The local pods that are led to their profile by address, and those of their addresses that no port is known for. */
export class BridgedPods {
  readonly #pods = new Map<PodUid, Attachment>()
  readonly #portless = new Map<PodUid, Attachment>()

  get size(): number {
    return this.#pods.size
  }

  /** Whether some address waits for its port now that did not before. */
  changed(changes: Changes<PodUid, Attachment>): boolean {
    let waits = false
    for (const [uid, { after }] of changes) {
      this.#pods.delete(uid)
      this.#portless.delete(uid)
      if (after === null || !after.by.some((key) => key.via === 'address')) continue
      this.#pods.set(uid, after)
      if (!after.by.some((key) => key.via === 'address' && key.port === null)) continue
      this.#portless.set(uid, after)
      waits = true
    }
    return waits
  }

  unpinned(): readonly Problem[] {
    return [...this.#portless.values()].map(({ namespace, name, by }) => {
      const addresses = by.flatMap((key) => (key.via === 'address' && key.port === null ? [key.address] : []))
      return {
        code: 'NotEnforced',
        severity: 'error',
        object: `Pod ${namespace}/${name}`,
        field: 'status.podIPs',
        message:
          `no port of a bridge was found behind which ${addresses.join(', ')} is: another pod on the bridge could send as it, and if it is not on a ` +
          'bridge at all (macvlan, ipvlan, SR-IOV), policies do not hold for it',
      }
    })
  }
}

const SETTINGS: Readonly<Record<Family, string>> = { 4: 'bridge-nf-call-iptables', 6: 'bridge-nf-call-ip6tables' }

/** One for each family whose bridged packets inet does not see. */
export function bridgeProblems(read: (file: string) => string | null = readSetting): readonly Problem[] {
  return FAMILIES.flatMap((family) => {
    const value = read(`/proc/sys/net/bridge/${SETTINGS[family]}`)
    if (value !== null && value !== '0') return []
    const setting = `net.bridge.${SETTINGS[family]}`
    const remedy = value === null ? `load the module br_netfilter (modprobe br_netfilter), and set ${setting}=1` : `set it to 1 (sysctl -w ${setting}=1)`
    return [
      {
        code: 'NotEnforced',
        severity: 'error',
        object: `sysctl ${setting}`,
        message: `it is ${value ?? 'not there'}: IPv${family} policies do not hold between the pods of a bridge on this node; ${remedy}`,
      },
    ]
  })
}

function readSetting(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return null
  }
}
