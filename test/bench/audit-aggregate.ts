// How many logged packets a second one core takes from datagrams of NFLOG to flows: one key, many keys, and each packet a key of its own.
//
// The datagrams are as the kernel makes them: 64 packets, cut at 128 bytes, with prefixes of the usual length. No kernel, one thread.
// **Invariant:** told and lost are what was put in, or the bench fails; encoding, and decoding on the other side, are part of it.
import { Aggregate } from '../../src/audit/aggregate.ts'
import { BatchWriter, flowsIn } from '../../src/audit/batches.ts'
import { loggedDatagram } from '../support/nflog-messages.ts'
import { tcpPacket, udpPacket } from '../support/real-packets.ts'
import { median, type Bench, type Figure } from './bench.ts'

const PACKETS_A_DATAGRAM = 64
const EVENTS = 128 * 1_024
const ROUNDS = 5
const MOST_KEYS = 32_768
const MOST_ENTRIES = 2_048
/** As in the worker: a batch at most every so many milliseconds; here by events, at the rate of the aim. */
const EVENTS_A_BATCH = 3_000
const PREFIX = 'picket/denied/ingress/a-namespace-of-usual-length/0123456789abcdef/89abcdef01234567'

/** As many datagrams as hold EVENTS packets of so many keys in turn; half of them IPv6. */
function datagrams(keys: number): readonly Uint8Array[] {
  const packet = (key: number): Uint8Array => {
    const ports = { source: 1_024 + (key % 60_000), destination: 443 }
    const last = (key >> 8) & 255
    const whole = key % 2 === 0 ? udpPacket({ from: `10.1.${last}.${key & 255}`, to: '10.2.0.1' }, ports, 200) : tcpPacket({ from: `fd00:1:${last}::${key & 255}`, to: 'fd00:2::1' }, ports, 'syn')
    return whole.bytes.subarray(0, 128)
  }
  return Array.from({ length: EVENTS / PACKETS_A_DATAGRAM }, (_, d) =>
    loggedDatagram(Array.from({ length: PACKETS_A_DATAGRAM }, (_, i) => {
      const sequence = d * PACKETS_A_DATAGRAM + i
      return { packet: packet(sequence % keys), prefix: PREFIX, sequence, in: 7, out: 9, mark: 0x100, time: 1_800_000_000_000_000n + BigInt(sequence) }
    })))
}

/** Milliseconds of all of this process's threads, so that collecting what was thrown away is part of it and others' work is not. */
function cpu(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** Milliseconds in the thread that reads, and in the one that decodes. */
function round(all: readonly Uint8Array[]): { readonly reads: number; readonly decodes: number } {
  const aggregate = new Aggregate({ windowMs: 5_000, mostKeys: MOST_KEYS })
  const writer = new BatchWriter()
  const batches: ArrayBuffer[] = []
  let lost = 0
  let since = 0
  const start = cpu()
  const tell = (whole: boolean): void => {
    for (let told = MOST_ENTRIES; told === MOST_ENTRIES;) {
      told = aggregate[whole ? 'tellAll' : 'tell'](performance.now(), MOST_ENTRIES, (entry) => writer.add(entry))
      if (told > 0) batches.push(writer.take())
    }
    for (const { count } of aggregate.takeLost(performance.now(), whole)) lost += count
  }
  for (const datagram of all) {
    aggregate.datagram(datagram, performance.now(), 1_800_000_000_000)
    since += PACKETS_A_DATAGRAM
    if (since < EVENTS_A_BATCH) continue
    since = 0
    tell(false)
  }
  tell(true)
  const reads = cpu() - start
  let told = 0
  for (const batch of batches) for (const flow of flowsIn(batch)) told += flow.count
  if (told + lost !== EVENTS) throw new Error(`${told} told and ${lost} lost of ${EVENTS}`)
  return { reads, decodes: cpu() - start - reads }
}

async function run(note: (text: string) => void): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  for (const [name, keys] of [['one key', 1], ['10,000 keys', 10_000], ['each packet a key of its own', EVENTS]] as const) {
    note(`${name}: ${EVENTS} packets, ${ROUNDS} rounds`)
    const all = datagrams(keys)
    round(all)
    const rounds = Array.from({ length: ROUNDS }, () => round(all))
    const rate = (ms: readonly number[]): number => EVENTS / (median(ms) / 1_000)
    figures.push({ name: `${name}: read and aggregated`, value: rate(rounds.map(({ reads }) => reads)), unit: 'events/s', aim: '> 150000' })
    figures.push({ name: `${name}: with decoding, on one core`, value: rate(rounds.map(({ reads, decodes }) => reads + decodes)), unit: 'events/s', aim: '> 150000' })
  }
  return figures
}

export const bench: Bench = { name: 'audit-aggregate', about: `${EVENTS} logged packets from datagrams of NFLOG to flows, in one thread; medians of ${ROUNDS}`, run }
