// Every question worth asking of one node: packets between pods, nodes and outside, with what the oracle expects.
//
// **Invariant:** which probes are asked depends on the probe itself and a salt, never on how many there are, so that a
// shrinking counterexample keeps the probe that fails.
import type { RawCluster, RawPod } from './manifests.ts'
import { objectsOf } from './manifests.ts'
import { linkOf, uplinkOf } from './events.ts'
import { addressesOf, judge, ownerOf, type OraclePacket } from './oracle.ts'
import { OUTSIDE } from './states.ts'
import type { Trace, TracePacket } from './tracer.ts'

export interface Probe {
  readonly title: string
  readonly packet: TracePacket
  readonly expected: 'accept' | 'drop'
  /** What was asked, to ask it of another state. */
  readonly asked: Asked
  readonly flow: number
}

const NUMBER: Readonly<Record<OraclePacket['protocol'], number>> = { ICMP: 1, TCP: 6, UDP: 17, GRE: 47, SCTP: 132 }
const ICMPV6 = 58

/** Where an address is, seen from a node. */
type Place = { readonly kind: 'node' } | { readonly kind: 'pod'; readonly pod: RawPod } | { readonly kind: 'elsewhere' }

function placeOf(cluster: RawCluster, node: string, address: string): Place {
  const owner = ownerOf(cluster, address)
  if (owner !== null) return owner.spec.nodeName === node ? { kind: 'pod', pod: owner } : { kind: 'elsewhere' }
  const here = objectsOf(cluster, 'Node').find((n) => n.metadata.name === node)
  return here?.status.addresses.some((a) => a.address === address) === true ? { kind: 'node' } : { kind: 'elsewhere' }
}

export function addressesIn(cluster: RawCluster): readonly string[] {
  const pods = objectsOf(cluster, 'Pod').flatMap((pod) => addressesOf(pod))
  const nodes = objectsOf(cluster, 'Node').flatMap((n) => n.status.addresses.map((a) => a.address)).filter((a) => /^[0-9a-f.:]+$/.test(a) && /[.:]/.test(a))
  return [...new Set([...pods, ...nodes, ...OUTSIDE])]
}

/** The ports that policies and pods speak of, and their neighbours. */
export function portsIn(cluster: RawCluster): readonly number[] {
  const numbers = new Set([80])
  const add = (n: number): void => {
    for (const port of [n - 1, n, n + 1]) if (port >= 1 && port <= 65535) numbers.add(port)
  }
  for (const pod of objectsOf(cluster, 'Pod')) {
    for (const container of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]) for (const port of container.ports ?? []) numbers.add(port.containerPort)
  }
  for (const { spec } of objectsOf(cluster, 'NetworkPolicy')) {
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
      for (const port of rule.ports ?? []) {
        if (typeof port.port === 'number') add(port.port)
        if (port.endPort !== undefined) add(port.endPort)
      }
    }
  }
  return [...numbers].sort((a, b) => a - b)
}

/** One in `every` of all probes of the node, chosen by `salt`. */
export function probesOf(cluster: RawCluster, node: string, salt: number, every: number): readonly Probe[] {
  const probes: Probe[] = []
  const ports = portsIn(cluster)
  const addresses = addressesIn(cluster)
  for (const source of addresses) {
    for (const destination of addresses) {
      if (source.includes(':') !== destination.includes(':')) continue
      const path = pathOf(cluster, node, source, destination)
      if (path === null) continue
      for (const port of ports) {
        for (const protocol of ['TCP', 'UDP', 'SCTP', 'ICMP', 'GRE'] as const) {
          const choice = hash(`${source} ${destination} ${protocol} ${port} ${salt}`)
          if (choice % every === 0) probes.push(probe(cluster, node, { source, destination, protocol, port }, path, Math.floor(choice / every)))
        }
      }
    }
  }
  return probes
}

export type Path = Pick<TracePacket, 'path' | 'iif' | 'oif'> & { readonly from: Place; readonly to: Place }

