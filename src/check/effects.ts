// What one policy does in a cluster: whom it selects, and rules that mean less than they seem to.
//
// The compiled plan's own selectors and matching are asked, never the specification. What many policies share (the members of a
// selector, the addresses of everybody) is looked at once.
// **Invariant:** an effect depends on the policy and the cluster only, not on which were asked about before.
import type { Address, Cidr, Family } from '../model/ip.ts'
import { contains, familyOf, toBits } from '../model/ip.ts'
import { EVERYTHING } from '../model/labels.ts'
import type { Pod } from '../model/objects.ts'
import { DIRECTIONS, isPeer, resolvePort, type Direction, type Policy, type PolicyPort } from '../model/policy.ts'
import { podSelector, type PodSelector } from '../model/selector.ts'
import { selects } from '../policy/isolation.ts'
import type { Compiled } from './compiled.ts'
import type { ServiceFacts } from './raw.ts'

export interface PolicyEffect {
  readonly namespace: string
  readonly name: string
  readonly isolates: readonly Direction[]
  /** Pods that it selects and that it holds for. */
  readonly pods: number
  /** Pods on the network of their node, for which no policy holds. */
  readonly hostNetworkPods: number
  /** `spec.ingress[0]: http/TCP`: ports by a name that no pod concerned has. */
  readonly unknownPorts: readonly string[]
  /** CIDRs that hold addresses of Services and nobody else's: policies see the address behind a Service. */
  readonly serviceBlocks: readonly string[]
}

type NamedPort = Extract<PolicyPort, { kind: 'named' }>

interface Point {
  readonly family: Family
  readonly bits: bigint
}

const EVERY_POD = podSelector({ kind: 'matching', selector: EVERYTHING }, EVERYTHING)

export class Effects {
  readonly #compiled: Compiled
  readonly #services: readonly Point[]
  /** Of pods and nodes; made when the first block asks for it. */
  #others: readonly Point[] | null = null
  /** `PORT/PROTOCOL of SELECTOR` -> whether a pod has it. */
  readonly #ports = new Map<string, boolean>()

  constructor(compiled: Compiled, services: readonly ServiceFacts[]) {
    this.#compiled = compiled
    this.#services = services.flatMap(({ addresses }) => addresses.map(pointOf))
  }

  of(policy: Policy): PolicyEffect {
    const selected = [...this.#compiled.snapshot.pods.where('namespace', policy.namespace)].filter((pod) => selects(policy, pod))
    const pods = selected.filter(isPeer)
    return {
      namespace: policy.namespace,
      name: policy.name,
      isolates: DIRECTIONS.filter((direction) => policy.isolates[direction]),
      pods: pods.length,
      hostNetworkPods: selected.filter((pod) => pod.hostNetwork && !pod.finished).length,
      // Where it selects nobody, that is what is told.
      unknownPorts: pods.length === 0 ? [] : DIRECTIONS.flatMap((direction) => this.#unknownPorts(policy, direction, pods)),
      serviceBlocks: DIRECTIONS.flatMap((direction) => this.#serviceBlocks(policy, direction)),
    }
  }

  /** For ingress it is a port of the selected pods (rule 35), for egress one of the destinations (rule 36). */
  #unknownPorts(policy: Policy, direction: Direction, selected: readonly Pod[]): readonly string[] {
    return policy[direction].flatMap(({ index, peers, ports }) => {
      const names = ports === 'all' ? [] : ports.filter((port): port is NamedPort => port.kind === 'named')
      const missing = names.filter((port) => !(direction === 'ingress' ? anyHas(selected, port) : selectorsOf(peers).some((selector) => this.#hasPort(selector, port))))
      return missing.map(({ protocol, name }) => `spec.${direction}[${index}]: ${name}/${protocol}`)
    })
  }

  #hasPort(selector: PodSelector, port: NamedPort): boolean {
    const key = `${port.name}/${port.protocol} of ${selector.id}`
    const known = this.#ports.get(key)
    if (known !== undefined) return known
    const { selectors } = this.#compiled.snapshot
    const id = selectors.acquire(selector)
    const has = anyHas(selectors.members(id).values(), port)
    selectors.release(id)
    this.#ports.set(key, has)
    return has
  }

  #serviceBlocks(policy: Policy, direction: Direction): readonly string[] {
    const blocks = policy[direction].flatMap(({ peers }) => (peers === 'all' ? [] : peers.flatMap((peer) => (peer.kind === 'ipBlock' ? [peer] : []))))
    return blocks.flatMap(({ cidr, except }) => {
      const isHeld = (point: Point): boolean => holds(cidr, point) && !except.some((one) => holds(one, point))
      return this.#services.some(isHeld) && !this.#everybody().some(isHeld) ? [cidr.text] : []
    })
  }

  #everybody(): readonly Point[] {
    const { pods, nodes } = this.#compiled.rows
    this.#others ??= [pods, nodes].flatMap((changes) => [...changes.values()].flatMap(({ after }) => (after?.addresses ?? []).map(pointOf)))
    return this.#others
  }
}

function pointOf(address: Address): Point {
  return { family: familyOf(address), bits: toBits(address) }
}

function holds(cidr: Cidr, { family, bits }: Point): boolean {
  return cidr.family === family && contains(cidr, bits)
}

function anyHas(pods: Iterable<Pod>, { protocol, name }: NamedPort): boolean {
  for (const pod of pods) if (resolvePort(pod, protocol, name) !== null) return true
  return false
}

function selectorsOf(peers: Policy['egress'][number]['peers']): readonly PodSelector[] {
  return peers === 'all' ? [EVERY_POD] : peers.flatMap((peer) => (peer.kind === 'pods' ? [peer.selector] : []))
}
