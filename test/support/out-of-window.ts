// Segments that conntrack calls INVALID: far outside of the window of each connection that a server has with a client (rule 85).
//
// **Invariant:** sent by the server's own pod, with its own address, from the port that it serves.
import assert from 'node:assert/strict'
import type { Family } from '../../src/model/ip.ts'
import type { RealCluster } from './real-cluster.ts'
import type { RealPod } from './real-objects.ts'
import { tcpPacket, type TcpFlags } from './real-packets.ts'
import { forge } from './real-wire.ts'

const KINDS: readonly TcpFlags[] = ['ack', 'push ack', 'rst', 'fin ack']

/** To where the server's answers go, as the conntrack of n1 has it: the client, or who masquerades for it. */
export function sendOutOfWindow(lab: RealCluster, server: RealPod, family: Family): void {
  const from = server.addresses[family === 4 ? 0 : 1] as string
  const lines = lab.run('n1', ['cat', '/proc/net/nf_conntrack']).split('\n').filter((line) => line.startsWith(`ipv${family} `) && line.includes(' ESTABLISHED '))
  const clients = lines.flatMap((line) => [...line.matchAll(/ src=(\S+) dst=(\S+) sport=8080 dport=(\d+)/g)].filter(([, source]) => inShort(source as string) === from))
  assert.ok(clients.length > 0, 'no connection')
  forge(lab, server.key, ...clients.flatMap(([, , to, port]) => {
    const ports = { source: 8080, destination: Number(port) }
    const segments = Array.from({ length: 5 }, (_, i) => KINDS.map((flags) => tcpPacket({ from, to: inShort(to as string) }, ports, flags, (i * 858_993_459) >>> 0, { acknowledges: (i * 429_496_729) >>> 0, size: flags === 'rst' ? 0 : 20 })))
    return segments.flat()
  }))
}

/** /proc shows IPv6 addresses in full. */
function inShort(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address
}
