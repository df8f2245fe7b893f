// A raw Pod -> Pod: who it is, where it runs, its addresses and its named ports.
//
// **Invariant:** a bad pod has no strict row: one that cannot be read is nobody's peer, and its interface is unknown.
import { show } from '../lib/show.ts'
import type { Decoded } from '../model/changes.ts'
import type { Address, Cidr } from '../model/ip.ts'
import type { NamedPort, Pod, Uid } from '../model/objects.ts'
import { AN_ADDRESS, A_CIDR, addressOf, cidrOf } from './addresses.ts'
import { FieldReader, type Mapping, isMapping, own } from './fields.ts'
import { readCreatedAt, readLabels, readMetadata, readName, readNamespace, titleOf } from './metadata.ts'
import { PORT_NAME, isDnsSubdomain, isPortName } from './names.ts'
import { A_PORT_NUMBER, A_PROTOCOL, isPortNumber, protocolOf } from './protocols.ts'

export const SOURCE_PREFIXES = 'picket.dev/source-prefixes'
/** On the API's image of a pod that kubelet runs from a file: the UID that the runtime and its plugins know it by. */
const MIRROR = 'kubernetes.io/config.mirror'
/** Those that are read here; a source may leave out all others. */
export const POD_ANNOTATIONS: readonly string[] = [SOURCE_PREFIXES, MIRROR]
const OWNER_KIND = /^[A-Za-z][A-Za-z0-9]{0,62}$/
const PHASES = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown']

/** `uid` is the pod's identity, `source` where it came from. Never throws. */
export function decodePod(raw: unknown, uid: Uid, source?: string): Decoded<Pod> {
  const reader = new FieldReader(titleOf('Pod', raw, true), source, 'the pod counts as absent')
  const opened = readMetadata(reader, raw)
  if (opened === null) return reader.decoded<Pod>(null)
  const { object, metadata } = opened
  const name = readName(reader, metadata)
  const namespace = readNamespace(reader, metadata)
  const labels = readLabels(reader, metadata)
  const spec = reader.optionalMapping(own(object, 'spec'), 'spec') ?? {}
  const status = reader.optionalMapping(own(object, 'status'), 'status') ?? {}
  const node = reader.optionalString(own(spec, 'nodeName'), 'spec.nodeName', '')
  const pod = {
    uid,
    node: node === '' ? null : node,
    addresses: readAddresses(reader, status),
    hostNetwork: reader.optionalBoolean(own(spec, 'hostNetwork'), 'spec.hostNetwork'),
    finished: readFinished(reader, status),
    // Rule 96: it may still run, and stays a peer.
    terminating: reader.optionalString(own(metadata, 'deletionTimestamp'), 'metadata.deletionTimestamp', '') !== '',
    createdAt: readCreatedAt(reader, metadata),
    ports: readNamedPorts(reader, spec),
    sourcePrefixes: readSourcePrefixes(reader, metadata),
    ...controlled(metadata),
    ...mirrored(metadata),
  }
  const named = name !== null && namespace !== null && labels !== null
  const decoded = reader.decoded<Pod>(named ? Object.freeze({ ...pod, namespace, name, labels }) : null)
  return decoded.kind === 'good' ? decoded : Object.freeze({ ...decoded, strict: null })
}

/** status.podIP, which is status.podIPs' first, and the rest of status.podIPs (rule 50: each of its own family). */
function readAddresses(reader: FieldReader, status: Mapping): readonly Address[] {
  const found = new Set<Address>()
  const read = (value: unknown, field: string): void => {
    const address = addressOf(value)
    if (address === null) reader.error(field, value, AN_ADDRESS)
    else found.add(address)
  }
  const first = own(status, 'podIP')
  if (first !== undefined && first !== '') read(first, 'status.podIP')
  const list = reader.optionalList(own(status, 'podIPs'), 'status.podIPs') ?? []
  list.forEach((item, i) => {
    if (isMapping(item)) read(own(item, 'ip'), `status.podIPs[${i}].ip`)
    else reader.error(`status.podIPs[${i}]`, item, 'a mapping with ip')
  })
  return Object.freeze([...found])
}

