// A rule of a policy -> a rule of the plan, and the sets that it reads: rules 11-24 and 28-57.
//
// Peers become membership in sets: pods by selector, CIDRs by place, and for egress a named port the pairs of address
// and port of the pods that have it (rules 36, 37: no cross product).
// **Invariant:** what cannot match is left out, and an empty list never turns into 'all' (rules 23, 39).
import type { Policy, PolicyRule, Direction, Peer } from '../model/policy.ts'
import { shortHash } from '../lib/hash.ts'
import { EVERYTHING } from '../model/labels.ts'
import { podSelector, type PodSelector } from '../model/selector.ts'
import type { Protocol } from '../model/objects.ts'
import { portKey, type PortNumbers } from './isolation.ts'
import type { PeerSet, PlanPeer, PlanPort, PlanRule } from './plan.ts'

export const WHOLE_PROTOCOL = { first: 0, last: 65535 }

const EVERY_POD: PodSelector = podSelector({ kind: 'matching', selector: EVERYTHING }, EVERYTHING)

export interface ReadRule {
  readonly rules: readonly PlanRule[]
  readonly sets: readonly PeerSet[]
}

/** At most two plan rules: one for ports that are numbers, one for egress ports that are names. */
export function readRule(policy: Policy, direction: Direction, rule: PolicyRule, numbers: PortNumbers): ReadRule {
  const sets = new Map<string, PeerSet>()
  const rules: PlanRule[] = []
  const base = { policy: policy.uid, index: rule.index }
  const ports = rule.ports === 'all' ? 'all' : numericPorts(rule.ports, direction, numbers)
  if (ports === 'all' || ports.length > 0) {
    const peers = rule.peers === 'all' ? 'all' : addressPeers(policy, direction, rule, rule.peers, sets)
    if (peers === 'all' || peers.length > 0) rules.push(Object.freeze({ ...base, ports, peers }))
  }
  const pairs = direction === 'egress' && rule.ports !== 'all' ? pairPeers(rule, sets) : []
  if (pairs.length > 0) rules.push(Object.freeze({ ...base, ports: 'all', peers: pairs }))
  return { rules, sets: [...sets.values()] }
}

function numericPorts(ports: Exclude<PolicyRule['ports'], 'all'>, direction: Direction, numbers: PortNumbers): PlanPort[] {
  const found: PlanPort[] = []
  for (const port of ports) {
    switch (port.kind) {
      case 'protocol':
        found.push({ protocol: port.protocol, ...WHOLE_PROTOCOL })
        break
      case 'range':
        found.push({ protocol: port.protocol, first: port.first, last: port.last })
        break
      case 'named': {
        const number = direction === 'ingress' ? numbers.get(portKey(port.protocol, port.name)) : undefined
        if (number !== undefined) found.push({ protocol: port.protocol, first: number, last: number })
        break
      }
    }
  }
  return found
}

function addressPeers(policy: Policy, direction: Direction, rule: PolicyRule, peers: readonly Peer[], sets: Map<string, PeerSet>): PlanPeer[] {
  const found = new Map<string, PlanPeer>()
  for (const peer of peers) {
    const set = peer.kind === 'pods' ? podsSet(peer.selector) : cidrSet(policy, direction, rule)
    sets.set(set.id, set)
    found.set(set.id, Object.freeze({ kind: 'addresses', set: set.id }))
  }
  return [...found.values()]
}

/** "to: ports: a named port" is one of each destination pod; toward an ipBlock it matches nothing (rule 42). */
function pairPeers(rule: PolicyRule, sets: Map<string, PeerSet>): PlanPeer[] {
  const selectors = rule.peers === 'all' ? [EVERY_POD] : rule.peers.flatMap((peer) => (peer.kind === 'pods' ? [peer.selector] : []))
  const found = new Map<string, PlanPeer>()
  for (const port of rule.ports === 'all' ? [] : rule.ports) {
    if (port.kind !== 'named') continue
    for (const selector of selectors) {
      const set = pairsSet(selector, port.protocol, port.name)
      sets.set(set.id, set)
      found.set(set.id, Object.freeze({ kind: 'pairs', set: set.id }))
    }
  }
  return [...found.values()]
}

export function podsSet(selector: PodSelector): PeerSet {
  return Object.freeze({ kind: 'pods', id: `pods ${selector.id}`, selector })
}

export function pairsSet(selector: PodSelector, protocol: Protocol, port: string): PeerSet {
  return Object.freeze({ kind: 'pairs', id: `port ${port}/${protocol} of ${selector.id}`, selector, protocol, port })
}

/** One set for all ipBlocks of a rule: they are ORed, and each except has been subtracted from its own block (rules 46-48). */
function cidrSet(policy: Policy, direction: Direction, rule: PolicyRule): PeerSet {
  const place = { policy: policy.uid, namespace: policy.namespace, name: policy.name, direction, rule: rule.index, shape: shapeOf(policy, direction) }
  return Object.freeze({ kind: 'cidrs', id: `cidrs ${policy.uid}/${direction}/${rule.index}/${place.shape}`, place })
}

const SHAPES = new WeakMap<Policy, Map<Direction, string>>()

/**
 * What the rules say beside their CIDRs. Where that changes, rules change: their CIDRs go into new sets, staged, so that no
 * packet sees the one rule's text with the other's content. Where it does not, only elements change, in place.
 */
function shapeOf(policy: Policy, direction: Direction): string {
  const known = SHAPES.get(policy) ?? new Map<Direction, string>()
  SHAPES.set(policy, known)
  const shape = known.get(direction) ?? shortHash(JSON.stringify(policy[direction].map(({ index, peers, ports }) => [index, peersShape(peers), ports])), 8)
  known.set(direction, shape)
  return shape
}

function peersShape(peers: PolicyRule['peers']): unknown {
  return peers === 'all' ? peers : [...new Set(peers.map((peer) => (peer.kind === 'pods' ? peer.selector.id : '')))]
}
