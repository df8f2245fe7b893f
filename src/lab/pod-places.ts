// Which node each pod runs on and which addresses it has: the scheduler and the address manager of a playground.
//
// PodFacts -> PlacedPods. **Invariant:** a pod keeps its node and its addresses for as long as it is there; no two
// running pods have an address in common; what the folder says itself is kept.
import { familyOf, FAMILIES, fromBits, parseCidr, type Address, type Cidr } from '../model/ip.ts'
import type { PodFacts } from './pod-facts.ts'

export interface PlacedPod extends PodFacts {
  readonly node: string
  /** In a network namespace of its own; as part of its node (hostNetwork); or not at all. */
  readonly runs: 'namespace' | 'host' | 'no'
}

export interface Placed {
  readonly pods: ReadonlyMap<string, PlacedPod>
  readonly notes: readonly string[]
}

/** First host number of a node's range that is given to a pod, and the last. */
const FIRST_HOST = 2n
const LAST_HOST = 254n

/** The pod ranges of the `index`-th node (from 0 to 15), [IPv4, IPv6]. */
export function nodeRanges(index: number): readonly Cidr[] {
  return [`10.244.${index + 1}.0/24`, `fd00:244:${index + 1}::/64`].map((one) => parseCidr(one) as Cidr)
}

export class PodPlaces {
  readonly #nodes: readonly string[]
  /** What was decided for pods that said nothing. */
  readonly #nodeOf = new Map<string, string>()
  readonly #addressesOf = new Map<string, readonly Address[]>()

  constructor(nodes: readonly string[]) {
    this.#nodes = nodes
  }

  /** `pods`: all that there are now; whatever was decided for others is free again. */
  place(pods: readonly PodFacts[], nodeAddresses: (node: string) => readonly Address[]): Placed {
    const keys = new Set(pods.map((one) => one.key))
    for (const decided of [this.#nodeOf, this.#addressesOf]) for (const key of decided.keys()) if (!keys.has(key)) decided.delete(key)
    const notes: string[] = []
    const taken = new Map<Address, string>()
    for (const node of this.#nodes) for (const address of nodeAddresses(node)) taken.set(address, `node ${node}`)
    // Addresses that the folder gives and those given before come first, so that what is given now is free.
    for (const pod of pods) for (const address of this.#addressesOf.get(pod.key) ?? []) if (pod.addresses.length === 0) taken.set(address, pod.key)
    for (const pod of pods) if (!pod.finished && !pod.hostNetwork) for (const address of pod.addresses) if (!taken.has(address)) taken.set(address, pod.key)
    const placed = new Map<string, PlacedPod>()
    for (const pod of pods) placed.set(pod.key, this.#placeOne(pod, pods, taken, nodeAddresses, notes))
    return { pods: placed, notes }
  }

  #placeOne(pod: PodFacts, pods: readonly PodFacts[], taken: Map<Address, string>, nodeAddresses: (node: string) => readonly Address[], notes: string[]): PlacedPod {
    const node = pod.node ?? this.#nodeFor(pod.key, pods)
    if (!this.#nodes.includes(node)) {
      notes.push(`pod ${pod.key} does not run: its node ${node} is none of the lab's (${this.#nodes.join(', ')})`)
      return { ...pod, node, runs: 'no' }
    }
    if (pod.finished) return { ...pod, node, runs: 'no' }
    if (pod.hostNetwork) return { ...pod, node, addresses: nodeAddresses(node), runs: 'host' }
    const addresses = pod.addresses.length > 0 ? pod.addresses : this.#addressesFor(pod.key, node, taken)
    const shared = addresses.find((one) => taken.get(one) !== pod.key)
    if (shared !== undefined) {
      notes.push(`pod ${pod.key} does not run: its address ${shared} is that of ${taken.get(shared)}`)
      return { ...pod, node, addresses, runs: 'no' }
    }
    return { ...pod, node, addresses, runs: 'namespace' }
  }

  /** The node with the fewest pods, the first of them in order. */
  #nodeFor(key: string, pods: readonly PodFacts[]): string {
    const known = this.#nodeOf.get(key)
    if (known !== undefined) return known
    const load = new Map(this.#nodes.map((name) => [name, 0]))
    for (const pod of pods) {
      const name = pod.node ?? this.#nodeOf.get(pod.key)
      if (name !== undefined && load.has(name)) load.set(name, (load.get(name) ?? 0) + 1)
    }
    const [least] = [...load].reduce((a, b) => (b[1] < a[1] ? b : a))
    this.#nodeOf.set(key, least)
    return least
  }

  #addressesFor(key: string, node: string, taken: Map<Address, string>): readonly Address[] {
    const ranges = nodeRanges(this.#nodes.indexOf(node))
    const known = this.#addressesOf.get(key)
    // A pod that was moved to another node in the folder gets addresses there.
    if (known?.every((one, index) => inRange(one, ranges[index])) === true) return known
    for (const one of known ?? []) taken.delete(one)
    const given = FAMILIES.map((family, index) => {
      const { first } = ranges[index] as Cidr
      for (let host = FIRST_HOST; host <= LAST_HOST; host++) {
        const address = fromBits(family, first + host)
        if (!taken.has(address)) return address
      }
      throw new Error(`node ${node} has no free address`)
    })
    for (const address of given) taken.set(address, key)
    this.#addressesOf.set(key, given)
    return given
  }
}

function inRange(address: Address, range: Cidr | undefined): boolean {
  return range !== undefined && familyOf(address) === range.family && parseCidr(`${address}/${range.prefix}`)?.text === range.text
}
