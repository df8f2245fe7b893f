// What the gauges and counters of a scrape are read from: plain numbers, asked for when somebody scrapes and at no other time.
//
// **Invariant:** every text that becomes a label is one of few: kinds, directions, codes, reasons, resources; of what is counted by rule
// and pod there are so many as a setting says.
import type { Problem } from '../lib/problem.ts'

/** By label. */
export type Counts = Readonly<Record<string, number>>

export interface Sizes {
  /** Rows by kind. */
  readonly objects: Counts
  /** Pods of this node. */
  readonly localPods: number
  /** Of them, by direction. */
  readonly isolatedPods: Counts
  /** Nothing leads to them yet. */
  readonly pendingPods: number
  readonly profiles: number
  readonly services: number
  /** Of the wanted tables. */
  readonly chains: number
  readonly rules: number
  readonly sets: number
  readonly elements: number
  readonly cutConnections: number
}

/** One resource of the API server. */
export interface WatchReading {
  readonly resource: string
  readonly synced: boolean
  /** Seconds since anything was heard, bookmarks included; since the start where nothing was. */
  readonly silence: number
  readonly lists: number
  readonly reconnects: number
  /** Failures by reason. */
  readonly errors: Counts
}

/** Since the start of the agent. */
export interface AuditReading {
  readonly reading: boolean
  readonly records: { readonly made: number; readonly ambiguous: number; readonly unresolved: number; readonly foreign: number }
  /** Packets, by stage. */
  readonly lost: Counts
  /** Packets that met a log rule, by event. */
  readonly suppression: Readonly<Record<string, { readonly logged: number; readonly suppressed: number }>>
  readonly historyBytes: number
  readonly readers: number
  readonly sinks: readonly { readonly name: string; readonly written: number; readonly lost: number; readonly queued: number; readonly failed: boolean }[]
}

export interface CountedSeries {
  readonly kind: 'allowed' | 'dropped'
  readonly labels: Readonly<Record<string, string>>
  readonly packets: number
  readonly bytes: number
}

/** What policies let pass and deny, as the kernel counted it. */
export interface CountedReading {
  readonly series: readonly CountedSeries[]
  /** Of what has no series. */
  readonly overflow: Readonly<Record<CountedSeries['kind'], { readonly packets: number; readonly bytes: number }>>
  readonly leftOut: number
}

export interface Reading {
  readonly synced: boolean
  readonly ready: boolean
  readonly enforced: boolean
  readonly appliedRevision: number
  readonly wantedRevision: number
  /** Seconds since 1970 of the last commit that the kernel came to hold; 0 for none. */
  readonly appliedAt: number
  readonly sizes: Sizes
  readonly problems: readonly Problem[]
  /** Empty where the objects come from a folder. */
  readonly watches: readonly WatchReading[]
  /** Events since the start, by kind. */
  readonly events: Counts
  /** Objects that could not be read as they should be, by kind. */
  readonly decodeErrors: Counts
  readonly audit: AuditReading
  readonly counted: CountedReading
}

/** What does not change while the process lives. */
export interface Build {
  readonly version: string
  readonly node: string
  /** The way into the kernel: `libnftables 1.1.6`. */
  readonly kernel: string
}
