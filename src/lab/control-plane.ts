// Does for the objects of a folder what API server, scheduler and kubelet would: identities, node names, addresses.
//
// SourceFile[] -> pods to run and the mirrored files that agents read. **Invariant:** an object keeps its UID for as long
// as it is in the folder (a file that cannot be read for a while takes nothing away); one that comes back is a new one.
import { by } from '../lib/sorting.ts'
import type { LabNode } from './testbed.ts'
import { isObject, type JsonObject } from './case-fields.ts'
import type { RunningPod, Wanted } from './cluster.ts'
import { Identities } from './identities.ts'
import { labUid, namespaceText, nodeText, podStatusAddresses, text, timestamp } from './kube-objects.ts'
import { nodeRanges, PodPlaces, type PlacedPod } from './pod-places.ts'
import { keyOf, podFacts, type PodFacts } from './pod-facts.ts'
import type { SourceFile } from './source-folder.ts'
import { type DecidedServices, ServicePlane } from './service-plane.ts'
import type { SlicePod } from './derived-slices.ts'
import type { LabPod, LabService } from './daemon-protocol.ts'

export interface Decided {
  readonly wanted: Wanted
  readonly pods: readonly LabPod[]
  readonly services: readonly LabService[]
  readonly policies: number
  /** What the lab does not do as the folder says, for people. */
  readonly notes: readonly string[]
  /** Whether anything is other than the last time. */
  readonly changed: boolean
}

/** Where generated Namespaces and Nodes stand in the agents' folder. */
const OWN_FILE = 'picket-lab-objects.json'
const ZONE = 'topology.kubernetes.io/zone'
/** Kinds that make pods in a real cluster, by controllers that the lab has none of. */
const WORKLOADS = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job', 'CronJob']

export class ControlPlane {
  readonly #nodes: readonly LabNode[]
  readonly #identities: Identities
  readonly #places: PodPlaces
  readonly #services = new ServicePlane()
  readonly #startedAt: string
  #files = new Map<string, readonly JsonObject[]>()
  #before = ''

  /** `now`: milliseconds since 1970, for creation times. */
  constructor(nodes: readonly LabNode[], now: () => number) {
    this.#nodes = nodes
    this.#startedAt = timestamp(now())
    this.#identities = new Identities(now)
    this.#places = new PodPlaces(nodes.map((one) => one.name))
  }

