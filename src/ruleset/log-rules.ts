// Log rules: what stands in front of a verdict's own rule, and writes to NFLOG what that rule is about to do.
//
//   [sample] [share of the source] [share of the pod] [share of the node] counter, mark, log      then, apart: counter, verdict
//
// Shares are limits of elements in dynamic sets, so that they outlive the rules that ask them. A key is a hash, so that no set is ever
// full, whoever sends from how many addresses. What is logged is counted: the verdict's own counter without that was suppressed.
// **Invariant:** a log rule has no verdict, and the mark of a packet that goes on is as it was.
import { FAMILIES, type Family } from '../model/ip.ts'
import type { Direction } from '../model/policy.ts'
import type { Chain, Counter, NftSet } from '../nft/objects.ts'
import type { Logged } from '../logging/wishes.ts'
import type { PlaceLog, Profile } from '../policy/plan.ts'
import { formatLogPrefix, isLoggable, labelHash, profileGeneration, type LogEvent } from './log-prefix.ts'
import { allowedCounter, logChain, loggedAllowedCounter, loggedCounter } from './names.ts'
import { addressWord } from './words.ts'

/** Limits are packets a second, whole numbers above 0. */
export interface LogOptions {
  /** Of NFLOG: 1 to 65535. */
  readonly group: number
  readonly nodeLimit: number
  /** Of what one pod's policies say of others' packets. */
  readonly podLimit: number
  /** Of what one sender is told of. */
  readonly sourceLimit: number
  /** Whether what no policy denies is logged: spoofed, invalid, no endpoint, and so on. */
  readonly denies: boolean
  /** Whether conntrack's mark says which Service was called. */
  readonly services: boolean
}

/** Of each hash. Two senders seldom share a limit: a flood hides another one's packets once in so many. */
const BUCKETS = 131_072
const SEED = '0x9c4e'
/** Seconds without a packet, after which a limit is full again in any case: its burst is one second's. */
const FORGOTTEN = 3
/** Bytes of a packet that are logged: both headers, with IPv6 extensions and what an ICMP error quotes. */
const SNAPLEN = 128
/** Packets that the kernel may gather into one message. */
const QUEUED = 64

/** Who has a share of what: no two are ever one element. Of `pods` behind the hashes: one for each event that has no pod. */
const PLACES = {
  sources: { denied: 0, allowed: BUCKETS, interface: 2 * BUCKETS },
  pods: { denied: { ingress: 0, egress: BUCKETS }, allowed: { ingress: 2 * BUCKETS, egress: 3 * BUCKETS }, events: 4 * BUCKETS },
  node: { all: 0, allowed: 1 },
} as const

type Share = 'sources' | 'pods' | 'node'

/** Its limit is part of a set's name: elements keep the limit that they were made with. */
function shareSet(share: Share, limit: number): string {
  return `log-${share}/${limit}`
}

export function logSets({ nodeLimit, podLimit, sourceLimit }: LogOptions): NftSet[] {
  const set = (share: Share, limit: number, size: number, comment: string): NftSet => ({
    kind: 'set', name: shareSet(share, limit), key: ['numgen random mod 65536'], flags: ['dynamic', 'timeout'], timeout: FORGOTTEN, size, comment,
  })
  return [
    set('sources', sourceLimit, 3 * BUCKETS, 'hash of a sender : what is logged of it'),
    set('pods', podLimit, 4 * BUCKETS + EVENTS.length, 'hash of a pod : what is logged of its verdicts'),
    set('node', nodeLimit, 2, 'what is logged at all'),
  ]
}

/** What has no profile: the counter of its verdict, by which its rules are found, and its event. The order is the place of its share. */
const EVENTS: readonly (readonly [counter: string, event: LogEvent])[] = (['spoofed', 'invalid', 'cut', 'unknown-interface', 'unknown-address'] as const)
  .map((event): readonly [string, LogEvent] => [event, event])
  .concat([['outside-source-ranges', 'source-range'], ['service-rejected', 'service-rejected'], ['service-dropped', 'service-dropped']])

function limited(share: Share, limit: number, key: string, rate: number = limit): string {
  return `update @${shareSet(share, limit)} { ${key} limit rate ${rate}/second burst ${rate} packets }`
}