/** How the packet passes this node; null where it does not, or where no pod of the node has to do with it. */
export function pathOf(cluster: RawCluster, node: string, source: string, destination: string): Path | null {
  const [from, to] = [placeOf(cluster, node, source), placeOf(cluster, node, destination)]
  const link = (place: Place): TracePacket['iif'] => (place.kind === 'pod' ? linkOf(place.pod) : uplinkOf(node))
  if (from.kind !== 'pod' && to.kind !== 'pod') return null
  if (from.kind === 'node') return { path: 'output', iif: null, oif: link(to), from, to }
  if (to.kind === 'node') return { path: 'input', iif: link(from), oif: null, from, to }
  return { path: 'forward', iif: link(from), oif: link(to), from, to }
}

export type Asked = Omit<OraclePacket, 'port'> & { readonly port: number }

/** The same question to another state; null where the packet takes another way there. */
export function askedAgain(cluster: RawCluster, node: string, before: Probe): Probe | null {
  const path = pathOf(cluster, node, before.asked.source, before.asked.destination)
  if (path === null || path.iif?.name !== before.packet.iif?.name || path.oif?.name !== before.packet.oif?.name) return null
  return probe(cluster, node, before.asked, path, before.flow)
}

function probe(cluster: RawCluster, node: string, asked: Asked, path: Path, variant: number): Probe {
  const icmp = asked.protocol === 'ICMP'
  const verdict = judge(cluster, { ...asked, port: icmp || asked.protocol === 'GRE' ? null : asked.port })
  const here = { egress: path.from.kind === 'pod' && verdict.egress === 'deny', ingress: path.to.kind === 'pod' && verdict.ingress === 'deny' }
  const flow = FLOWS[variant % FLOWS.length] as Flow
  const packet: TracePacket = {
    path: path.path,
    iif: path.iif,
    oif: path.oif,
    source: asked.source,
    destination: asked.destination,
    protocol: icmp && asked.source.includes(':') ? ICMPV6 : NUMBER[asked.protocol],
    sourcePort: 40000,
    // In other protocols something else stands there: a rule that asks for the port alone would take it for one (rule 88).
    destinationPort: asked.port,
    ...(icmp ? { icmpType: flow.error ? (asked.source.includes(':') ? 2 : 3) : asked.source.includes(':') ? 128 : 8 } : {}),
    ctState: flow.state,
    ctDirection: flow.direction,
  }
  const expected = flow.expect(here.egress || here.ingress, path.path !== 'output', icmp)
  return { asked, flow: variant, title: `on ${node}: ${flow.title} ${asked.source} -> ${asked.destination} ${asked.protocol} ${asked.port} (${path.path})`, packet, expected }
}

interface Flow {
  readonly title: string
  readonly state: TracePacket['ctState']
  readonly direction: TracePacket['ctDirection']
  readonly error: boolean
  expect(denied: boolean, filtered: boolean, icmp: boolean): 'accept' | 'drop'
}

const judged: Flow['expect'] = (denied) => (denied ? 'drop' : 'accept')

/** Mostly first packets; every kind of later one, too. */
const FLOWS: readonly Flow[] = [
  ...Array.from({ length: 6 }, (): Flow => ({ title: 'first packet', state: 'new', direction: 'original', error: false, expect: judged })),
  // "A policy is judged for every packet of a connection's original direction" (rules 78, 79).
  { title: 'later packet', state: 'established', direction: 'original', error: false, expect: judged },
  // "Replies to allowed connections pass whatever the other direction says" (rules 72-74).
  { title: 'reply', state: 'established', direction: 'reply', error: false, expect: () => 'accept' },
  // ICMP errors that belong to a connection pass, even as original direction; other related packets are judged (rule 75).
  { title: 'related packet', state: 'related', direction: 'original', error: true, expect: (denied, _, icmp) => (denied && !icmp ? 'drop' : 'accept') },
  { title: 'invalid packet', state: 'invalid', direction: 'original', error: false, expect: (_, filtered) => (filtered ? 'drop' : 'accept') },
]

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return (value ^ (value >>> 15)) >>> 0
}

/** For people: what went wrong with one probe. */
export function explainFailure(probe: Probe, trace: Trace): string {
  return `${probe.title}: expected ${probe.expected}, the table says ${trace.verdict}\n  ${trace.visited.join('\n  ')}`
}