/** Rule 93. A phase that nobody knows counts as running, since such a pod may hold its addresses. */
function readFinished(reader: FieldReader, status: Mapping): boolean {
  const phase = reader.optionalString(own(status, 'phase'), 'status.phase', '')
  if (phase !== '' && !PHASES.includes(phase)) {
    const message = `found ${show(phase)}, expected ${PHASES.join(', ')}; the pod counts as running`
    reader.remark('warning', 'InvalidField', 'status.phase', message)
  }
  return phase === 'Succeeded' || phase === 'Failed'
}

/** Ports with a name: of containers, then of init containers that keep running (rule 41); the first of a name counts (rule 40). */
function readNamedPorts(reader: FieldReader, spec: Mapping): readonly NamedPort[] {
  const ports: NamedPort[] = []
  for (const [key, wanted] of [['containers', () => true], ['initContainers', isSidecar]] as const) {
    const list = reader.optionalList(own(spec, key), `spec.${key}`) ?? []
    list.forEach((container, i) => {
      const field = `spec.${key}[${i}]`
      const mapping = reader.mapping(container, field)
      if (mapping !== null && wanted(mapping)) readContainerPorts(reader, mapping, field, ports)
    })
  }
  return Object.freeze(ports)
}

function isSidecar(container: Mapping): boolean {
  return own(container, 'restartPolicy') === 'Always'
}

function readContainerPorts(reader: FieldReader, container: Mapping, field: string, ports: NamedPort[]): void {
  const list = reader.optionalList(own(container, 'ports'), `${field}.ports`) ?? []
  list.forEach((item, i) => {
    const path = `${field}.ports[${i}]`
    const entry = reader.mapping(item, path)
    if (entry === null) return
    const name = own(entry, 'name')
    // A port without a name says nothing to a policy: a container may listen wherever it likes.
    if (name === undefined || name === '') return
    const port = own(entry, 'containerPort')
    const protocol = protocolOf(own(entry, 'protocol'))
    if (typeof name !== 'string' || !isPortName(name)) reader.error(`${path}.name`, name, PORT_NAME)
    else if (!isPortNumber(port)) reader.error(`${path}.containerPort`, port, A_PORT_NUMBER)
    else if (protocol === null) reader.error(`${path}.protocol`, own(entry, 'protocol'), A_PROTOCOL)
    else ports.push(Object.freeze({ name, protocol, port }))
  })
}

/** One that cannot be read counts as none: nothing is enforced by it. */
function controlled(metadata: Mapping): Pick<Pod, 'controller'> {
  const owners = own(metadata, 'ownerReferences')
  const owner: unknown = Array.isArray(owners) ? owners.find((one) => isMapping(one) && own(one, 'controller') === true) : undefined
  if (!isMapping(owner)) return {}
  const [kind, name] = [own(owner, 'kind'), own(owner, 'name')]
  if (typeof kind !== 'string' || !OWNER_KIND.test(kind) || typeof name !== 'string' || !isDnsSubdomain(name)) return {}
  return { controller: Object.freeze({ kind, name }) }
}

function mirrored(metadata: Mapping): Pick<Pod, 'mirrors'> {
  const annotations = own(metadata, 'annotations')
  const uid = isMapping(annotations) ? own(annotations, MIRROR) : undefined
  return typeof uid === 'string' && uid !== '' && uid.length <= 128 ? { mirrors: uid } : {}
}

/** CIDRs, separated by commas. A pod that only asks for too much stays as it is: it just may not send as these. */
function readSourcePrefixes(reader: FieldReader, metadata: Mapping): readonly Cidr[] {
  const annotations = own(metadata, 'annotations')
  const value = isMapping(annotations) ? own(annotations, SOURCE_PREFIXES) : undefined
  if (value === undefined) return Object.freeze([])
  const field = `metadata.annotations[${SOURCE_PREFIXES}]`
  if (typeof value !== 'string') {
    const message = `found ${show(value)}, expected CIDRs separated by commas; the pod may send as its own addresses only`
    reader.remark('error', 'InvalidField', field, message)
    return Object.freeze([])
  }
  const found = new Map<string, Cidr>()
  for (const text of value.split(',').map((part) => part.trim()).filter((part) => part !== '')) {
    const cidr = cidrOf(text)
    if (cidr !== null) found.set(cidr.text, cidr)
    else reader.remark('error', 'InvalidField', field, `found ${show(text)}, expected ${A_CIDR}; the pod may not send from there`)
  }
  return Object.freeze([...found.values()])
}
