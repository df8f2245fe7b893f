// One round of the canary: packets of each kind in each family, and what links and counters saw of them.
//
// Packets are judged inside of the send() that sends them, as a rule, so that a round takes a millisecond; where the machine is busy it
// waits for them. **Invariant:** a round sends a fixed number of packets, and ends in time whatever becomes of them.
import { CANARY_CLIENT, CANARY_IMPOSTOR, CANARY_PORTS, CANARY_SERVER } from '../model/canary.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import { messageOf } from '../lib/errors.ts'
import { KernelRefusal, NetlinkAsking } from '../netlink/asking.ts'
import { counterRequest, countedIn } from '../netlink/counters.ts'
import { decodeNftables, generationRequest, NETLINK_NETFILTER } from '../netlink/nftables.ts'
import { CANARY_COUNTERS, TABLE_NAME } from '../ruleset/names.ts'
import { Sender } from './sender.ts'
import { addressBytes, Stage } from './stage.ts'
import { PROBES, type Evidence, type FamilyRound, type ProbeName, type Round, type Seen } from './verdict.ts'

const PLACE = { family: 'inet', table: TABLE_NAME } as const
const PACKETS = 3
/** Far more than what others may send on these links in the moment of a probe. */
const PAYLOAD = new Uint8Array(1_000)
/** Ethernet, IP, UDP and the payload. */
const LENGTH = { 4: 14 + 20 + 8 + PAYLOAD.length, 6: 14 + 40 + 8 + PAYLOAD.length } as const
const LONGEST_WAIT_MS = 250
const PAUSE_MS = 2
const TIMEOUT_MS = 2_000

const PORT = { spoofed: CANARY_PORTS.allowed, allowed: CANARY_PORTS.allowed, egressDenied: CANARY_PORTS.egressDenied, ingressDenied: CANARY_PORTS.ingressDenied } as const
const COUNTER = { spoofed: 'spoofed', allowed: 'allowed', egressDenied: 'egress', ingressDenied: 'ingress' } as const
const COUNTED = Object.keys(CANARY_COUNTERS) as readonly (keyof typeof CANARY_COUNTERS)[]

interface Witness {
  readonly arrivedBytes: number
  readonly leftBytes: number
  readonly counted: Seen['counted']
}

export class Rounds {
  readonly #stage = new Stage()
  readonly #nft = new NetlinkAsking(NETLINK_NETFILTER, TIMEOUT_MS)

  /** Throws an Error where there is no stage to send on. */
  round(): Round {
    const stage = this.#stage.ensure()
    const before = this.#generation()
    const [four, six] = FAMILIES.map((family): FamilyRound => {
      const one = stage[family]
      if (one.kind !== 'ready') return one
      try {
        return { kind: 'sent', evidence: this.#family(family) }
      } catch (error) {
        return { kind: 'failed', reason: messageOf(error) }
      }
    }) as [FamilyRound, FamilyRound]
    return { families: { 4: four, 6: six }, quiet: before === this.#generation() }
  }

  close(): void {
    this.#stage.close()
    this.#nft.close()
  }

  /** Sockets of this round alone: each probe is a connection that conntrack does not know. */
  #family(family: Family): Evidence {
    const from = (source: string): Sender => new Sender(family, CANARY_CLIENT.end, addressBytes(family, source))
    const client = from(CANARY_CLIENT.addresses[family])
    try {
      const impostor = from(CANARY_IMPOSTOR[family])
      try {
        const seen = PROBES.map((name) => [name, this.#probe(family, name, name === 'spoofed' ? impostor : client)] as const)
        return Object.fromEntries(seen) as Record<ProbeName, Seen>
      } finally {
        impostor.close()
      }
    } finally {
      client.close()
    }
  }

  #probe(family: Family, name: ProbeName, sender: Sender): Seen {
    const server = addressBytes(family, CANARY_SERVER.addresses[family])
    const before = this.#witness()
    let [sent, refusal] = [0, null as string | null]
    for (; sent < PACKETS; sent++) {
      try {
        sender.send(PAYLOAD, server, PORT[name])
      } catch (error) {
        refusal = messageOf(error)
        break
      }
    }
    const until = performance.now() + LONGEST_WAIT_MS
    for (;;) {
      const seen = this.#seen(family, before, sent, refusal)
      const isDone = name === 'allowed' ? seen.left >= sent : seen.left > 0 || seen.counted[COUNTER[name]] >= sent
      if (isDone || performance.now() >= until) return seen
      sleep(PAUSE_MS)
    }
  }

  #seen(family: Family, before: Witness, sent: number, refusal: string | null): Seen {
    const now = this.#witness()
    const packets = (bytes: number): number => Math.max(0, Math.floor(bytes / LENGTH[family]))
    // The table may have been written anew meanwhile, its counters with it.
    const counted = Object.fromEntries(COUNTED.map((name) => [name, Math.max(0, now.counted[name] - before.counted[name])])) as Record<keyof Seen['counted'], number>
    return { sent, refusal, arrived: packets(now.arrivedBytes - before.arrivedBytes), left: packets(now.leftBytes - before.leftBytes), counted }
  }

  #witness(): Witness {
    const counted = Object.fromEntries(COUNTED.map((name) => [name, this.#counter(CANARY_COUNTERS[name])])) as Record<keyof Seen['counted'], number>
    const [client, server] = [this.#stage.link(CANARY_CLIENT.link), this.#stage.link(CANARY_SERVER.link)]
    if (client === null || server === null) throw new Error(`interface ${client === null ? CANARY_CLIENT.link : CANARY_SERVER.link}: somebody took it away meanwhile`)
    return { arrivedBytes: client.received.bytes, leftBytes: server.sent.bytes, counted }
  }

  #counter(name: string): number {
    try {
      return countedIn(this.#nft.ask((sequence) => counterRequest(PLACE, name, sequence)))
    } catch (error) {
      if (error instanceof KernelRefusal && error.code === 'ENOENT') return 0
      throw error
    }
  }

  /** How many commits there were, of whatever table. */
  #generation(): number {
    const told = this.#nft.ask((sequence) => generationRequest(sequence, true)).map(decodeNftables).find((one) => one?.kind === 'end')
    return told?.kind === 'end' ? told.generation : 0
  }
}

/** Of this thread. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
