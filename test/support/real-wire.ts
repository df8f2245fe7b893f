// Forged packets and what arrives of them: sent from any namespace, counted by nft where they should come, or not come.
//
// **Invariant:** the counters sit in front of everything in the receiver's namespace, in a table of their own.
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import type { RealCluster } from './real-cluster.ts'
import type { Packet } from './real-packets.ts'

const FORGE = fileURLToPath(new URL('./forge.ts', import.meta.url))
const TABLE = 'inet wire-watch'
/** How long a packet may be under way, on a busy machine. */
const ARRIVAL_MS = 2_000
/** How long nothing must have come, for "it does not come": packets sent later have come by then. */
const SILENCE_MS = 60

export function forge(cluster: RealCluster, from: string, ...packets: readonly Packet[]): void {
  const list = packets.map(({ destination, bytes }) => [destination, bytes.toString('hex')])
  cluster.run(from, [process.execPath, FORGE], { input: JSON.stringify(list) })
}

/** Counts what comes into the namespace of `where`, by nft matches: `{ gre: 'meta l4proto 47' }`. */
export class WireWatch {
  readonly #cluster: RealCluster
  readonly #where: string

  /** `reassembled`: matches that see no fragments, but what they make up. */
  constructor(cluster: RealCluster, where: string, matches: Readonly<Record<string, string>>, reassembled: Readonly<Record<string, string>> = {}) {
    this.#cluster = cluster
    this.#where = where
    const counters = Object.keys({ ...matches, ...reassembled }).map((name) => `counter ${name} {}`)
    const rules = (of: Readonly<Record<string, string>>): readonly string[] => Object.entries(of).map(([name, match]) => `${match} counter name ${name}`)
    const chain = `chain seen { type filter hook prerouting priority -500; ${rules(matches).join('; ')}; }`
    // Reassembly is at -400, and only where somebody asks for conntrack.
    const whole = `chain whole { type filter hook prerouting priority -350; ${[...rules(reassembled), 'ct state new'].join('; ')}; }`
    const chains = Object.keys(reassembled).length === 0 ? [chain] : [chain, whole]
    cluster.nft(where, `table ${TABLE} {}\ndelete table ${TABLE}\ntable ${TABLE} {\n${[...counters, ...chains].join('\n')}\n}\n`)
  }

  /** Name -> packets so far. */
  counts(): Readonly<Record<string, number>> {
    const listing = this.#cluster.listing(this.#where, TABLE)
    const found = [...listing.matchAll(/counter (\S+) \{\s+packets (\d+)/g)]
    return Object.fromEntries(found.map(([, name, packets]) => [name, Number(packets)]))
  }

  /** Resolves when these counts are reached exactly, and hold for a moment; names that are left out do not matter. */
  async expect(wanted: Readonly<Record<string, number>>): Promise<void> {
    const reached = (): boolean => Object.entries(wanted).every(([name, count]) => this.counts()[name] === count)
    for (const until = Date.now() + ARRIVAL_MS; !reached() && Date.now() < until; ) await pause(10)
    await pause(SILENCE_MS)
    const counts = this.counts()
    assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((name) => [name, counts[name]])), wanted)
  }

  close(): void {
    this.#cluster.nft(this.#where, `delete table ${TABLE}\n`)
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
