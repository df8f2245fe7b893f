// Raw events -> what a node's agent hears: decoded objects, and the node's own interfaces as the lab would have them.
//
// **Invariant:** every object goes through decode/; a pod has its veth exactly where the address plan says that it runs.
import { decodeObject, objectKindOf } from '../../src/decode/decode.ts'
import { KINDS, type SourceEvent } from '../../src/model/changes.ts'
import type { HostInterface } from '../../src/model/objects.ts'
import type { RawCluster, RawPod } from './manifests.ts'
import { objectsOf } from './manifests.ts'
import { addressesOf, ownerOf } from './oracle.ts'
import type { RawEvent } from './states.ts'
import type { Link } from './tracer-fields.ts'

export function sourceEvent(event: RawEvent): SourceEvent {
  if (event.verb === 'delete') {
    const kind = objectKindOf(event.kind)
    if (kind === null) throw new Error(`decode does not know ${event.kind}`)
    return { verb: 'delete', kind, key: event.uid }
  }
  const { uid } = event.object.metadata
  const decoded = decodeObject(event.object.kind, event.object, uid)
  if (decoded === null) throw new Error(`decode does not know ${event.object.kind}`)
  return { verb: 'upsert', key: uid, ...decoded } as SourceEvent
}

export const ALL_SYNCED: readonly SourceEvent[] = KINDS.map((kind) => ({ verb: 'synced', kind }))

/** Host side of a pod's veth. A pod that takes another one's place (`pod-3-1` after `pod-3-0`) gets the same name (rule 94). */
export function linkOf(pod: RawPod): Link {
  return { name: `v-${pod.metadata.uid.replace(/^(pod-\d+)-\d+$/, '$1')}`, kind: 'veth' }
}

/** The node's way out: on n1 a veth, as in the lab, elsewhere hardware. */
export function uplinkOf(node: string): Link {
  return node === 'n1' ? { name: 'uplink', kind: 'veth' } : { name: 'eth0', kind: '' }
}

/** The addresses that are really the pod's: those that policy says it owns. None where it has no interface of its own. */
export function ownAddresses(cluster: RawCluster, pod: RawPod): readonly string[] {
  return addressesOf(pod).filter((address) => ownerOf(cluster, address) === pod)
}

/** The node's interfaces, by key. */
export function interfacesOf(cluster: RawCluster, node: string): ReadonlyMap<string, HostInterface> {
  const found = new Map<string, HostInterface>()
  const addresses = objectsOf(cluster, 'Node').find((n) => n.metadata.name === node)?.status.addresses ?? []
  const uplink = uplinkOf(node)
  found.set('2', { index: 2, ...uplink, master: 0, addresses: addresses.filter((a) => a.type === 'InternalIP').map((a) => a.address), hostRoutes: [], hasWiderRoutes: true, networks: [], behind: null })
  for (const pod of objectsOf(cluster, 'Pod')) {
    const hostRoutes = pod.spec.nodeName === node ? ownAddresses(cluster, pod) : []
    if (hostRoutes.length === 0) continue
    const index = indexOf(pod.metadata.uid)
    found.set(String(index), { index, ...linkOf(pod), master: 0, addresses: [], hostRoutes, hasWiderRoutes: false, networks: [], behind: null })
  }
  return found
}

/** An index for each UID; the kernel does not use one again soon either. */
function indexOf(uid: string): number {
  let hash = 7
  for (const letter of uid) hash = (hash * 31 + letter.charCodeAt(0)) % 0x7fffff
  return 100 + hash
}

/** What rtnetlink would tell between two states of the cluster. */
export function interfaceEvents(before: ReadonlyMap<string, HostInterface>, after: ReadonlyMap<string, HostInterface>): readonly SourceEvent[] {
  const events: SourceEvent[] = []
  for (const key of before.keys()) if (!after.has(key)) events.push({ verb: 'delete', kind: 'interface', key })
  for (const [key, row] of after) {
    if (JSON.stringify(before.get(key)) === JSON.stringify(row)) continue
    events.push({ verb: 'upsert', kind: 'interface', key, decoded: { kind: 'good', row: Object.freeze(row), problems: [] } })
  }
  return events
}
