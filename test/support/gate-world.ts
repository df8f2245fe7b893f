// A node with its gate for kernel tests: pods that run before any status tells their addresses, and what is kept of them.
//
// **Invariant:** what a test leaves behind is gone before the next one begins.
import assert from 'node:assert/strict'
import type { PodAttachment } from '../../src/lab/testbed.ts'
import { GateClient } from './gate-client.ts'
import { RealCluster } from './real-cluster.ts'
import { ingress, podObject, realPod, type PlainObject, type PodChanges, type RealPod } from './real-objects.ts'
import { pause } from './real-wire.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
export const NEAR = realPod('shop/near', 'n1', 3, { app: 'near' })
const FAR = realPod('other/far', 'n2', 4, {})
/** Of the pods that begin: nobody but `near` may call them. */
const ONLY_NEAR = ingress('shop/in', { app: 'web' }, { from: [{ podSelector: { matchLabels: { app: 'near' } } }] })

/** What the API holds of a pod between its binding and the report of its addresses. */
export function untold(pod: RealPod, changes: PodChanges = {}): PlainObject {
  return podObject(pod, { ...changes, status: { phase: 'Pending', podIP: undefined, podIPs: undefined, ...changes.status } })
}

/** Who reaches a pod of app `web` that is programmed. */
export function answersOf(key: string): { readonly allowed: readonly string[]; readonly denied: readonly string[] } {
  return { allowed: [`shop/near -> ${key}`, `${key} -> shop/db`], denied: [`shop/db -> ${key}`, `other/far -> ${key}`] }
}

export class GateWorld {
  readonly lab: RealCluster
  readonly gate: GateClient
  readonly #made: RealPod[] = []
  #number = 20

  private constructor(lab: RealCluster) {
    this.lab = lab
    this.gate = new GateClient(lab)
  }

  static async open(attachment: PodAttachment): Promise<GateWorld> {
    const lab = await RealCluster.open({ attachment, namespaces: { shop: {}, other: {} }, pods: [DB, NEAR, FAR] })
    await lab.policies(ONLY_NEAR)
    return new GateWorld(lab)
  }

  /** On n1, of app `web`; neither runs nor has an object yet. */
  pod(key: string, more: Partial<RealPod> = {}): RealPod {
    const pod = realPod(key, 'n1', this.#number++, { app: 'web' }, more)
    this.#made.push(pod)
    return pod
  }

  /** It runs, and the API knows it without addresses. */
  async started(key: string, more: Partial<RealPod> = {}): Promise<RealPod> {
    const pod = this.pod(key, more)
    this.lab.put(untold(pod))
    await this.lab.settle()
    await this.lab.runPod(pod)
    return pod
  }

  async gone(...pods: readonly RealPod[]): Promise<void> {
    for (const pod of pods) {
      await this.lab.endPod(pod.key)
      if (this.lab.has(`Pod ${pod.key}`)) this.lab.drop(`Pod ${pod.key}`)
    }
    await this.lab.settle()
    await this.nothingKept()
  }

  /** The file is written beside the turn. */
  async nothingKept(): Promise<void> {
    for (const until = Date.now() + 5_000; this.gate.kept('n1').length > 0; await pause(5)) assert.ok(Date.now() < until, this.gate.kept('n1').join(', '))
  }

  /** Whether the node leads packets to that pod, by each of its addresses. */
  led(pod: RealPod): readonly boolean[] {
    const listing = this.lab.listing('n1', 'inet picket')
    return pod.addresses.map((address) => listing.includes(address))
  }

  /** After each test. */
  async clear(): Promise<void> {
    for (const pod of this.#made.splice(0)) {
      await this.lab.endPod(pod.key).catch(() => undefined)
      if (this.lab.has(`Pod ${pod.key}`)) this.lab.drop(`Pod ${pod.key}`)
    }
    await this.lab.settle()
  }
}
