// What must never pass whatever policy says: pods that send as somebody else, and interfaces that nobody knows.
//
// **Invariant:** every probe here expects a drop, in every state of conntrack (rules 87, 90, 94).
import { OUTSIDE } from './states.ts'
import type { RawCluster } from './manifests.ts'
import { objectsOf } from './manifests.ts'
import { linkOf, ownAddresses, uplinkOf } from './events.ts'
import { addressesIn, type Probe } from './probes.ts'
import type { TracePacket } from './tracer.ts'

const STATES = [['new', 'original'], ['established', 'original'], ['established', 'reply'], ['related', 'original']] as const

function probe(title: string, node: string, way: Pick<TracePacket, 'path' | 'iif' | 'oif'>, source: string, destination: string, state: (typeof STATES)[number]): Probe {
  const packet: TracePacket = { ...way, source, destination, protocol: 6, sourcePort: 40000, destinationPort: 80, ctState: state[0], ctDirection: state[1] }
  return { title: `on ${node}: ${title}, ${source} -> ${destination}, ${state.join(' ')}`, packet, expected: 'drop', asked: { source, destination, protocol: 'TCP', port: 80 }, flow: 0 }
}

export function strangerProbes(cluster: RawCluster, node: string): readonly Probe[] {
  const pods = objectsOf(cluster, 'Pod').filter((pod) => pod.spec.nodeName === node && ownAddresses(cluster, pod).length > 0)
  const uplink = uplinkOf(node)
  const stranger = { name: 'veth-new', kind: 'veth' }
  const probes: Probe[] = []
  const sameFamily = (a: string, b: string): boolean => a.includes(':') === b.includes(':')
  for (const [i, pod] of pods.entries()) {
    const own = ownAddresses(cluster, pod)
    const state = STATES[i % STATES.length] as (typeof STATES)[number]
    for (const foreign of addressesIn(cluster).filter((address) => !own.includes(address))) {
      const outside = OUTSIDE.find((address) => sameFamily(address, foreign)) as string
      probes.push(probe('a pod sends as somebody else', node, { path: 'forward', iif: linkOf(pod), oif: uplink }, foreign, outside, state))
      probes.push(probe('a pod sends as somebody else, to its node', node, { path: 'input', iif: linkOf(pod), oif: null }, foreign, outside, state))
    }
    for (const address of own) {
      const outside = OUTSIDE.find((other) => sameFamily(other, address)) as string
      probes.push(probe('from an interface that nobody knows', node, { path: 'forward', iif: stranger, oif: linkOf(pod) }, outside, address, state))
      probes.push(probe('to an interface that nobody knows', node, { path: 'forward', iif: linkOf(pod), oif: stranger }, address, outside, state))
      probes.push(probe('to an address that the pod does not have', node, { path: 'forward', iif: uplink, oif: linkOf(pod) }, outside, sameFamily(address, '::') ? 'fd00:1:99::9' : '10.1.99.9', state))
    }
  }
  return probes
}
