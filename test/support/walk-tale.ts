// A tale through one node's pipeline: what every commit means for every probe on the way, and where it ends.
//
// **Invariant:** after each commit a probe's verdict is one that the oracle gives for some moment between the last flush
// and the newest event; so it never changes for pods whose policies and peers did not. Probes whose packets take
// another way meanwhile, or whose pod is not attached all the time, are left out: their fate is newPods'.
import assert from 'node:assert/strict'
import type { SourceEvent } from '../../src/model/changes.ts'
import { canonical } from './canonical.ts'
import { compiled } from './check-cluster.ts'
import { ALL_SYNCED, linkOf } from './events.ts'
import { NOTHING, windows, type Flush, type Moment, type Tale } from './expanders.ts'
import type { RawPod } from './manifests.ts'
import { ownerOf } from './oracle.ts'
import { Pipeline } from './pipeline.ts'
import { askedAgain, explainFailure, probesOf, type Probe } from './probes.ts'
import { tracerOf } from './tracer.ts'

export interface Walked {
  readonly checks: number
  readonly commits: number
}

export function walkTale(told: Tale, node: string, flush: Flush, salt: number, every: number): Walked {
  const pipeline = new Pipeline({ nodeName: node, captureCommits: true })
  pipeline.push(ALL_SYNCED)
  pipeline.turn()
  let checks = 0
  let last = NOTHING
  for (const beats of windows(told, flush)) {
    const before = pipeline.commits.length
    pipeline.push(beats.map((beat): SourceEvent => beat.event))
    pipeline.turn()
    const moments = [last, ...beats.map((beat) => beat.after)]
    checks += checkCommits(pipeline.commits.slice(before), moments, node, salt, every)
    last = beats.at(-1)?.after ?? last
  }
  assert.equal(canonical(pipeline.text()), canonical(compiled(last.cluster, node).text()), 'the end differs from the same state compiled from nothing')
  return { checks, commits: pipeline.commits.length }
}

/** `mayClose`: what a quarantine may have closed meanwhile. */
export function checkCommits(commits: readonly string[], moments: readonly Moment[], node: string, salt: number, every: number, mayClose: (probe: Probe, moment: Moment) => boolean = () => false): number {
  if (commits.length === 0) return 0
  const newest = moments.at(-1) as Moment
  const probes = probesOf(newest.cluster, node, salt, every).flatMap((probe) => {
    const allowed = allowedVerdicts(probe, moments, node)
    if (allowed === null) return []
    return [{ probe, allowed: mayClose(probe, newest) ? new Set([...allowed, 'drop']) : allowed }]
  })
  for (const [number, text] of commits.entries()) {
    const tracer = tracerOf(text)
    for (const { probe, allowed } of probes) {
      const trace = tracer.trace(probe.packet)
      if (trace.verdict === 'reject' || !allowed.has(trace.verdict)) assert.fail(`commit ${number + 1} of ${commits.length}: ${explainFailure(probe, trace)}`)
    }
  }
  return commits.length * probes.length
}

/** Null where the packet takes another way at some moment. */
function allowedVerdicts(newest: Probe, moments: readonly Moment[], node: string): ReadonlySet<'accept' | 'drop'> | null {
  const verdicts = new Set<'accept' | 'drop'>()
  const owners = new Set<string>()
  for (const moment of moments) {
    const probe = askedAgain(moment.cluster, node, newest)
    if (probe === null) return null
    for (const address of [probe.asked.source, probe.asked.destination]) {
      const owner = ownerOf(moment.cluster, address)
      if (owner === null || owner.spec.nodeName !== node) continue
      owners.add(`${address} ${owner.metadata.uid}`)
      if (!isAttached(moment, owner, address)) return null
    }
    verdicts.add(probe.expected)
  }
  return new Set([...owners].map((text) => text.split(' ')[0])).size === owners.size ? verdicts : null
}

/**
 * Two links of one name, routes to one address on two links, or a link with the address of another pod, are never there
 * for long, if at all: which pod is behind which is not known then, and nothing is opened.
 */
function isAttached(moment: Moment, pod: RawPod, address: string): boolean {
  const [link, ...others] = [...moment.interfaces.values()].filter((l) => l.name === linkOf(pod).name)
  if (link === undefined || others.length > 0 || !link.hostRoutes.includes(address)) return false
  if (link.hostRoutes.some((route) => ownerOf(moment.cluster, route) !== pod)) return false
  return [...moment.interfaces.values()].every((l) => l === link || !l.hostRoutes.some((route) => link.hostRoutes.includes(route)))
}
