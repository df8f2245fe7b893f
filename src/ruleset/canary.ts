// The canary in the table: two ends that look like pods', a client with an egress profile and a server with an ingress one.
//
// The profiles are compiled by the same code as pods', and packets come to them by the same base chains, sets and maps. Counters of
// their own tell what our rules dropped from what others' did.
// **Invariant:** whatever else comes from the client's interface or goes to the server's is dropped; nothing ever goes the other way.
import { CANARY_CLIENT, CANARY_IMPOSTOR, CANARY_PORTS, CANARY_SERVER } from '../model/canary.ts'
import { FAMILIES, type Address, type Family } from '../model/ip.ts'
import { EVERYTHING } from '../model/labels.ts'
import type { Direction } from '../model/policy.ts'
import { podSelector } from '../model/selector.ts'
import type { Chain, Counter, Element } from '../nft/objects.ts'
import type { TableState } from '../nft/state.ts'
import type { PeerSet, PlanPort, Profile } from '../policy/plan.ts'
import { CANARY_PROFILES, NAMES, peerSet, podAddresses, profileChain } from './names.ts'
import { profileObjects, setObjects } from './policies.ts'

const COUNTERS: readonly Counter[] = [
  { kind: 'counter', name: NAMES.canarySpoofed, comment: 'packets of the canary with a source that it does not own' },
  { kind: 'counter', name: NAMES.canaryAllowed, comment: 'packets of the canary that passed both stages' },
]

/**
 * The node sends what a pod would: so others' rules for what leaves the cluster (ip-masq-agent, Amazon's VPC CNI) would put its address
 * in place of the client's. Untracked, nobody translates them; where they come in conntrack meets them as it meets a pod's.
 */
const UNTRANSLATED: Chain = {
  kind: 'chain',
  name: 'filter-output-canary',
  base: { type: 'filter', hook: 'output', priority: 'raw', policy: 'accept' },
  rules: [`oifname "${CANARY_CLIENT.end}" notrack`],
}

/** Puts all of it into a table of the static part. */
export function putCanary(state: TableState): void {
  for (const counter of COUNTERS) state.counters.set(counter.name, counter)
  putProfile(state, 'egress', [CANARY_PORTS.allowed, CANARY_PORTS.ingressDenied], { 4: [CANARY_SERVER.addresses[4]], 6: [CANARY_SERVER.addresses[6]] })
  const sources = state.chains.get('not-as-itself')
  // Counted apart: what pods spoof is told to people.
  if (sources !== undefined) state.chains.set(sources.name, { ...sources, rules: [`iifname "${CANARY_CLIENT.link}" counter name "${NAMES.canarySpoofed}" drop`, ...sources.rules] })
  // The impostor too, so that nothing but the spoof chain drops what it sends.
  putProfile(state, 'ingress', [CANARY_PORTS.allowed, CANARY_PORTS.egressDenied], { 4: [CANARY_CLIENT.addresses[4], CANARY_IMPOSTOR[4]], 6: [CANARY_CLIENT.addresses[6], CANARY_IMPOSTOR[6]] })
  for (const { link, addresses } of [CANARY_CLIENT, CANARY_SERVER]) {
    const key = `"${link}"`
    for (const set of [NAMES.podInterfaces, NAMES.knownInterfaces]) put(state, set, { key })
    for (const family of FAMILIES) put(state, podAddresses(family), { key: `${key} . ${addresses[family]}` })
  }
  state.chains.set(UNTRANSLATED.name, UNTRANSLATED)
  verdicts(state, CANARY_CLIENT.link, `goto ${profileChain(CANARY_PROFILES.egress)}`, 'drop')
  verdicts(state, CANARY_SERVER.link, 'drop', `goto ${profileChain(CANARY_PROFILES.ingress)}`)
}

function verdicts(state: TableState, link: string, egress: string, ingress: string): void {
  put(state, NAMES.egressByInterface, { key: `"${link}"`, value: egress })
  put(state, NAMES.ingressByInterface, { key: `"${link}"`, value: ingress })
}

function putProfile(state: TableState, direction: Direction, numbers: readonly number[], members: Readonly<Record<Family, readonly Address[]>>): void {
  // No namespace is called so.
  const selector = podSelector({ kind: 'named', name: `canary/${direction}` }, EVERYTHING)
  const set: PeerSet = { kind: 'pods', id: selector.id, selector }
  const ports = numbers.map((number): PlanPort => ({ protocol: 'UDP', first: number, last: number }))
  const peers = [{ kind: 'addresses', set: set.id }] as const
  const profile: Profile = {
    id: CANARY_PROFILES[direction],
    direction,
    namespace: 'picket',
    policies: [{ uid: 'canary', name: 'canary' }],
    rules: [{ policy: 'canary', index: 0, ports, peers }],
    dispatch: [{ kind: 'exact', ports, peers }],
  }
  for (const object of setObjects(set)) state.sets.set(object.name, { object, elements: new Map() })
  for (const family of FAMILIES) for (const key of members[family]) put(state, peerSet(set, family), { key })
  const { chains, map, counter } = profileObjects(profile, () => set)
  for (const chain of chains) state.chains.set(chain.name, direction === 'ingress' ? counted(chain) : chain)
  state.counters.set(counter.name, counter)
  if (map === null) return
  state.sets.set(map.object.name, { object: map.object, elements: new Map() })
  for (const element of map.elements) put(state, map.object.name, element)
}

/** What the last stage accepts has passed both: told apart from what others drop behind them. */
function counted(chain: Chain): Chain {
  return { ...chain, rules: chain.rules.map((rule) => rule.replace(/ accept$/, ` counter name "${NAMES.canaryAllowed}" accept`)) }
}

function put(state: TableState, set: string, element: Element): void {
  state.sets.get(set)?.elements.set(element.key, element)
}
