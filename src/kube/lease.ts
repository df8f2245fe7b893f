// A Lease of coordination.k8s.io/v1 as leader election uses it <-> what it says: who holds it, for how long, how often it changed hands.
//
// **Invariant:** a Lease that cannot be read says that nobody holds it; what others put on the object (labels, annotations, fields
// that we do not know) is kept.
import { microTime } from '../lib/api-time.ts'
import type { ObjectBody, ObjectKind, StoredObject } from './object-writer.ts'

export const LEASE: ObjectKind = { kind: 'Lease', plural: 'leases', group: 'coordination.k8s.io', version: 'v1', namespaced: true }

export interface Holding {
  /** Null where nobody holds it. */
  readonly holder: string | null
  /** Milliseconds that others have to wait after the last sign of life; null where it is not said. */
  readonly durationMs: number | null
  readonly transitions: number
  /** As it is written: only whether it changes tells anything, since clocks differ. */
  readonly renewTime: string | null
}

interface Spec {
  readonly holderIdentity?: unknown
  readonly leaseDurationSeconds?: unknown
  readonly leaseTransitions?: unknown
  readonly renewTime?: unknown
  readonly [more: string]: unknown
}

/** Bounds of what another one's duration is believed to be. */
const SHORTEST_MS = 1_000
const LONGEST_MS = 600_000

export function holdingOf(lease: StoredObject): Holding {
  const { holderIdentity, leaseDurationSeconds, leaseTransitions, renewTime } = specOf(lease)
  return {
    holder: typeof holderIdentity === 'string' && holderIdentity !== '' ? holderIdentity : null,
    durationMs: isCount(leaseDurationSeconds) ? Math.min(Math.max(leaseDurationSeconds * 1000, SHORTEST_MS), LONGEST_MS) : null,
    transitions: isCount(leaseTransitions) ? leaseTransitions : 0,
    renewTime: typeof renewTime === 'string' ? renewTime : null,
  }
}

/** To be made where there is none. `wallTime`: milliseconds since 1970. */
export function newLease(namespace: string, name: string, holder: string, durationMs: number, wallTime: number): ObjectBody {
  const time = microTime(wallTime)
  return { metadata: { namespace, name }, spec: { holderIdentity: holder, leaseDurationSeconds: seconds(durationMs), acquireTime: time, renewTime: time, leaseTransitions: 0 } }
}

/** The same Lease, held by `holder` from now on, or still. */
export function heldBy(lease: StoredObject, holder: string, durationMs: number, wallTime: number): ObjectBody {
  const { holder: before, transitions } = holdingOf(lease)
  const time = microTime(wallTime)
  const taken = before === holder ? {} : { acquireTime: time, leaseTransitions: transitions + 1 }
  return { ...lease, spec: { ...specOf(lease), holderIdentity: holder, leaseDurationSeconds: seconds(durationMs), renewTime: time, ...taken } }
}

/** The same Lease, given back: the next one need not wait. As client-go does it, but that the holder is left out and not empty. */
export function released(lease: StoredObject, wallTime: number): ObjectBody {
  const { holderIdentity: _holder, ...spec } = specOf(lease)
  const time = microTime(wallTime)
  return { ...lease, spec: { ...spec, leaseDurationSeconds: 1, renewTime: time, acquireTime: time } }
}

function specOf(lease: StoredObject): Spec {
  const spec = lease['spec']
  return typeof spec === 'object' && spec !== null ? (spec as Spec) : {}
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
}

function seconds(ms: number): number {
  return Math.max(1, Math.round(ms / 1000))
}
