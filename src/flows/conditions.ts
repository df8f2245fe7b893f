// What each name of a filter looks at in a record, and how its values are read.
//
// **Invariant:** a value is read whole, or said to be wrong with what was expected: none is taken for something near.
import { contains, familyOf, hostCidr, parseAddress, parseCidr, toBits, type Cidr } from '../model/ip.ts'
import { DIRECTIONS } from '../model/policy.ts'
import { isMeant, isNamed, parseName, parseObject, type NamePattern, type ObjectPattern } from './name-pattern.ts'
import { REASONS, VERDICTS, type AuditRecord, type FlowEnd, type FlowPolicy, type FlowRecord } from './record.ts'

/** As options (`--from-pod`) and as parameters of a query (`from-pod`). */
export const FILTER_NAMES = ['pod', 'from-pod', 'to-pod', 'from-ns', 'to-ns', 'namespace', 'service', 'ip', 'port', 'verdict', 'reason', 'direction', 'policy', 'node'] as const
export type FilterName = (typeof FILTER_NAMES)[number]

export interface Condition {
  readonly name: FilterName
  /** As they were given; one of them must match. */
  readonly values: readonly string[]
  /** Records of another type than `verdict` have nothing but a node. */
  readonly test: (record: AuditRecord) => boolean
}

export interface WrongValue {
  readonly wrong: string
  readonly expected: string
}

/** Null stands for every port, or every protocol. */
interface Port {
  readonly port: number | null
  readonly protocol: string | null
}

type Test = (record: FlowRecord) => boolean

const OBJECT = 'NAMESPACE/NAME or NAME; a * at the end stands for the rest of a name'
const NAME = 'a name; a * at the end stands for its rest'
const PORT = 'PORT/PROTOCOL, PORT or /PROTOCOL: 80/tcp, 80, /udp (ports 1-65535; tcp, udp, sctp; icmp and icmpv6 without a port)'
const PROTOCOLS: ReadonlyMap<string, string> = new Map([['tcp', 'TCP'], ['udp', 'UDP'], ['sctp', 'SCTP'], ['icmp', 'ICMP'], ['icmpv6', 'ICMPv6']])

/** `namespaces`: where names without a namespace are looked for; none: everywhere. */
export function conditionOf(name: FilterName, values: readonly string[], namespaces: readonly string[]): Condition | WrongValue {
  const tests: Test[] = []
  for (const value of values) {
    const test = testOf(name, value, namespaces.map(parseName).filter((one) => one !== null))
    if (typeof test === 'string') return { wrong: value, expected: test }
    tests.push(test)
  }
  if (name === 'node') return { name, values, test: (record) => tests.some((test) => test(record as FlowRecord)) }
  return { name, values, test: (record) => record.type === 'verdict' && tests.some((test) => test(record)) }
}

/** Or what was expected. */
function testOf(name: FilterName, value: string, namespaces: readonly NamePattern[]): Test | string {
  switch (name) {
    case 'pod':
      return ofObject(value, namespaces, (pod) => ({ source, destination }) => isPod(pod, source) || isPod(pod, destination))
    case 'from-pod':
      return ofObject(value, namespaces, (pod) => ({ source }) => isPod(pod, source))
    case 'to-pod':
      return ofObject(value, namespaces, (pod) => ({ destination }) => isPod(pod, destination))
    case 'service':
      return ofObject(value, namespaces, (service) => ({ destination: { service: its } }) => its !== null && isMeant(service, its.namespace, its.name))
    case 'policy':
      return ofObject(value, namespaces, (policy) => (record) => policiesOf(record).some((its) => isMeant(policy, its.namespace, its.name)))
    case 'namespace':
      return ofName(value, (namespace) => (record) => isNamed(namespace, record.source.namespace) || isNamed(namespace, namespaceCalled(record)))
    case 'from-ns':
      return ofName(value, (namespace) => ({ source }) => isNamed(namespace, source.namespace))
    case 'to-ns':
      return ofName(value, (namespace) => (record) => isNamed(namespace, namespaceCalled(record)))
    case 'node':
      return ofName(value, (node) => (record) => isNamed(node, record.node))
    case 'ip':
      return ofAddress(value)
    case 'port':
      return ofPort(value)
    case 'verdict':
      return ofWord(value, VERDICTS, (record) => record.verdict)
    case 'reason':
      return ofWord(value, REASONS, (record) => record.reason)
    case 'direction':
      return ofWord(value, DIRECTIONS, (record) => record.direction)
  }
}

function ofObject(value: string, namespaces: readonly NamePattern[], test: (pattern: ObjectPattern) => Test): Test | string {
  const pattern = parseObject(value, namespaces)
  return pattern === null ? OBJECT : test(pattern)
}

function ofName(value: string, test: (pattern: NamePattern) => Test): Test | string {
  const pattern = parseName(value)
  return pattern === null ? NAME : test(pattern)
}

/** Whether in capitals or not. */
function ofWord(value: string, words: readonly string[], its: (record: FlowRecord) => string | null): Test | string {
  const word = words.find((one) => one.toLowerCase() === value.toLowerCase())
  return word === undefined ? `one of ${words.join(', ')}` : (record) => its(record) === word
}

function ofAddress(value: string): Test | string {
  const address = parseAddress(value)
  const cidr = address === null ? parseCidr(value) : hostCidr(address)
  if (cidr === null) return 'an address or a CIDR: 10.0.0.1, 10.0.0.0/24, fd00::1, fd00::/64'
  return ({ ip, destination: { service } }) => isIn(cidr, ip.source) || isIn(cidr, ip.destination) || isIn(cidr, service?.cluster_ip ?? null)
}

/** What stands in a file is not sure to be an address. */
function isIn(cidr: Cidr, text: string | null): boolean {
  const address = text === null ? null : parseAddress(text)
  return address !== null && familyOf(address) === cidr.family && contains(cidr, toBits(address))
}

function ofPort(value: string): Test | string {
  const wanted = portIn(value)
  if (wanted === null) return PORT
  const { port, protocol } = wanted
  return ({ l4, destination: { service } }) => (protocol === null || l4.protocol === protocol) && (port === null || [l4.source_port, l4.destination_port, service?.port].includes(port))
}

function portIn(text: string): Port | null {
  const [, digits, word] = /^(\d{1,5})?(?:\/([A-Za-z0-9]+))?$/.exec(text) ?? []
  const port = digits === undefined ? null : Number(digits)
  const protocol = word === undefined ? null : PROTOCOLS.get(word.toLowerCase())
  if (protocol === undefined || (port === null && protocol === null)) return null
  if (port !== null && (port < 1 || port > 65535 || protocol?.startsWith('ICMP') === true)) return null
  return { port, protocol }
}

function isPod(pattern: ObjectPattern, { kind, namespace, pod }: FlowEnd): boolean {
  return kind === 'pod' && isMeant(pattern, namespace, pod)
}

/** Of the Service, where it has no endpoint that it could have gone to. */
function namespaceCalled({ destination: { namespace, kind, service } }: FlowRecord): string | null {
  return namespace ?? (kind === 'service' ? (service?.namespace ?? null) : null)
}

/** All that it names: what allowed it, what isolates, and what came near. */
function policiesOf({ policy, also, isolated_by: isolating, nearest_miss: nearest }: FlowRecord): readonly FlowPolicy[] {
  return [...(policy === null ? [] : [policy]), ...also, ...(isolating?.policies ?? []), ...(nearest === null ? [] : [nearest.policy])]
}
