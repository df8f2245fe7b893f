// Ethernet frames as bytes, and what of them arrives at another pod of the bridge: spoofed senders, ARP, advertisements.
//
// forge-frames.ts sends them. **Invariant:** the counters sit in front of everything in the receiver's namespace.
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { addressBytes } from '../kernel/packet-bytes.ts'
import type { RealCluster } from './real-cluster.ts'
import type { Packet } from './real-packets.ts'
import { pause } from './real-wire.ts'

const FORGE = fileURLToPath(new URL('./forge-frames.ts', import.meta.url))
const BROADCAST = 'ff:ff:ff:ff:ff:ff'
const TABLE = 'netdev frame-watch'
const ARRIVAL_MS = 2_000

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

/** `tags`: 802.1Q headers in front of the type. */
function frame(from: string, to: string, type: number, payload: Buffer, tags: readonly number[] = []): Buffer {
  const words = Buffer.from([...tags.flatMap((id) => [0x81, 0, id >> 8, id & 255]), type >> 8, type & 255])
  return Buffer.concat([macBytes(to), macBytes(from), words, payload])
}

export function ipFrame(from: string, packet: Packet, { to = BROADCAST, tags = [] }: { readonly to?: string; readonly tags?: readonly number[] } = {}): Buffer {
  return frame(from, to, packet.destination.includes(':') ? 0x86dd : 0x0800, packet.bytes, tags)
}

/** `sender` says who sends, inside of the ARP packet. */
export function arpFrame(from: string, operation: 1 | 2, sender: { readonly mac: string; readonly address: string }, target: string): Buffer {
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, operation])
  return frame(from, BROADCAST, 0x0806, Buffer.concat([head, macBytes(sender.mac), addressBytes(sender.address), Buffer.alloc(6), addressBytes(target)]))
}

export function sendFrames(lab: RealCluster, from: string, ...frames: readonly Buffer[]): void {
  const [link] = JSON.parse(lab.run(from, ['ip', '-j', 'link', 'show', 'dev', 'eth0'])) as readonly { readonly ifindex: number }[]
  lab.run(from, [process.execPath, FORGE, String(link?.ifindex), ...frames.map((one) => one.toString('hex'))])
}

/** Counts what reaches a pod's own interface, by nft matches of the family netdev. */
export class FrameWatch {
  readonly #lab: RealCluster
  readonly #where: string

  constructor(lab: RealCluster, where: string, matches: Readonly<Record<string, string>>) {
    this.#lab = lab
    this.#where = where
    const counters = Object.keys(matches).map((name) => `counter ${name} {}`)
    const rules = Object.entries(matches).map(([name, match]) => `${match} counter name ${name}`)
    const chain = `chain seen { type filter hook ingress device "eth0" priority -500; ${rules.join('; ')}; }`
    lab.nft(where, `table ${TABLE} {}\ndelete table ${TABLE}\ntable ${TABLE} {\n${[...counters, chain].join('\n')}\n}\n`)
  }

  /** Exactly these have come, once that `last` has: it was sent behind all others. */
  async expect(wanted: Readonly<Record<string, number>>): Promise<void> {
    const counts = (): Readonly<Record<string, number>> => {
      const found = [...this.#lab.listing(this.#where, TABLE).matchAll(/counter (\S+) \{\s+packets (\d+)/g)]
      return Object.fromEntries(found.map(([, name, packets]) => [name, Number(packets)]))
    }
    for (const until = Date.now() + ARRIVAL_MS; counts()['last'] !== wanted['last'] && Date.now() < until; ) await pause(10)
    const all = counts()
    assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((name) => [name, all[name]])), wanted)
    this.#lab.nft(this.#where, `delete table ${TABLE}\n`)
  }
}
