// What somebody asks about (`shop/web-1`, `shop/svc/api`, `10.0.0.9`) -> the addresses that are meant, and whose they are.
//
// **Invariant:** an address is a pod's only if policies count it as that pod's; what cannot be asked about is an error that says
// what to do, never an answer.
import { PicketError } from '../lib/errors.ts'
import { show } from '../lib/show.ts'
import { FAMILIES, familyOf, parseAddress, parseCidr, type Address } from '../model/ip.ts'
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
  const named = readName('--from', text)
  if (named.kind === 'service') throw new PicketError('Usage', `--from ${show(text)}: a Service calls nobody; name one of its pods: kubectl get endpointslices -n ${named.namespace} -l kubernetes.io/service-name=${named.name}`)
  return partyOf(world, '--from', named)
}

export function readTarget(world: Planned, text: string): Target {
  const named = readName('--to', text)
  if (named.kind !== 'service') return { kind: 'places', ...partyOf(world, '--to', named) }
  const { namespace, name } = named
  const [service] = world.snapshot.services.where('key', serviceKey(namespace, name))
  if (service === undefined) throw new PicketError('NoSuchService', `--to ${show(text)}: there is no Service ${namespace}/${name}; kubectl get services -n ${namespace} shows which are`)
  return { kind: 'service', title: `${namespace}/svc/${name}`, service }
}

type Named = { readonly kind: 'address'; readonly address: Address } | { readonly kind: 'pod' | 'service'; readonly namespace: string; readonly name: string }

/** The same words for both ends. */
function readName(flag: '--from' | '--to', text: string): Named {
  const address = text.includes('/') ? null : parseAddress(text)
  if (address !== null) return { kind: 'address', address }
  const expected = (what: string): PicketError => new PicketError('Usage', `${flag} ${show(text)}: ${what}`)
  if (parseCidr(text) !== null) throw expected('a block is not one end; expected one address of it')
  const [namespace, second, third, ...rest] = text.split('/')
  if (namespace && second === 'svc' && third && rest.length === 0) return { kind: 'service', namespace, name: third }
  if (!namespace || !second || third !== undefined) throw expected('expected NAMESPACE/POD, NAMESPACE/svc/NAME or an address; with -n NAMESPACE a name alone will do')
  return { kind: 'pod', namespace, name: second }
}

function partyOf(world: Planned, flag: '--from' | '--to', named: Named): Party {
  if (named.kind === 'address') return { title: named.address, places: [placeOf(world, named.address)] }
  const { namespace, name } = named
  return { title: `${namespace}/${name}`, places: placesOfPod(world, flag, namespace, name) }
}

/** Whose address it is. */
export function placeOf({ snapshot }: Planned, address: Address): Place {
  for (const pod of snapshot.pods.where('address', address)) return { kind: 'pod', name: `${pod.namespace}/${pod.name}`, address, node: pod.node, pod }
  for (const { name } of snapshot.nodes.where('address', address)) return { kind: 'node', name, address, node: name, pod: null }
  return { kind: 'external', name: address, address, node: null, pod: null }
}

function placesOfPod(world: Planned, flag: '--from' | '--to', namespace: string, name: string): readonly Place[] {
  const named = [...world.snapshot.pods.where('namespace', namespace)].filter((one) => one.name === name)
  const pod = named.find(({ finished }) => !finished) ?? named[0]
  const title = `${namespace}/${name}`
  const refused = (code: string, why: string): PicketError => new PicketError(code, `${flag} ${show(title)}: ${why}`)
  if (pod === undefined) throw refused('NoSuchPod', `there is no Pod ${title}; kubectl get pods -n ${namespace} shows which are`)
  if (pod.finished) throw refused('PodFinished', `Pod ${title} has finished: it has no address any more; ask about one that runs`)
  if (pod.hostNetwork) {
    const places = placesOfNode(world, pod.node)
    if (places.length === 0) throw refused('NoAddress', `Pod ${title} is on the network of node ${pod.node ?? 'that it has not got yet'}, of which no address is known; give the address`)
    return places
  }
  if (pod.addresses.length === 0) {
    const why = world.problemsOf(new Set([`Pod ${title}`])).map(({ message }) => `: ${message}`)[0] ?? ' yet (status.podIPs): ask again once it has one'
    throw refused('NoAddress', `Pod ${title} has no address of its own${why}`)
  }
  return pod.addresses.map((address) => ({ kind: 'pod', name: title, address, node: pod.node, pod }))
}

/** A pod on the network of its node is the node, as far as policies see; none where no address of it is known. */
function placesOfNode(world: Planned, name: string | null): readonly Place[] {
  const [node] = name === null ? [] : world.snapshot.nodes.where('name', name)
  return FAMILIES.flatMap((family) => primaryOf(node, family) ?? []).map((address) => ({ kind: 'node', name: node?.name ?? '', address, node: node?.name ?? null, pod: null }))
}

/** By which a node is seen. */
export function primaryOf(node: Node | undefined, family: 4 | 6): Address | null {
  return node?.addresses.find((address) => familyOf(address) === family) ?? null
}
