// One state of a cluster, one node: what the node's table says of every probe, held against the oracle.
//
// **Invariant:** the way from raw objects to the text of a table is the product's own; only the last word is the oracle's.
import assert from 'node:assert/strict'
import { ALL_SYNCED, interfaceEvents, interfacesOf, sourceEvent } from './events.ts'
import type { RawCluster } from './manifests.ts'
import { Pipeline, type PipelineOptions } from './pipeline.ts'
import { explainFailure, probesOf, type Probe } from './probes.ts'
import { eventsBetween } from './states.ts'
import { strangerProbes } from './strangers.ts'
import { Tracer } from './tracer.ts'

/** As for pods on a bridge (rule 70): the interface says nothing of who sends. */
export const BY_ADDRESS = { podAttachment: 'address', newPods: 'allow' } as const

const NOTHING: RawCluster = new Map()

/** A node's pipeline with the whole state pushed in one go. */
export function compiled(cluster: RawCluster, node: string, options: Partial<PipelineOptions> = {}): Pipeline {
  const pipeline = new Pipeline({ ...options, nodeName: node })
  pipeline.push(eventsBetween(NOTHING, cluster).map(sourceEvent))
  pipeline.push(interfaceEvents(new Map(), interfacesOf(cluster, node)))
  pipeline.push(ALL_SYNCED)
  pipeline.turn()
  return pipeline
}

/** Asserts every probe; says how many there were. */
export function assertProbes(text: string, probes: readonly Probe[]): number {
  const tracer = new Tracer(text)
  for (const probe of probes) {
    const trace = tracer.trace(probe.packet)
    if (trace.verdict !== probe.expected) assert.fail(explainFailure(probe, trace))
  }
  return probes.length
}

/** Of pods with an interface of their own, and of some of the clusters led by address too; of some with everything logged, which changes no verdict. */
export function assertCluster(cluster: RawCluster, node: string, salt: number, every: number): number {
  if (salt % 4 === 0) assertProbes(compiled(cluster, node, BY_ADDRESS).text(), probesOf(cluster, node, salt, every))
  return assertProbes(compiled(cluster, node, salt % 4 === 1 ? { auditLog: 'all' } : {}).text(), [...probesOf(cluster, node, salt, every), ...strangerProbes(cluster, node)])
}
