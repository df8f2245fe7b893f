// ICMP errors about a connection between pods, forged at both of its ends: port unreachable, and packet too big.
//
// **Invariant:** what is counted came into the pod; each end is told of a packet that it could have sent.
import type { RealCluster } from './real-cluster.ts'
import { tcpPacket, tooBig, udpPacket, unreachable, type Packet } from './real-packets.ts'
import { forge, WireWatch } from './real-wire.ts'

export interface Connection {
  readonly client: { readonly key: string; readonly addresses: readonly string[] }
  readonly server: { readonly key: string; readonly addresses: readonly string[] }
  readonly kind: 'udp' | 'tcp'
  /** Of IPv4; of IPv6 it is the next one. */
  readonly clientPort: number
  readonly port: number
}

/** How many errors of each family reach the pod. */
export interface ErrorsSeen {
  readonly four: number
  readonly six: number
}

/** Of the client's ports only, where the packet that an error tells of has them: the pods' own kernels tell of others. */
function errors(to: 'client' | 'server', ports: readonly number[]): Readonly<Record<'four' | 'six', string>> {
  const at = (header: number): number => (8 + header + (to === 'client' ? 0 : 2)) * 8
  const among = `{ ${[...new Set(ports)].join(', ')} }`
  return { four: `icmp type destination-unreachable @th,${at(20)},16 ${among}`, six: `icmpv6 type { destination-unreachable, packet-too-big } @th,${at(40)},16 ${among}` }
}

/** Sends errors of both families about each connection, from `sender` (its client, its server, or another pod) to `to`. */
export async function expectErrors(cluster: RealCluster, connections: readonly Connection[], to: 'client' | 'server', sender: Connection['client'], expected: ErrorsSeen): Promise<void> {
  const watch = new WireWatch(cluster, (connections[0] as Connection)[to].key, errors(to, connections.flatMap(({ clientPort }) => [clientPort, clientPort + 1])))
  forge(cluster, sender.key, ...connections.flatMap((one) => errorsAbout(one, to, sender)))
  await watch.expect({ ...expected })
  watch.close()
}

/** Two of each family. */
function errorsAbout({ client, server, kind, clientPort, port }: Connection, to: 'client' | 'server', sender: Connection['client']): Packet[] {
  const [own, other] = to === 'client' ? [client, server] : [server, client]
  return own.addresses.flatMap((from, index) => {
    const ports = to === 'client' ? { source: clientPort + index, destination: port } : { source: port, destination: clientPort + index }
    const way = { from, to: other.addresses[index] as string }
    const sent = kind === 'udp' ? udpPacket(way, ports) : tcpPacket(way, ports, 'ack')
    const back = { from: sender.addresses[index] as string, to: from }
    return [unreachable(back, sent), tooBig(back, sent)]
  })
}
