// What a policy has logged: its own annotations before its namespace's, and those before the cluster's setting; each by itself.
//
// Pure, and without a clock: what has ended by its `until` is taken out by ended(), when the agent's clock says so.
// **Invariant:** of several wishes for one packet the one that says most is granted.
import type { LogWish, TrafficLog } from '../model/log-wish.ts'

/** How something is logged. */
export interface Logged {
  /** One of so many packets: 1 to 65536. */
  readonly sample: number
  /** '' without. */
  readonly label: string
}

/** Of one policy; null: not logged. */
export interface PolicyLog {
  readonly denied: Logged | null
  readonly allowed: Logged | null
}

export const DENIES: readonly TrafficLog[] = ['deny', 'all']
export const ALLOWS: readonly TrafficLog[] = ['allow', 'all']

export function policyLog(cluster: TrafficLog, namespace: LogWish | undefined, policy: LogWish | undefined): PolicyLog {
  const level = policy?.log ?? namespace?.log ?? cluster
  const logged = Object.freeze({ sample: policy?.sample ?? namespace?.sample ?? 1, label: policy?.label ?? namespace?.label ?? '' })
  return { denied: DENIES.includes(level) ? logged : null, allowed: ALLOWS.includes(level) ? logged : null }
}

/** The one that says most: the most packets, and of those a label; the first of equals. Null where nothing is to be logged. */
export function most(wishes: readonly (Logged | null)[]): Logged | null {
  let found: Logged | null = null
  for (const wish of wishes) {
    if (wish === null) continue
    if (found === null || wish.sample < found.sample || (wish.sample === found.sample && found.label === '')) found = wish
  }
  return found
}

/** Without what has ended at `now` (milliseconds since 1970); undefined where nothing is left. The same object where nothing has ended. */
export function ended(wish: LogWish | undefined, now: number): LogWish | undefined {
  if (wish?.until === undefined || wish.until > now) return wish
  const { log: _, until: __, ...rest } = wish
  return Object.keys(rest).length === 0 ? undefined : Object.freeze(rest)
}
