// Requests from many sources -> one message for each worker that carries some of them, and the results in order again.
//
// **Invariant:** an answer of an earlier instance of a pod is never taken for one of the pod that has its key now.
import { messageOf } from '../lib/errors.ts'
import type { HostHandle } from './host-handle.ts'
import type { Probe, ProbeOutcome } from './messages.ts'
import type { ProbeRequest, ProbeResult, ProbeSource } from './testbed.ts'
import type { Identity } from './wire.ts'
import type { WorkerClient } from './worker-client.ts'

interface HostRound {
  readonly host: number
  readonly probes: Probe[]
  /** The places of the probes in the caller's list. */
  readonly places: number[]
}

/** `hostOf` gives null for a source that is not there; `isCurrent` says whether an identity is the present one of its key. */
export async function probeAll(
  requests: readonly ProbeRequest[],
  deadlineMs: number,
  hostOf: (source: ProbeSource) => HostHandle | null,
  isCurrent: (identity: Identity) => boolean,
): Promise<readonly ProbeResult[]> {
  const results: ProbeResult[] = requests.map(() => ({ kind: 'failed', message: 'no such source' }))
  const byWorker = new Map<WorkerClient, Map<number, HostRound>>()
  requests.forEach(({ from, ...probe }, place) => {
    const host = hostOf(from)
    if (host === null) return
    const rounds = byWorker.get(host.worker) ?? new Map<number, HostRound>()
    byWorker.set(host.worker, rounds)
    const round = rounds.get(host.number) ?? { host: host.number, probes: [], places: [] }
    rounds.set(host.number, round)
    round.probes.push(probe)
    round.places.push(place)
  })
  await Promise.all([...byWorker].map(async ([worker, byHost]) => {
    const rounds = [...byHost.values()]
    try {
      const outcomes = await worker.request({ kind: 'probe', rounds: rounds.map(({ host, probes }) => ({ host, probes })), deadlineMs })
      rounds.forEach((round, index) => round.places.forEach((place, at) => {
        results[place] = toResult(outcomes[index]?.[at] as ProbeOutcome, isCurrent)
      }))
    } catch (error) {
      for (const round of rounds) for (const place of round.places) results[place] = { kind: 'failed', message: messageOf(error) }
    }
  }))
  return results
}

function toResult(outcome: ProbeOutcome, isCurrent: (identity: Identity) => boolean): ProbeResult {
  if (outcome.kind !== 'answered') return outcome
  const { by, ...rest } = outcome
  return { ...rest, by: isCurrent(by) ? by.key : `${by.key} (removed)` }
}
