// Builders of rtnetlink events from text, and readers of the rows that they fold into.
import assert from 'node:assert/strict'
import { familyOf, parseAddress, toBits } from '../../../src/model/ip.ts'
import type { HostInterface } from '../../../src/model/objects.ts'
import { decodeMessages } from '../../../src/netlink/messages.ts'
import type { Link, Route, RouteEvent } from '../../../src/netlink/route.ts'
import { decodeRouteEvent } from '../../../src/netlink/route.ts'
import type { InterfaceEvent } from '../../../src/node/interfaces.ts'
import { InterfaceFold } from '../../../src/node/interfaces.ts'

export function bytesOf(text: string): Uint8Array {
  const address = parseAddress(text)
  assert.ok(address !== null, text)
  const digits = familyOf(address) === 4 ? 8 : 32
  return Uint8Array.from(Buffer.from(toBits(address).toString(16).padStart(digits, '0'), 'hex'))
}

export function link(index: number, name = `if${index}`, more: Partial<Link> = {}): RouteEvent {
  return { kind: 'link', verb: 'new', link: { index, name, kind: 'veth', master: 0, up: true, mac: new Uint8Array(6), end: null, ...more } }
}

export function noLink(index: number): RouteEvent {
  return { ...(link(index) as RouteEvent & { readonly kind: 'link' }), verb: 'delete' }
}

export function address(verb: 'new' | 'delete', index: number, text: string, prefix?: number): RouteEvent {
  const bytes = bytesOf(text)
  const family = bytes.length === 4 ? 4 : 6
  return { kind: 'address', verb, address: { family, index, address: bytes, peer: bytes, prefix: prefix ?? bytes.length * 8, scope: 0 } }
}

export interface RouteText {
  readonly to: string
  readonly by: readonly number[]
  readonly gateway?: string
}

export function route(verb: 'new' | 'delete', how: 'replace' | 'append' | 'prepend', { to, by, gateway }: RouteText, more: Partial<Route> = {}): RouteEvent {
  const [text, length] = to.split('/') as [string, string | undefined]
  const destination = bytesOf(text)
  const value: Route = {
    family: destination.length === 4 ? 4 : 6,
    destination,
    prefix: length === undefined ? destination.length * 8 : Number(length),
    source: '',
    tos: 0,
    table: 254,
    protocol: 3,
    scope: 253,
    type: 1,
    priority: 0,
    preferredSource: null,
    nexthopId: 0,
    nexthops: by.map((oif) => ({ oif, gateway: gateway === undefined ? null : bytesOf(gateway), dead: false })),
    ...more,
  }
  return { kind: 'route', verb, how, route: value }
}

/** Folds the events, and gives the rows by index. */
export function rowsAfter(...events: RouteEvent[]): Map<number, HostInterface> {
  const fold = new InterfaceFold()
  for (const event of events) fold.apply(event)
  return rowsOf(fold.replace())
}

export function rowsOf(event: InterfaceEvent): Map<number, HostInterface> {
  assert.equal(event.verb, 'replace')
  const rows = event.verb === 'replace' ? [...event.rows.values()] : []
  return new Map(rows.flatMap((decoded) => (decoded.kind === 'good' ? [[decoded.row.index, decoded.row] as const] : [])))
}

/** `index: host routes`, with `+` where wider ones lead out too. */
export function reach(rows: Map<number, HostInterface>): string[] {
  return [...rows.values()].map((row) => `${row.index}: ${row.hostRoutes.join(' ')}${row.hasWiderRoutes ? '+' : ''}`).sort()
}

export function decode(...datagrams: Uint8Array[]): RouteEvent[] {
  return datagrams.flatMap((bytes) => decodeMessages(bytes)).map(decodeRouteEvent).filter((event) => event !== null)
}