  decide(sources: readonly SourceFile[]): Decided {
    const objects = this.#objectsOf(sources)
    this.#identities.keepOnly(new Set(objects.map(keyOf)))
    const facts = new Map<string, PodFacts>()
    for (const object of objects) {
      const pod = object['kind'] === 'Pod' ? podFacts(object) : null
      if (pod !== null && !facts.has(pod.key)) facts.set(pod.key, pod)
    }
    const placed = this.#places.place([...facts.values()], (name) => this.#nodes.find((one) => one.name === name)?.addresses ?? [])
    const services = this.#services.decide(objects, this.#slicePods(objects, placed.pods), this.#nodes.map(({ name }) => name))
    const files = this.#mirror(sources, placed.pods, services)
    files.set(OWN_FILE, this.#ownObjects(objects, services.slices))
    const pods = [...placed.pods.values()].filter((pod) => pod.runs !== 'no').sort(by((pod) => pod.key))
    const running = new Map<string, RunningPod>()
    for (const pod of pods) {
      if (pod.runs === 'namespace') running.set(pod.key, { key: pod.key, uid: this.#identities.uidOf(`Pod ${pod.key}`), node: pod.node, addresses: pod.addresses, ports: pod.ports })
    }
    const now = JSON.stringify([[...files], [...running], [...services.routes]])
    const changed = now !== this.#before
    this.#before = now
    return {
      wanted: { pods: running, files, routes: services.routes },
      pods: pods.map(({ key, node, addresses, ports, runs }) => ({
        key, node, addresses, hostNetwork: runs === 'host', ports: ports.map((one) => `${one.port}/${one.protocol.toLowerCase()}`),
      })),
      services: services.services,
      policies: objects.filter((one) => one['kind'] === 'NetworkPolicy').length,
      notes: [...placed.notes, ...workloadNotes(objects)],
      changed,
    }
  }

  /** Objects of all files; of a file that is damaged also those that it held when it was last whole. */
  #objectsOf(sources: readonly SourceFile[]): readonly JsonObject[] {
    const files = new Map<string, readonly JsonObject[]>()
    for (const { path, chunks } of sources) {
      const found = chunks.flatMap((chunk) => chunk.values.flatMap(flatten))
      const keys = new Set(found.map(keyOf))
      const lost = chunks.some((chunk) => chunk.damaged) ? (this.#files.get(path) ?? []).filter((one) => !keys.has(keyOf(one))) : []
      files.set(path, [...found, ...lost])
    }
    this.#files = files
    return [...files.values()].flat()
  }

  /** Pods that may be endpoints: those that run and have an address. */
  #slicePods(objects: readonly JsonObject[], placed: ReadonlyMap<string, PlacedPod>): readonly SlicePod[] {
    const zones = new Map(objects.filter((one) => one['kind'] === 'Node').map((one) => [keyOf(one), labelsOf(one['metadata'] as JsonObject)[ZONE]]))
    return objects.filter((one) => one['kind'] === 'Pod').flatMap((object) => {
      const place = placed.get(keyOf(object).slice('Pod '.length))
      if (place === undefined || place.runs === 'no') return []
      const zone = zones.get(`Node ${place.node}`)
      return [{ key: place.key, uid: this.#identities.uidOf(keyOf(object)), node: place.node, zone: typeof zone === 'string' ? zone : null, addresses: place.addresses, object }]
    })
  }

  #mirror(sources: readonly SourceFile[], placed: ReadonlyMap<string, PlacedPod>, services: DecidedServices): Map<string, string> {
    const files = new Map<string, string>()
    for (const { path, chunks } of sources) {
      const parts = chunks.map(({ text: original, values, damaged }) => {
        if (damaged || values.length === 0) return original
        const documents = values.map((value) => JSON.stringify(this.#completed(value, placed, services)))
        const mirrored = `${original.startsWith('---') ? '---\n' : ''}${documents.join('\n---\n')}\n`
        // As many lines as in the user's file, so that line numbers in what agents say are true of it.
        return mirrored + '\n'.repeat(Math.max(0, linesOf(original) - linesOf(mirrored)))
      })
      files.set(path, parts.join(''))
    }
    return files
  }

  /** The object with what the control plane adds; a list with each of its items so. */
  #completed(value: unknown, placed: ReadonlyMap<string, PlacedPod>, services: DecidedServices): unknown {
    if (!isObject(value)) return value
    if (isList(value)) return { ...value, items: value['items'].map((item) => this.#completed(item, placed, services)) }
    const metadata = isObject(value['metadata']) ? value['metadata'] : null
    if (metadata === null || typeof metadata['name'] !== 'string' || typeof value['kind'] !== 'string') return value
    const added = this.#identities.metadataOf(keyOf(value), value)
    const whole = { ...value, metadata: { ...added, ...metadata } }
    switch (value['kind']) {
      case 'Pod':
        return withPlace(whole, placed.get(keyOf(value).slice('Pod '.length)))
      case 'Namespace':
        return { ...whole, metadata: { ...whole.metadata, labels: { ...labelsOf(metadata), 'kubernetes.io/metadata.name': metadata['name'] } } }
      case 'Node':
        return this.#withAddresses(whole, metadata['name'])
      case 'Service':
        return services.completed(whole)
      default:
        return whole
    }
  }

  /** A Node of the folder that the lab has: with the addresses that it has in fact. */
  #withAddresses(object: JsonObject, name: string): JsonObject {
    const index = this.#nodes.findIndex((one) => one.name === name)
    if (index < 0) return object
    const status = isObject(object['status']) ? object['status'] : {}
    const spec = isObject(object['spec']) ? object['spec'] : {}
    const addresses = (this.#nodes[index] as LabNode).addresses.map((address) => ({ type: 'InternalIP', address }))
    return { ...object, spec: { ...spec, podCIDRs: nodeRanges(index).map((one) => one.text) }, status: { ...status, addresses } }
  }

  /** Nodes, and namespaces that objects are in, as far as the folder has no object for them; and slices that were derived. */
  #ownObjects(objects: readonly JsonObject[], slices: readonly JsonObject[]): string {
    const has = new Set(objects.map(keyOf))
    const items: unknown[] = []
    for (const [index, { name, addresses }] of this.#nodes.entries()) {
      if (!has.has(`Node ${name}`)) items.push(JSON.parse(nodeText(name, labUid(1_000_000 + index), addresses, nodeRanges(index), this.#startedAt)))
    }
    const namespaces = new Set(objects.filter((one) => one['kind'] !== 'Namespace' && one['kind'] !== 'Node').map(namespaceOf))
    for (const name of [...namespaces].sort()) {
      const key = `Namespace ${name}`
      if (has.has(key)) continue
      // Kept for as long as something is in it; its identity is not the folder's.
      items.push(JSON.parse(namespaceText(name, this.#identities.generated(key), new Map([['kubernetes.io/metadata.name', name]]), this.#startedAt)))
    }
    for (const slice of slices) {
      items.push({ ...slice, metadata: { ...(slice['metadata'] as object), uid: this.#identities.generated(keyOf(slice)), creationTimestamp: this.#startedAt } })
    }
    return text({ apiVersion: 'v1', kind: 'List', items })
  }
}

function linesOf(part: string): number {
  return part.split('\n').length - 1
}

function isList(value: JsonObject): value is JsonObject & { readonly items: readonly unknown[] } {
  return typeof value['kind'] === 'string' && value['kind'].endsWith('List') && Array.isArray(value['items'])
}

/** A document's objects: itself, or a list's items. */
function flatten(value: unknown): readonly JsonObject[] {
  if (!isObject(value)) return []
  if (isList(value)) return value['items'].flatMap(flatten)
  return isObject(value['metadata']) && typeof value['metadata']['name'] === 'string' ? [value] : []
}

function namespaceOf(object: JsonObject): string {
  const { namespace } = object['metadata'] as { readonly namespace?: unknown }
  return typeof namespace === 'string' ? namespace : 'default'
}

function labelsOf(metadata: JsonObject): JsonObject {
  return isObject(metadata['labels']) ? metadata['labels'] : {}
}

/** Node name, addresses and phase, as scheduler and kubelet would set them; what the folder says of them stays. */
function withPlace(object: JsonObject, place: PlacedPod | undefined): JsonObject {
  if (place === undefined) return object
  const spec = isObject(object['spec']) ? object['spec'] : {}
  const status = isObject(object['status']) ? object['status'] : {}
  const addresses = place.runs === 'no' ? {} : podStatusAddresses(place.addresses)
  return { ...object, spec: { nodeName: place.node, ...spec }, status: { phase: place.runs === 'no' ? 'Pending' : 'Running', ...addresses, ...status } }
}

function workloadNotes(objects: readonly JsonObject[]): readonly string[] {
  const found = objects.filter((one) => WORKLOADS.includes(String(one['kind']))).map((one) => `${keyOf(one)}`)
  return found.length === 0 ? [] : [`the lab runs Pods only; it makes none for ${found.join(', ')}`]
}
