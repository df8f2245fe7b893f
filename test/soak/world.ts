// A random cluster and what becomes of it: raw objects by a seed, one edit after the other, as the oracle reads them.
//
// Nine slots for pods, on addresses that the generated ipBlocks name, in three namespaces on two nodes.
// **Invariant:** a function of the seed and of the edits asked for; an edit changes one object, so that a state is never
// half written.
import fc from 'fast-check'
import type { RawCluster, RawObject, RawPod, RawPolicy } from '../support/manifests.ts'
import { labels, NAMESPACES, policySketch, PORT_NUMBERS } from '../support/generate.ts'
import { randomFrom, type Random } from '../support/random.ts'
import { namespaceObject, nodeObject } from '../support/real-objects.ts'
import type { LabelSketch, PolicySketch } from '../support/states.ts'

/** UDP and TCP, by the traffic's own servers. */
export const TRAFFIC_PORTS = PORT_NUMBERS.slice(0, 4)
/** By the lab's servers, over every protocol: for the last check. */
export const LAB_PORT = 7005
const MOST_POLICIES = 7
const SKETCHES = 400

/** A place for a pod; who lives there may change. */
export interface Slot {
  /** From 1. */
  readonly number: number
  readonly namespace: string
  readonly node: string
  readonly addresses: readonly [string, string]
}

export const SLOTS: readonly Slot[] = Array.from({ length: 9 }, (_, i) => {
  const node = 1 + (i % 2)
  return { number: i + 1, namespace: NAMESPACES[i % 3] as string, node: `n${node}`, addresses: [`10.1.${node}.${i + 1}`, `fd00:1:${node}::${i + 1}`] }
})

/** What was done, for people; and the cluster that it leaves. */
export interface Edit {
  readonly what: string
  readonly object: RawObject
  readonly gone: boolean
}

export class World {
  readonly random: Random
  readonly #objects = new Map<string, RawObject>()
  readonly #labels: readonly LabelSketch[]
  readonly #policies: readonly PolicySketch[]
  readonly #lives = new Map<number, number>()
  #drawn = 0

  constructor(seed: number, nodes: readonly { readonly name: string; readonly addresses: readonly string[] }[]) {
    this.random = randomFrom(seed)
    this.#labels = fc.sample(labels, { seed, numRuns: SKETCHES })
    this.#policies = fc.sample(policySketch, { seed, numRuns: SKETCHES })
    for (const { name, addresses } of nodes) this.#put(nodeObject(name, addresses) as unknown as RawObject)
    for (const name of NAMESPACES) this.#put(namespaceObject(name, this.#someLabels()) as unknown as RawObject)
    for (const slot of SLOTS) this.#put(this.newPod(slot))
    for (let i = 0; i < 3; i++) this.#put(this.#somePolicy(i))
  }

  get objects(): readonly RawObject[] {
    return [...this.#objects.values()]
  }

  /** A copy that later edits leave alone. */
  cluster(): RawCluster {
    return new Map(this.#objects)
  }

  /** One of an edit of a policy, of a pod's labels or phase of life, of a namespace's labels. */
  edit(): Edit {
    const at = this.random()
    const policies = this.objects.filter((one): one is RawPolicy => one.kind === 'NetworkPolicy')
    if (at < 0.2 && policies.length > 1) return this.#drop(this.#one(policies))
    if (at < 0.65) return this.#put(policies.length < MOST_POLICIES && this.random() < 0.5 ? this.#somePolicy(this.#drawn) : this.#edited(this.#one(policies)))
    if (at < 0.85) return this.#relabelled(this.#one(this.objects.filter((one): one is RawPod => one.kind === 'Pod')))
    return this.#relabelled(this.#one(this.objects.filter((one) => one.kind === 'Namespace')))
  }

  /** Another pod for the slot; not put yet. */
  newPod({ number, namespace, node, addresses }: Slot): RawPod {
    const life = (this.#lives.get(number) ?? 0) + 1
    this.#lives.set(number, life)
    const http = Math.floor(this.random() * TRAFFIC_PORTS.length)
    const ports = [...TRAFFIC_PORTS, LAB_PORT].flatMap((port, at) =>
      (['TCP', 'UDP', 'SCTP'] as const).map((protocol) => {
        const isHttp = protocol === 'TCP' ? at === http : protocol === 'UDP' && at === (http + 1) % TRAFFIC_PORTS.length
        return { name: isHttp ? 'http' : `p${port}-${protocol.toLowerCase()}`, containerPort: port, protocol }
      }),
    )
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name: `pod-${number}-${life}`, uid: `pod-${number}-${life}`, labels: this.#someLabels() },
      spec: { nodeName: node, containers: [{ name: 'server', ports }] },
      status: { phase: 'Running', podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) },
    }
  }

  podOf(slot: Slot): RawPod | null {
    return this.objects.find((one): one is RawPod => one.kind === 'Pod' && one.status.podIP === slot.addresses[0]) ?? null
  }

  add(pod: RawPod): Edit {
    return this.#put(pod)
  }

  /** It has been told to end, and is still there. */
  terminate(pod: RawPod): Edit {
    return this.#put({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } })
  }

  remove(pod: RawPod): Edit {
    return this.#drop(pod)
  }

  #put(object: RawObject): Edit {
    const isNew = !this.#objects.has(object.metadata.uid)
    this.#objects.set(object.metadata.uid, object)
    const content = object.kind === 'NetworkPolicy' ? object.spec : object.kind === 'Node' ? object.status : object.metadata
    return { what: `${isNew ? 'new' : 'edited'} ${object.kind} ${object.metadata.uid} ${JSON.stringify(content)}`, object, gone: false }
  }

  #drop(object: RawObject): Edit {
    this.#objects.delete(object.metadata.uid)
    return { what: `gone ${object.kind} ${object.metadata.uid}`, object, gone: true }
  }

  #relabelled(object: RawObject): Edit {
    const name = object.kind === 'Namespace' ? { 'kubernetes.io/metadata.name': object.metadata.name } : {}
    return this.#put({ ...object, metadata: { ...object.metadata, labels: { ...this.#someLabels(), ...name } } } as RawObject)
  }

  #somePolicy(number: number): RawPolicy {
    const { namespace, spec } = this.#sketch()
    const name = `policy-${number}`
    return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name, namespace, uid: `${namespace}-${name}` }, spec }
  }

  #edited(policy: RawPolicy): RawPolicy {
    return { ...policy, spec: this.#sketch().spec }
  }

  #sketch(): PolicySketch {
    return this.#policies[this.#drawn++ % SKETCHES] as PolicySketch
  }

  #someLabels(): LabelSketch {
    return { ...this.#one(this.#labels) }
  }

  #one<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)] as T
  }
}
