// What the reader of the kernel's log hands over: packets with all in common but their time and length, as one.
//
//   NFLOG -> reader (worker): decode, aggregate -> LoggedFlow -> records.ts: who and why -> FlowRecord
//
// **Invariant:** it holds what the packets said, and nothing that was looked up.
import type { Address, Family } from '../model/ip.ts'

export interface LoggedFlow {
  /** As the log rule has it (ruleset/log-prefix.ts reads it). */
  readonly prefix: string
  readonly family: Family
  readonly source: Address
  readonly destination: Address
  /** IANA's number; of IPv6 behind its extension headers. */
  readonly protocol: number
  /** Null where the protocol has none, or in a fragment that is not the first. */
  readonly sourcePort: number | null
  readonly destinationPort: number | null
  /** Of ICMP and ICMPv6. */
  readonly icmp: { readonly type: number; readonly code: number } | null
  /** The flags' byte of the first packet; null where it is not TCP. */
  readonly tcpFlags: number | null
  /** The packet's mark: where the log rule put the conntrack mark, that. */
  readonly mark: number
  /** Indexes; 0: none. */
  readonly inInterface: number
  readonly outInterface: number
  /** Milliseconds since 1970, with fractions: when the kernel took the first and the last. */
  readonly first: number
  readonly last: number
  readonly count: number
  /** From the IP header on, whole packets. */
  readonly bytes: number
}

/** What did not get as far as a LoggedFlow. Times as above. */
export interface LostPackets {
  readonly stage: 'kernel' | 'queue'
  readonly count: number
  readonly first: number
  readonly last: number
}
