// What a log rule's prefix says, made and read: all that is known of a logged packet besides its own bytes and mark.
//
//   picket/denied/i/shop/7F3K2Q8A0B1C/4T9XQ2M0AB/-/1/-
//   picket/allowed/e/shop/7F3K2Q8A0B1C/4T9XQ2M0AB/0.2/100/7Q0RZ1K       event, profile, generation, place, sample, label
//   picket/spoofed                                                      what has no profile
//
// Others may log to the same group: whatever was not made here is nobody's.
// **Invariant:** parse(format(p)) equals p, a prefix fits into the kernel's 127 bytes, and no other text is parsed at all.
import { shortHash } from '../lib/hash.ts'
import type { Profile, ProfileId } from '../policy/plan.ts'

/** Without the closing zero. */
export const MAX_PREFIX = 127
/** One of so many, at most. */
export const MAX_SAMPLE = 65_536
/** Characters of a hash: what is left of the 127 bytes beside a namespace of 63. */
const GENERATION = 10
const LABEL = 7

export const LOG_EVENTS = [
  'denied',
  'allowed',
  'spoofed',
  'invalid',
  'cut',
  'unknown-interface',
  'unknown-address',
  'source-range',
  'service-rejected',
  'service-dropped',
] as const
export type LogEvent = (typeof LOG_EVENTS)[number]

export interface LogPrefix {
  readonly event: LogEvent
  /** Of denied and allowed; null for the rest. */
  readonly profile: ProfileId | null
  /** profileGeneration(), by which the history finds what the profile said then; '' for what has no profile. */
  readonly generation: string
  /** Of allowed: the place in the profile's dispatch, `CLASS.PEER` (indexes; peer `all` is 0); null otherwise. */
  readonly place: string | null
  /** One of so many is logged: 1 to MAX_SAMPLE; 1 for what has no profile. */
  readonly sample: number
  /** labelHash() of what had it logged; '' without. */
  readonly label: string
}

/** Throws what is the caller's mistake: something that parseLogPrefix would not read, or that is too long. */
export function formatLogPrefix(p: LogPrefix): string {
  const text = p.profile === null ? `picket/${p.event}` : `picket/${p.event}/${shortened(p.profile)}/${p.generation}/${p.place ?? '-'}/${p.sample}/${p.label || '-'}`
  if (text.length > MAX_PREFIX || JSON.stringify(parseLogPrefix(text)) !== JSON.stringify(inOrder(p))) throw new Error(`no log prefix can say ${JSON.stringify(p)}`)
  return text
}

const HASHED = '[0-9A-HJKMNP-TV-Z]'
const OF_PROFILE = new RegExp(
  `^picket/(denied|allowed)/([ie])/([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/(${HASHED}{12})/(${HASHED}{${GENERATION}})/(-|(?:0|[1-9]\\d{0,4})\\.(?:0|[1-9]\\d?))/([1-9]\\d{0,4})/(-|${HASHED}{${LABEL}})$`,
)

/** Null for everything that formatLogPrefix does not make. Any text will do. */
export function parseLogPrefix(text: string): LogPrefix | null {
  if (text.length > MAX_PREFIX) return null
  const match = OF_PROFILE.exec(text)
  if (match === null) return ofNoProfile(text)
  const [, event, direction, namespace, hash, generation = '', place, sample, label] = match
  if ((event === 'allowed') === (place === '-') || Number(sample) > MAX_SAMPLE) return null
  return inOrder({
    event: event as LogEvent,
    profile: `${direction === 'i' ? 'ingress' : 'egress'}/${namespace}/${hash}`,
    generation,
    place: place === '-' ? null : (place ?? null),
    sample: Number(sample),
    label: label === '-' ? '' : (label ?? ''),
  })
}

function ofNoProfile(text: string): LogPrefix | null {
  const event = LOG_EVENTS.find((one) => `picket/${one}` === text)
  return event === undefined || event === 'denied' || event === 'allowed' ? null : inOrder({ event, profile: null, generation: '', place: null, sample: 1, label: '' })
}

function inOrder({ event, profile, generation, place, sample, label }: LogPrefix): LogPrefix {
  return Object.freeze({ event, profile, generation, place, sample, label })
}

/** Whether a prefix can name it: not one of a namespace that the API would refuse, nor the canary's. */
export function isLoggable(profile: ProfileId): boolean {
  return OF_PROFILE.test(`picket/denied/${shortened(profile)}/${'0'.repeat(GENERATION)}/-/1/-`)
}

/** `ingress/shop/HASH` as `i/shop/HASH`: the bytes are few. */
function shortened(profile: ProfileId): string {
  return profile.replace(/^(i|e)n?gress\//, '$1/')
}

/** Of all that the profile's chains hold: other content has another one, and the same content the same, in every process. */
export function profileGeneration({ id, policies, rules, dispatch }: Profile): string {
  return shortHash(JSON.stringify([id, policies.map((p) => [p.uid, p.name]), rules, dispatch]), GENERATION)
}

/** What stands for a label's text in the prefix; the text may be anything. '' for ''. */
export function labelHash(text: string): string {
  return text === '' ? '' : shortHash(text, LABEL)
}
