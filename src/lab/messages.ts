// What crosses between the main thread and a lab worker: plain values, each request with an id that its answer repeats.
//
// **Invariant:** types only; a worker answers every request exactly once, with a value or with an error's text.
import type { Address } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { FlowDirection, FlowStats } from './testbed.ts'
import type { Identity } from './wire.ts'

export interface ServedPort {
  readonly protocol: Protocol
  readonly port: number
}

/** A host is a namespace with servers and a prober: a pod, a node, or the outside host. */
export interface HostSpec {
  readonly netns: string
  readonly identity: Identity
  readonly addresses: readonly Address[]
  readonly ports: readonly ServedPort[]
  /** Paths below /proc/sys and what to write there. */
  readonly sysctls: readonly (readonly [string, string])[]
}

export interface Probe {
  readonly address: Address
  readonly protocol: Protocol
  readonly port: number
  /** The host's address to send from, and from a port that no other probe of the round has; any unless told. */
  readonly source?: Address
}

export type ProbeOutcome =
  | { readonly kind: 'answered'; readonly by: Identity; readonly source: Address; readonly at: string; readonly ms: number }
  | { readonly kind: 'silent' }
  | { readonly kind: 'rejected'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string }

/** The probes that one host sends. */
export interface ProbeRound {
  readonly host: number
  readonly probes: readonly Probe[]
}

export interface FlowSpec {
  readonly host: number
  readonly address: Address
  readonly protocol: 'TCP' | 'UDP'
  readonly port: number
  readonly packetsPerSecond: number
  readonly direction: FlowDirection
}

/** `host` and `flow` are numbers that the main thread gives out. */
export type WorkerRequest =
  | { readonly kind: 'open'; readonly host: number; readonly spec: HostSpec }
  | { readonly kind: 'serve'; readonly host: number; readonly ports: readonly ServedPort[] }
  | { readonly kind: 'close'; readonly host: number }
  | { readonly kind: 'probe'; readonly rounds: readonly ProbeRound[]; readonly deadlineMs: number }
  | { readonly kind: 'open-flow'; readonly flow: number; readonly spec: FlowSpec }
  | { readonly kind: 'flow-stats'; readonly flow: number }
  | { readonly kind: 'stop-flow'; readonly flow: number }

/** What each request is answered with. */
export interface WorkerValue {
  readonly open: null
  readonly serve: null
  readonly close: null
  readonly probe: readonly (readonly ProbeOutcome[])[]
  readonly 'open-flow': null
  readonly 'flow-stats': FlowStats
  readonly 'stop-flow': FlowStats
}

export type WorkerAnswer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string }
