// What somebody asks about (`shop/web-1`, `shop/svc/api`, `10.0.0.9`) -> the addresses that are meant, and whose they are.
//
// **Invariant:** an address is a pod's only if policies count it as that pod's; what cannot be asked about is an error that says
// what to do, never an answer.
import { PicketError } from '../lib/errors.ts'
import { show } from '../lib/show.ts'
import { FAMILIES, familyOf, parseAddress, type Address } from '../model/ip.ts'
import type { Node, Pod } from '../model/objects.ts'
import { serviceKey, type Service } from '../model/service.ts'
import type { End } from './answer.ts'
import type { Planned } from './planned.ts'

export interface Place extends End {
  /** Whose policies apply; null where there are none. */
  readonly pod: Pod | null
}

/** Who is asked about, by one address of each family at most, if by name. */
export interface Party {
  readonly title: string
  readonly places: readonly Place[]
}

export type Target = (Party & { readonly kind: 'places' }) | { readonly kind: 'service'; readonly title: string; readonly service: Service }

export function readSource(world: Planned, text: string): Party {
  const address = readAddress(text)
  if (address !== null) return { title: address, places: [placeOf(world, address)] }
  const [namespace, name, ...rest] = text.split('/')
  if (!namespace || !name || rest.length > 0) throw new PicketError('Usage', `--from ${show(text)}: expected NAMESPACE/POD or an address`)
  return { title: `${namespace}/${name}`, places: placesOfPod(world, namespace, name) }
}

export function readTarget(world: Planned, text: string): Target {
  const address = readAddress(text)
  if (address !== null) return { kind: 'places', title: address, places: [placeOf(world, address)] }
  const [namespace, second, third, ...rest] = text.split('/')
  if (namespace && second === 'svc' && third && rest.length === 0) {
    const [service] = world.snapshot.services.where('key', serviceKey(namespace, third))
    if (service === undefined) throw new PicketError('NoSuchService', `there is no Service ${namespace}/${third}; kubectl get services -n ${namespace} shows which are`)
    return { kind: 'service', title: `${namespace}/svc/${third}`, service }
  }
  if (!namespace || !second || third !== undefined) throw new PicketError('Usage', `--to ${show(text)}: expected NAMESPACE/POD, NAMESPACE/svc/NAME or an address`)
  return { kind: 'places', title: `${namespace}/${second}`, places: placesOfPod(world, namespace, second) }
}

function readAddress(text: string): Address | null {
  return text.includes('/') ? null : parseAddress(text)
}

/** Whose address it is. */
export function placeOf({ snapshot }: Planned, address: Address): Place {
  for (const pod of snapshot.pods.where('address', address)) return { kind: 'pod', name: `${pod.namespace}/${pod.name}`, address, node: pod.node, pod }
  for (const { name } of snapshot.nodes.where('address', address)) return { kind: 'node', name, address, node: name, pod: null }
  return { kind: 'external', name: address, address, node: null, pod: null }
}

function placesOfPod(world: Planned, namespace: string, name: string): readonly Place[] {
  const named = [...world.snapshot.pods.where('namespace', namespace)].filter((pod) => pod.name === name)
  const pod = named.find(({ finished }) => !finished) ?? named[0]
  const title = `${namespace}/${name}`
  if (pod === undefined) throw new PicketError('NoSuchPod', `there is no Pod ${title}; kubectl get pods -n ${namespace} shows which are`)
  if (pod.finished) throw new PicketError('PodFinished', `Pod ${title} has finished: it has no address any more; ask about one that runs`)
  if (pod.hostNetwork) return placesOfNode(world, pod.node, title)
  if (pod.addresses.length === 0) {
    const why = world.problemsOf(new Set([`Pod ${title}`])).map(({ message }) => `: ${message}`)[0] ?? ' yet (status.podIPs): ask again once it has one'
    throw new PicketError('NoAddress', `Pod ${title} has no address of its own${why}`)
  }
  return pod.addresses.map((address) => ({ kind: 'pod', name: title, address, node: pod.node, pod }))
}

/** A pod on the network of its node is the node, as far as policies see. */
function placesOfNode(world: Planned, nodeName: string | null, title: string): readonly Place[] {
  const [node] = nodeName === null ? [] : world.snapshot.nodes.where('name', nodeName)
  const addresses = FAMILIES.flatMap((family) => primaryOf(node, family) ?? [])
  if (node === undefined || addresses.length === 0) {
    throw new PicketError('NoAddress', `Pod ${title} is on the network of node ${nodeName ?? 'that it has not got yet'}, of which no address is known; give the address`)
  }
  return addresses.map((address) => ({ kind: 'node', name: node.name, address, node: node.name, pod: null }))
}

/** By which a node is seen. */
export function primaryOf(node: Node | undefined, family: 4 | 6): Address | null {
  return node?.addresses.find((address) => familyOf(address) === family) ?? null
}
