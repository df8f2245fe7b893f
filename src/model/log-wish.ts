// What an object's annotations (audit.picket.dev/...) ask to have logged, as Picket keeps it of Namespaces and NetworkPolicies.
//
// **Invariant:** what is not asked for is absent: the next wider setting holds then.

export const TRAFFIC_LOGS = ['none', 'deny', 'allow', 'all'] as const
/** Which verdicts are logged. */
export type TrafficLog = (typeof TRAFFIC_LOGS)[number]

export interface LogWish {
  readonly log?: TrafficLog
  /** One of so many packets: 1 to 65536. */
  readonly sample?: number
  /** Printable. */
  readonly label?: string
  /** Milliseconds since 1970: from then on `log` does not hold any more. */
  readonly until?: number
}
