// A story of cluster states -> the same story told in other ways, which must all end alike.
//
// After Calico's calculation graph: reversed, split, squashed, with empty states, with duplicates; and when to flush.
// **Invariant:** every way of telling ends in the same state of the cluster (the reversed story: in the first).
import type { SourceEvent } from '../../src/model/changes.ts'
import type { HostInterface } from '../../src/model/objects.ts'
import { interfaceEvents, interfacesOf, sourceEvent } from './events.ts'
import type { RawCluster } from './manifests.ts'
import { afterEvent, eventsBetween } from './states.ts'

/** What is true at one moment, and what the agent is told in order to know. */
export interface Moment {
  readonly cluster: RawCluster
  readonly interfaces: ReadonlyMap<string, HostInterface>
}

/** One event with the moment that it leads to. */
export interface Beat {
  readonly event: SourceEvent
  readonly after: Moment
}

/** Beats of one step belong together: a flush comes after a step, or after a beat. */
export type Tale = readonly (readonly Beat[])[]

export const NOTHING: Moment = { cluster: new Map(), interfaces: new Map() }

type Told = { readonly event: SourceEvent; readonly apply: (before: Moment) => Moment }

function step(before: RawCluster, after: RawCluster, node: string): readonly Told[] {
  const objects = eventsBetween(before, after).map((raw): Told => ({ event: sourceEvent(raw), apply: (m) => ({ ...m, cluster: afterEvent(m.cluster, raw) }) }))
  const links = interfaceEvents(before.size === 0 ? new Map() : interfacesOf(before, node), after.size === 0 ? new Map() : interfacesOf(after, node))
  return [...objects, ...links.map((event): Told => ({ event, apply: (m) => ({ ...m, interfaces: withLink(m.interfaces, event) }) }))]
}

function withLink(before: ReadonlyMap<string, HostInterface>, event: SourceEvent): ReadonlyMap<string, HostInterface> {
  const next = new Map(before)
  if (event.kind !== 'interface') throw new Error('not an interface')
  if (event.verb === 'delete') next.delete(event.key)
  if (event.verb === 'upsert' && event.decoded.kind === 'good') next.set(event.key, event.decoded.row)
  return next
}

function tale(steps: readonly (readonly Told[])[]): Tale {
  let now = NOTHING
  return steps.map((beats) =>
    beats.map(({ event, apply }) => {
      now = apply(now)
      return { event, after: now }
    }),
  )
}

function steps(states: readonly RawCluster[], node: string): readonly (readonly Told[])[] {
  return states.map((state, i) => step(states[i - 1] ?? new Map(), state, node))
}

const EMPTY: RawCluster = new Map()

export interface Expander {
  readonly title: string
  expand(states: readonly RawCluster[], node: string): Tale
}

export const EXPANDERS: readonly Expander[] = [
  { title: 'as told', expand: (states, node) => tale(steps(states, node)) },
  { title: 'events of each step reversed', expand: (states, node) => tale(steps(states, node).map((beats) => beats.toReversed())) },
  { title: 'states reversed', expand: (states, node) => tale(steps(states.toReversed(), node)) },
  { title: 'split', expand: (states, node) => tale(steps(states, node).flatMap((beats) => beats.map((beat) => [beat]))) },
  { title: 'squashed', expand: (states, node) => tale([steps(states, node).flat()]) },
  { title: 'with empty states', expand: (states, node) => tale(steps(states.flatMap((state) => [EMPTY, state]), node)) },
  { title: 'duplicates', expand: (states, node) => tale(steps(states, node).map((beats) => beats.flatMap((beat) => [beat, beat]))) },
]

export type Flush = 'after each event' | 'after each step' | 'at the end'
export const FLUSHES: readonly Flush[] = ['after each event', 'after each step', 'at the end']

/** The beats between two flushes. */
export function windows(told: Tale, flush: Flush): readonly (readonly Beat[])[] {
  switch (flush) {
    case 'after each event':
      return told.flat().map((beat) => [beat])
    case 'after each step':
      return told.filter((beats) => beats.length > 0)
    case 'at the end':
      return [told.flat()]
  }
}
