// The rules of a profile, ordered by port, so that a packet visits only rules that could allow it.
//
// Exact ports lead through a hash map to their own few rules; ranges, whole protocols and 'all' follow, one after the
// other. Where one class has more than MAX_PEERS peers they become one union. Each says for which rule it counts what it allows.
// **Invariant:** the classes together allow exactly what the rules allow: the order decides cost, never a verdict.
import { byText } from '../lib/sorting.ts'
import { WHOLE_PROTOCOL } from './peers.ts'
import type { PeerSet, PlanPeer, PlanPort, PlanRule, PortClass, ProfileId, RuleRef, SetId, UnionContent } from './plan.ts'

/** How many sets a packet may have to be looked up in, for one port, before they become one. */
export const MAX_PEERS = 8

interface Collected {
  readonly kind: PortClass['kind']
  readonly port: PlanPort | null
  /** The first rule that allows everybody. */
  everybody: RuleRef | null
  /** In the order of rules, each with the first rule that names it. */
  readonly peers: Map<SetId, Peer>
}

interface Peer {
  readonly peer: PlanPeer
  readonly by: RuleRef
}

export interface Dispatch {
  readonly classes: readonly PortClass[]
  readonly unions: readonly Extract<PeerSet, { kind: 'union' }>[]
}

export function portText(port: PlanPort): string {
  const protocol = port.protocol.toLowerCase()
  if (port.first === WHOLE_PROTOCOL.first && port.last === WHOLE_PROTOCOL.last) return protocol
  return port.first === port.last ? `${protocol}-${port.first}` : `${protocol}-${port.first}-${port.last}`
}

function kindOf(port: PlanPort): PortClass['kind'] {
  if (port.first === port.last) return 'exact'
  return portText(port) === port.protocol.toLowerCase() ? 'protocol' : 'range'
}

/** `contentOf` says what kind of set an id names, so that a union knows what it will hold. */
export function dispatch(profile: ProfileId, rules: readonly PlanRule[], contentOf: (id: SetId) => PeerSet['kind']): Dispatch {
  const collected = collect(rules)
  const unions: Extract<PeerSet, { kind: 'union' }>[] = []
  const classes: PortClass[] = []
  for (const group of [...groupExact(collected), ...collected.filter((c) => c.kind !== 'exact').map((c) => ({ ...c, ports: c.port === null ? [] : [c.port] }))]) {
    if (group.everybody !== null) {
      classes.push(Object.freeze({ kind: group.kind, ports: group.ports, peers: 'all', by: [[group.everybody]] }))
      continue
    }
    const name = group.ports[0] === undefined ? 'all' : portText(group.ports[0])
    const narrowed = narrow(profile, name, [...group.peers.values()], contentOf, unions)
    classes.push(Object.freeze({ kind: group.kind, ports: group.ports, peers: narrowed.map(({ peer }) => peer), by: narrowed.map(({ by }) => by) }))
  }
  return { classes: classes.sort((a, b) => ORDER[a.kind] - ORDER[b.kind]), unions }
}

const ORDER: Readonly<Record<PortClass['kind'], number>> = { exact: 0, range: 1, protocol: 2, all: 3 }

function collect(rules: readonly PlanRule[]): Collected[] {
  const classes = new Map<string, Collected>()
  for (const rule of rules) {
    const by: RuleRef = Object.freeze({ policy: rule.policy, index: rule.index })
    for (const port of rule.ports === 'all' ? [null] : rule.ports) {
      const key = port === null ? 'all' : portText(port)
      let found = classes.get(key)
      if (found === undefined) classes.set(key, (found = { kind: port === null ? 'all' : kindOf(port), port, everybody: null, peers: new Map() }))
      if (rule.peers === 'all') found.everybody ??= by
      else for (const peer of rule.peers) if (!found.peers.has(peer.set)) found.peers.set(peer.set, { peer, by })
    }
  }
  return [...classes.keys()].sort(byPort(classes)).map((key) => classes.get(key) as Collected)
}

function byPort(classes: ReadonlyMap<string, Collected>): (a: string, b: string) => number {
  return (a, b) => {
    const [x, y] = [classes.get(a)?.port, classes.get(b)?.port]
    if (x === null || x === undefined || y === null || y === undefined) return byText(a, b)
    return byText(x.protocol, y.protocol) || x.first - y.first || x.last - y.last
  }
}

/** Exact ports with the same peers of the same rules share what they lead to, under the first one's name. */
function groupExact(collected: readonly Collected[]): (Omit<Collected, 'port'> & { ports: PlanPort[] })[] {
  const groups = new Map<string, Omit<Collected, 'port'> & { ports: PlanPort[] }>()
  for (const one of collected) {
    if (one.kind !== 'exact' || one.port === null) continue
    const key = one.everybody !== null ? refText(one.everybody) : [...one.peers.values()].map(({ peer, by }) => `${refText(by)} ${peer.set}`).sort(byText).join('\n')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { ...one, ports: [one.port] })
    else group.ports.push(one.port)
  }
  return [...groups.values()]
}

function refText({ policy, index }: RuleRef): string {
  return `${policy} ${index}`
}

function narrow(
  profile: ProfileId,
  ports: string,
  peers: readonly Peer[],
  contentOf: (id: SetId) => PeerSet['kind'],
  unions: Extract<PeerSet, { kind: 'union' }>[],
): readonly { readonly peer: PlanPeer; readonly by: readonly RuleRef[] }[] {
  const narrowed: { readonly peer: PlanPeer; readonly by: readonly RuleRef[] }[] = []
  for (const kind of ['addresses', 'pairs'] as const) {
    const own = peers.filter(({ peer }) => peer.kind === kind)
    if (own.length <= MAX_PEERS) {
      narrowed.push(...own.map(({ peer, by }) => ({ peer, by: [by] })))
      continue
    }
    const same = own.map(({ peer }) => peer).sort((a, b) => byText(a.set, b.set))
    const holds: UnionContent = kind === 'pairs' ? 'pairs' : same.some((p) => contentOf(p.set) === 'cidrs') ? 'ranges' : 'addresses'
    const union = Object.freeze({ kind: 'union' as const, id: `union ${profile}/${ports}/${holds}`, holds, profile, ports, sources: same.map((p) => p.set) })
    unions.push(union)
    narrowed.push({ peer: Object.freeze({ kind, set: union.id }), by: [...new Map(own.map(({ by }) => [refText(by), by])).values()] })
  }
  return narrowed
}
