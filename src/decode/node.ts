// A raw Node -> Node: its labels, addresses, pod CIDRs, from where its pods' traffic leaves, and whether it is about to go.
//
// **Invariant:** an address that cannot be read is left out, and the rest of the node stands (strict): what is not known
// as the node's own address is not exempt from policy (rule 58).
import type { Decoded } from '../model/changes.ts'
import { familyOf, type Address, type Cidr, type Family } from '../model/ip.ts'
import type { Node, Uid } from '../model/objects.ts'
import { AN_ADDRESS, A_CIDR, addressOf, cidrOf } from './addresses.ts'
import { FieldReader, type Mapping, isMapping, own } from './fields.ts'
import { readLabels, readMetadata, readName, titleOf } from './metadata.ts'

export const EGRESS_SOURCE = 'picket.dev/egress-source'

/** The cluster autoscaler puts this taint on a node that it is going to remove. */
const TO_BE_DELETED = 'ToBeDeletedByClusterAutoscaler'

/** `uid` is the node's identity, `source` where it came from. Never throws. */
export function decodeNode(raw: unknown, uid: Uid, source?: string): Decoded<Node> {
  const reader = new FieldReader(titleOf('Node', raw, false), source, 'the node counts as absent')
  const opened = readMetadata(reader, raw)
  if (opened === null) return reader.decoded<Node>(null)
  const name = readName(reader, opened.metadata)
  const labels = readLabels(reader, opened.metadata)
  const spec = reader.optionalMapping(own(opened.object, 'spec'), 'spec') ?? {}
  const status = reader.optionalMapping(own(opened.object, 'status'), 'status') ?? {}
  const addresses = readAddresses(reader, status)
  const podCidrs = readPodCidrs(reader, spec)
  const egressSources = readEgressSources(reader, opened.metadata)
  const leaving = reader.optionalString(own(opened.metadata, 'deletionTimestamp'), 'metadata.deletionTimestamp', '') !== '' || isToBeDeleted(reader, spec)
  return reader.decoded<Node>(name === null || labels === null ? null : Object.freeze({ uid, name, labels, addresses, podCidrs, egressSources, leaving }))
}

function isToBeDeleted(reader: FieldReader, spec: Mapping): boolean {
  const taints = reader.optionalList(own(spec, 'taints'), 'spec.taints') ?? []
  return taints.some((taint) => isMapping(taint) && own(taint, 'key') === TO_BE_DELETED)
}

/** The addresses of every type that are IP addresses; a Hostname is a name, even where it looks like an address. */
function readAddresses(reader: FieldReader, status: Mapping): readonly Address[] {
  const found = new Set<Address>()
  const list = reader.optionalList(own(status, 'addresses'), 'status.addresses') ?? []
  list.forEach((item, i) => {
    const field = `status.addresses[${i}]`
    if (!isMapping(item)) {
      reader.error(field, item, 'a mapping with type and address', 'it is left out')
      return
    }
    const type = own(item, 'type')
    if (type === 'Hostname') return
    const address = addressOf(own(item, 'address'))
    if (address !== null) found.add(address)
    else if (type === 'InternalIP' || type === 'ExternalIP') reader.error(`${field}.address`, own(item, 'address'), AN_ADDRESS, 'it is left out')
  })
  return Object.freeze([...found])
}

/** spec.podCIDR, which is spec.podCIDRs' first, and the rest of spec.podCIDRs. */
function readPodCidrs(reader: FieldReader, spec: Mapping): readonly Cidr[] {
  const found = new Map<string, Cidr>()
  const read = (value: unknown, field: string): void => {
    const cidr = cidrOf(value)
    if (cidr === null) reader.error(field, value, A_CIDR, 'it is left out')
    else found.set(cidr.text, cidr)
  }
  const first = own(spec, 'podCIDR')
  if (first !== undefined && first !== '') read(first, 'spec.podCIDR')
  const list = reader.optionalList(own(spec, 'podCIDRs'), 'spec.podCIDRs') ?? []
  list.forEach((item, i) => read(item, `spec.podCIDRs[${i}]`))
  return Object.freeze([...found.values()])
}

/** `192.0.2.1,fd00::1`: one address of each family at most. What cannot be read is left out. */
function readEgressSources(reader: FieldReader, metadata: Mapping): readonly Address[] {
  const annotations = own(metadata, 'annotations')
  const value = isMapping(annotations) ? own(annotations, EGRESS_SOURCE) : undefined
  if (value === undefined || value === '') return Object.freeze([])
  const field = `metadata.annotations[${EGRESS_SOURCE}]`
  const found = new Map<Family, Address>()
  for (const text of typeof value === 'string' ? value.split(',') : [value]) {
    const address = addressOf(typeof text === 'string' ? text.trim() : text)
    if (address === null || found.has(familyOf(address))) reader.error(field, text, 'addresses of this node, one of each family at most, such as 192.0.2.1,fd00::1', 'it is left out')
    else found.set(familyOf(address), address)
  }
  return Object.freeze([...found.values()])
}
