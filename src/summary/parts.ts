// A policy taken apart for its summary: which selectors it has, which ports it names, which blocks, and where each of them stands.
//
// **Invariant:** depends on the policy's row only; what Picket could not read of it is in none of the parts.
import type { Cidr } from '../model/ip.ts'
import { EVERYTHING } from '../model/labels.ts'
import type { Protocol } from '../model/objects.ts'
import { DIRECTIONS, type Direction, type Policy, type PolicyRule } from '../model/policy.ts'
import { podSelector, type PodSelector } from '../model/selector.ts'

export interface PlacedSelector {
  /** `spec.ingress[0].from` */
  readonly place: string
  readonly selector: PodSelector
}

export interface NamedUse {
  /** `spec.ingress[0].ports` */
  readonly place: string
  readonly protocol: Protocol
  readonly name: string
  /** Whose port it is: the selected pods' for ingress (rule 35), the peers' for egress (rule 36). None where the peers are ipBlocks only. */
  readonly selectors: readonly PodSelector[]
}

export interface Block {
  readonly cidr: Cidr
  readonly except: readonly Cidr[]
}

export interface DirectionParts {
  readonly everyone: boolean
  readonly peers: readonly PlacedSelector[]
  readonly blocks: readonly Block[]
}

export interface PolicyParts {
  readonly selected: PodSelector
  readonly ingress: DirectionParts
  readonly egress: DirectionParts
  readonly namedPorts: readonly NamedUse[]
}

const EVERY_POD: PodSelector = podSelector({ kind: 'matching', selector: EVERYTHING }, EVERYTHING)
const PEERS_FIELD = { ingress: 'from', egress: 'to' } as const

export function partsOf(policy: Policy): PolicyParts {
  const selected = podSelector({ kind: 'named', name: policy.namespace }, policy.pods)
  return {
    selected,
    ingress: directionParts(policy, 'ingress'),
    egress: directionParts(policy, 'egress'),
    namedPorts: DIRECTIONS.flatMap((direction) => policy[direction].flatMap((rule) => namedPorts(rule, direction, selected))),
  }
}

function directionParts(policy: Policy, direction: Direction): DirectionParts {
  const peers = policy[direction].flatMap((rule) => {
    const place = `spec.${direction}[${rule.index}].${PEERS_FIELD[direction]}`
    return selectorsOf(rule).map((selector) => ({ place, selector }))
  })
  const blocks = policy[direction].flatMap((rule) => (rule.peers === 'all' ? [] : rule.peers.flatMap((peer) => (peer.kind === 'ipBlock' ? [peer] : []))))
  return { everyone: policy[direction].some((rule) => rule.peers === 'all'), peers, blocks }
}

function selectorsOf({ peers }: PolicyRule): readonly PodSelector[] {
  return peers === 'all' ? [] : peers.flatMap((peer) => (peer.kind === 'pods' ? [peer.selector] : []))
}

function namedPorts(rule: PolicyRule, direction: Direction, selected: PodSelector): readonly NamedUse[] {
  if (rule.ports === 'all') return []
  const peers = rule.peers === 'all' ? [EVERY_POD] : selectorsOf(rule)
  const selectors = direction === 'ingress' ? [selected] : peers
  return rule.ports.flatMap((port) => (port.kind === 'named' ? [{ place: `spec.${direction}[${rule.index}].ports`, protocol: port.protocol, name: port.name, selectors }] : []))
}

/** Each selector once, the one of the selected pods among them. */
export function selectorsIn({ selected, ingress, egress, namedPorts: named }: PolicyParts): readonly PodSelector[] {
  const all = [selected, ...[...ingress.peers, ...egress.peers].map(({ selector }) => selector), ...named.flatMap(({ selectors }) => selectors)]
  return [...new Map(all.map((one) => [one.id, one])).values()]
}
