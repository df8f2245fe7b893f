// Who sends what to whom for as long as the soak lasts: every pod to every other, nodes and the outside to pods and back.
//
// `datagrams`: one UDP packet after the other. `stream`: now and then a question, and the server's answers in between, so
// that most packets are replies. `tcp`: short connections, one after the other, each message echoed.
// **Invariant:** no two flows share source, port and destination, and clients' ports are above servers' (decision 6).
import { randomFrom } from '../support/random.ts'
import { SLOTS, TRAFFIC_PORTS } from './world.ts'

export type FlowKind = 'datagrams' | 'stream' | 'tcp'

/** A place that sends and receives: `slot-3`, `n1`, `outside`. */
export interface End {
  readonly name: string
  /** Whose table judges its packets; of the outside its own name, which has none. */
  readonly node: string
  /** [IPv4, IPv6] */
  readonly addresses: readonly string[]
}

export interface FlowPlan {
  readonly id: number
  readonly kind: FlowKind
  readonly from: End
  readonly to: End
  readonly source: string
  readonly destination: string
  readonly sourcePort: number
  readonly port: number
}

const FIRST_CLIENT_PORT = 40_000
/** Streams and connections that each slot begins, on each family. */
const PEERS = 2

export function slotEnd(number: number): End {
  const slot = SLOTS[number - 1]
  if (slot === undefined) throw new Error(`there is no slot ${number}`)
  return { name: `slot-${number}`, node: slot.node, addresses: slot.addresses }
}

export function planFlows(seed: number, nodes: readonly End[], outside: End): readonly FlowPlan[] {
  const random = randomFrom(seed)
  const flows: FlowPlan[] = []
  const add = (kind: FlowKind, from: End, to: End, family: 0 | 1): void => {
    const id = flows.length
    const port = TRAFFIC_PORTS[Math.floor(random() * TRAFFIC_PORTS.length)] as number
    flows.push({ id, kind, from, to, source: from.addresses[family] as string, destination: to.addresses[family] as string, sourcePort: FIRST_CLIENT_PORT + id, port })
  }
  const slots = SLOTS.map(({ number }) => slotEnd(number))
  for (const family of [0, 1] as const) {
    for (const from of slots) {
      const others = slots.filter((to) => to !== from)
      for (const to of [...others, outside, ...nodes]) add('datagrams', from, to, family)
      for (const kind of ['stream', 'tcp'] as const) {
        for (let i = 0; i < PEERS; i++) add(kind, from, others[Math.floor(random() * others.length)] as End, family)
      }
      for (const host of [outside, ...nodes]) add('datagrams', host, from, family)
    }
  }
  return flows
}
