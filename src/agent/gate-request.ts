// What the CNI plugin asks of the gate: the body of its requests, checked.
//
// **Invariant:** what leaves here is complete and canonical; whatever else was sent is an error that names the field.
import { addressOf, AN_ADDRESS } from '../decode/addresses.ts'
import { DNS_LABEL, DNS_SUBDOMAIN, isDnsLabel, isDnsSubdomain } from '../decode/names.ts'
import { PicketError } from '../lib/errors.ts'
import { show } from '../lib/show.ts'
import type { Address } from '../model/ip.ts'
import type { Uid } from '../model/objects.ts'

/** A sandbox of a pod, as its runtime names it. */
export interface Sandbox {
  readonly containerId: string
  /** In the pod: `eth0`. */
  readonly ifname: string
}

/** What a pod was given by the plugins before ours. */
export interface GateEntry extends Sandbox {
  readonly namespace: string
  readonly name: string
  /** Null from a runtime that does not say it. */
  readonly uid: Uid | null
  readonly addresses: readonly Address[]
  /** Names of the interfaces outside of the pod that the plugins made for it. */
  readonly hostInterfaces: readonly string[]
}

export interface GateRequest {
  readonly entry: GateEntry
  /** Milliseconds. */
  readonly timeoutMs: number
}

export const LONGEST_WAIT_MS = 60_000
const USUAL_WAIT_MS = 10_000
const MOST_ITEMS = 16

type Body = Readonly<Record<string, unknown>>

function fail(field: string, value: unknown, expected: string): never {
  throw new PicketError('InvalidRequest', `${field}: found ${show(value)}, expected ${expected}`)
}

function bodyOf(raw: unknown): Body {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) fail('the body', raw, 'a JSON object')
  return raw as Body
}

function text(body: Body, field: string, valid: (value: string) => boolean, expected: string): string {
  const value = body[field]
  return typeof value === 'string' && valid(value) ? value : fail(field, value, expected)
}

function list(body: Body, field: string): readonly unknown[] {
  const value = body[field] ?? []
  return Array.isArray(value) && value.length <= MOST_ITEMS ? value : fail(field, value, `a list of at most ${MOST_ITEMS}`)
}

/** Throws a PicketError (InvalidRequest). */
export function readSandbox(raw: unknown): Sandbox {
  const body = bodyOf(raw)
  return {
    containerId: text(body, 'containerId', (value) => /^[A-Za-z0-9][\w.-]{0,255}$/.test(value), 'an ID of 1 to 256 letters, digits, dots, dashes and underscores'),
    ifname: text(body, 'ifname', (value) => /^[^\s/:]{1,15}$/.test(value), "an interface's name of at most 15 characters"),
  }
}

/** Throws a PicketError (InvalidRequest). */
export function readGateRequest(raw: unknown): GateRequest {
  const body = bodyOf(raw)
  const uid = body['uid'] ?? ''
  if (typeof uid !== 'string' || uid.length > 128) fail('uid', uid, 'a UID of at most 128 characters')
  const addresses = list(body, 'addresses').map((value, i) => addressOf(value) ?? fail(`addresses[${i}]`, value, AN_ADDRESS))
  if (addresses.length === 0) fail('addresses', body['addresses'], 'at least one address')
  const timeoutMs = body['timeoutMs'] ?? USUAL_WAIT_MS
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 1 && timeoutMs <= LONGEST_WAIT_MS)) fail('timeoutMs', timeoutMs, `1 to ${LONGEST_WAIT_MS}`)
  const isName = (value: unknown): value is string => typeof value === 'string' && value.length > 0 && value.length <= 15
  const entry = Object.freeze({
    ...readSandbox(raw),
    namespace: text(body, 'namespace', isDnsLabel, DNS_LABEL),
    name: text(body, 'name', isDnsSubdomain, DNS_SUBDOMAIN),
    uid: uid === '' ? null : uid,
    addresses: Object.freeze([...new Set(addresses)]),
    hostInterfaces: Object.freeze(list(body, 'hostInterfaces').map((value, i) => (isName(value) ? value : fail(`hostInterfaces[${i}]`, value, "an interface's name of at most 15 characters")))),
  })
  return { entry, timeoutMs }
}