function hashed(what: string, place: number): string {
  return `jhash ${what} mod ${BUCKETS} seed ${SEED}${place === 0 ? '' : ` offset ${place}`}`
}

function fixed(place: number): string {
  return `numgen inc mod 1${place === 0 ? '' : ` offset ${place}`}`
}

/** `kept`: the packet goes on, or is answered, so that its mark has to be what it was. */
interface LogRule {
  readonly prefix: string
  readonly counter: string
  readonly match: string
  /** One of so many. */
  readonly sample: number
  readonly shares: readonly string[]
  readonly kept: boolean
}

function logRules({ group, services }: LogOptions, { prefix, counter, match, sample, shares, kept }: LogRule): string[] {
  const before = match === '' ? '' : `${match} `
  const counts = `${sample === 1 ? '' : `numgen inc mod ${sample} == 0 `}${shares.join(' ')} counter name "${counter}"`
  const log = `log prefix "${prefix}" group ${group} snaplen ${SNAPLEN} queue-threshold ${QUEUED}`
  if (!services || !kept) return [`${before}${counts} ${log}`]
  // Whoever set a mark before us asks for it behind us.
  return [`${before}meta mark 0 ${counts} meta mark set ct mark ${log} meta mark set 0`, `${before}meta mark != 0 ${counts} ${log}`]
}

/** For what is dropped. Where conntrack has no entry, reading its mark ends the rule: then the mark says no Service. */
function markRule({ services }: LogOptions): string[] {
  return services ? ['meta mark set 0 meta mark set ct mark'] : []
}

function nodeShares({ nodeLimit }: LogOptions, allowed: boolean): string[] {
  // Of the node's share what is allowed has half at most: it must not hide what is denied.
  const half = Math.max(1, Math.floor(nodeLimit / 2))
  return [...(allowed ? [limited('node', nodeLimit, fixed(PLACES.node.allowed), half)] : []), limited('node', nodeLimit, fixed(PLACES.node.all))]
}

function shares(log: LogOptions, direction: Direction, verdict: 'denied' | 'allowed', family: Family): string[] {
  const word = addressWord(family)
  // Of a sending pod by its interface: it may have many addresses. On a bridge those share the bridge's.
  const pod = direction === 'ingress' ? `${word} daddr` : 'iifname'
  return [
    limited('sources', log.sourceLimit, hashed(`${word} saddr`, PLACES.sources[verdict])),
    limited('pods', log.podLimit, hashed(pod, PLACES.pods[verdict][direction])),
    ...nodeShares(log, verdict === 'allowed'),
  ]
}

function familyMatch(family: Family): string {
  return `meta nfproto ipv${family}`
}

/** What a profile's objects have besides. */
export interface ProfileLogRules {
  /** In front of what counts and drops. */
  readonly denied: readonly string[]
  /** What stands in front of the rule that accepts what `match` says, at that place. */
  allowed(place: string, match: string): readonly string[]
  /** Whether anything is logged there. */
  isLogged(place: string): boolean
  readonly chains: readonly Chain[]
  readonly counters: readonly Counter[]
}

const NOTHING: ProfileLogRules = { denied: [], allowed: () => [], isLogged: () => false, chains: [], counters: [] }

/**
 * A first packet: conntrack has not confirmed its connection yet. `new` alone would be every packet that nobody answers.
 * Cheap for all others, so it comes first.
 */
const FIRST_PACKET = 'ct state new ct status and confirmed == 0'

