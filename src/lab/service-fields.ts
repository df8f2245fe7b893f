// Reads the values that cases of Services have beside those of policy cases: addresses, CIDRs, protocols, endpoints, flags.
//
// Used beside case-fields.ts. **Invariant:** an address, a CIDR or an endpoint that is returned is in canonical text.
import { type Address, type Cidr, familyOf, parseAddress, parseCidr, toBits } from '../model/ip.ts'
import { PROTOCOLS, type Protocol } from '../model/objects.ts'
import { at, invalid, listAt, shown, type Place } from './case-fields.ts'
import { socketText } from './wire.ts'

export function addressAt(value: unknown, place: Place): Address {
  const address = typeof value === 'string' ? parseAddress(value) : null
  if (address === null) throw invalid(place, `expected an IPv4 or IPv6 address, found ${shown(value)}`)
  return address
}

export function cidrAt(value: unknown, place: Place): Cidr {
  const cidr = typeof value === 'string' ? parseCidr(value) : null
  if (cidr === null) throw invalid(place, `expected a CIDR such as 10.0.0.0/8 or fd00::/64, found ${shown(value)}`)
  return cidr
}

/** A list; nothing is an empty one. */
export function manyAt<T>(value: unknown, place: Place, read: (one: unknown, place: Place) => T): readonly T[] {
  return value === undefined || value === null ? [] : listAt(value, place).map((one, index) => read(one, at(place, index)))
}

/** A list; one value alone is a list of it. */
export function oneOrManyAt<T>(value: unknown, place: Place, read: (one: unknown, place: Place) => T): readonly T[] {
  return value === undefined || value === null || Array.isArray(value) ? manyAt(value, place, read) : [read(value, place)]
}

export function protocolAt(value: unknown, place: Place): Protocol {
  const protocol = PROTOCOLS.find((one) => one === (value ?? 'TCP'))
  if (protocol === undefined) throw invalid(place, `expected TCP, UDP or SCTP, found ${shown(value)}`)
  return protocol
}

/** Nothing and null are `absent`. */
export function flagAt<T>(value: unknown, place: Place, absent: T): boolean | T {
  if (value === undefined || value === null) return absent
  if (typeof value !== 'boolean') throw invalid(place, `expected true or false, found ${shown(value)}`)
  return value
}

interface Socket {
  readonly address: Address
  readonly port: number
}

/** `10.0.0.1:80`, `[fd00::1]:80`; null where `text` is not of that form. */
export function parseSocket(text: string): Socket | null {
  const [, v6, v4, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):([1-9]\d{0,4})$/.exec(text) ?? []
  const address = parseAddress(v6 ?? v4 ?? '')
  const port = Number(digits)
  if (address === null || port > 65535 || (familyOf(address) === 6) !== (v6 !== undefined)) return null
  return { address, port }
}

export function socketAt(value: unknown, place: Place): string {
  const socket = typeof value === 'string' ? parseSocket(value) : null
  if (socket === null) throw invalid(place, `expected an endpoint such as 10.0.0.1:80 or [fd00::1]:80, found ${shown(value)}`)
  return socketText(socket.address, socket.port)
}

/** For Array.sort, of texts that parseSocket reads: IPv4 first, then by address, then by port. Others come last. */
export function bySocket(a: string, b: string): number {
  const [one, other] = [parseSocket(a), parseSocket(b)]
  if (one === null || other === null) return Number(one === null) - Number(other === null)
  const families = familyOf(one.address) - familyOf(other.address)
  if (families !== 0) return families
  const bits = toBits(one.address) - toBits(other.address)
  return bits === 0n ? one.port - other.port : bits < 0n ? -1 : 1
}