export function profileLogRules(profile: Profile, log: LogOptions | undefined): ProfileLogRules {
  const wanted = profile.log
  if (log === undefined || wanted === undefined || !isLoggable(profile.id)) return NOTHING
  const generation = profileGeneration(profile)
  const prefix = (event: 'denied' | 'allowed', place: string | null, { sample, label }: Logged): string =>
    formatLogPrefix({ event, profile: profile.id, generation, place, sample, label: labelHash(label) })
  const { denied } = wanted
  const places = Object.entries(wanted.allowed).flatMap(([place, parts]) => parts.map((logged, part) => ({ place, logged, name: logChain(profile.id, generation, place, part) })))
  const counter = (name: string): Counter => ({ kind: 'counter', name })
  return {
    denied: denied === null ? [] : deniedRules(log, profile, denied.sample, prefix('denied', null, denied)),
    // The generation is in the name, so that no packet meets another generation's chain while rules change.
    allowed: (at, match) => places.filter(({ place }) => place === at).map(({ logged, name }) => `${FIRST_PACKET} ${portsMatch(logged)}${match}jump ${name}`),
    isLogged: (at) => places.some(({ place }) => place === at),
    chains: places.map(({ place, logged, name }) => ({
      kind: 'chain',
      name,
      rules: allowedRules(log, profile, logged.sample, prefix('allowed', place, logged)),
    })),
    counters: [
      ...(denied === null ? [] : [counter(loggedCounter(profile.id))]),
      ...(places.length === 0 ? [] : [counter(allowedCounter(profile.id)), counter(loggedAllowedCounter(profile.id))]),
    ],
  }
}

function portsMatch({ ports }: PlaceLog): string {
  if (ports === null) return ''
  return `meta l4proto . th dport { ${ports.map(({ protocol, first }) => `${protocol.toLowerCase()} . ${first}`).join(', ')} } `
}

function deniedRules(log: LogOptions, { id, direction }: Profile, sample: number, prefix: string): string[] {
  const rules = FAMILIES.flatMap((family) => logRules(log, { prefix, counter: loggedCounter(id), match: familyMatch(family), sample, shares: shares(log, direction, 'denied', family), kept: false }))
  return [...markRule(log), ...rules]
}

function allowedRules(log: LogOptions, { id, direction }: Profile, sample: number, prefix: string): string[] {
  const rules = FAMILIES.flatMap((family) => logRules(log, { prefix, counter: loggedAllowedCounter(id), match: familyMatch(family), sample, shares: shares(log, direction, 'allowed', family), kept: true }))
  return [`counter name "${allowedCounter(id)}"`, ...rules]
}

function eventRules(log: LogOptions, counter: string, event: LogEvent, place: number): string[] {
  const prefix = formatLogPrefix({ event, profile: null, generation: '', place: null, sample: 1, label: '' })
  const rest = { prefix, counter: loggedCounter(counter), sample: 1, kept: event === 'service-rejected' }
  const common = [limited('pods', log.podLimit, fixed(PLACES.pods.events + place)), ...nodeShares(log, false)]
  // Whose address is not its own is told by its interface.
  if (event === 'spoofed') return [...markRule(log), ...logRules(log, { ...rest, match: '', shares: [limited('sources', log.sourceLimit, hashed('iifname', PLACES.sources.interface)), ...common] })]
  const source = (family: Family): string => limited('sources', log.sourceLimit, hashed(`${addressWord(family)} saddr`, PLACES.sources.denied))
  const rules = FAMILIES.flatMap((family) => logRules(log, { ...rest, match: familyMatch(family), shares: [source(family), ...common] }))
  return [...(rest.kept ? [] : markRule(log)), ...rules]
}

/** The static part with log rules in front of what counts and drops, or rejects; a drop behind a match gets a chain for both. */
export function withLogRules(chains: readonly Chain[], log: LogOptions): { readonly chains: readonly Chain[]; readonly counters: readonly Counter[] } {
  const added = new Map<string, Chain>()
  const counters = new Map<string, Counter>()
  const logged = (rule: string): string[] => {
    for (const [place, [counter, event]] of EVENTS.entries()) {
      const verdict = `counter name "${counter}"`
      if (rule !== verdict && rule !== `${verdict} drop` && !rule.endsWith(` ${verdict} drop`)) continue
      counters.set(counter, { kind: 'counter', name: loggedCounter(counter) })
      const rules = eventRules(log, counter, event, place)
      if (rule.startsWith(verdict)) return [...rules, rule]
      const name = `log-and-drop-${counter}`
      added.set(name, { kind: 'chain', name, rules: [...rules, `${verdict} drop`] })
      return [`${rule.slice(0, -`${verdict} drop`.length)}goto ${name}`]
    }
    return [rule]
  }
  const all = chains.map((chain) => ({ ...chain, rules: chain.rules.flatMap(logged) }))
  return { chains: [...added.values(), ...all], counters: [...counters.values()] }
}
