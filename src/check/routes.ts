// The node's routes as /proc/net lists them: where to, as CIDRs; of IPv4 those of the main table only.
//
// **Invariant:** a route that refuses packets is none, and a line that cannot be read is passed over.
import { fromBits, parseCidr, type Cidr } from '../model/ip.ts'

export const ROUTE_FILES = { 4: '/proc/net/route', 6: '/proc/net/ipv6_route' } as const
const UP = 0x1
const REJECT = 0x200

/** `isLittle`: how this machine orders bytes, in which IPv4 is written. */
export function routesOf4(text: string, isLittle: boolean): readonly Cidr[] {
  return text.split('\n').slice(1).flatMap((line) => {
    const [, destination = '', , flags = '', , , , mask = ''] = line.trim().split(/\s+/)
    if (!/^[0-9A-F]{8}$/i.test(destination) || !/^[0-9A-F]{8}$/i.test(mask) || !leads(flags)) return []
    const ordered = (hex: string): string => (isLittle ? (hex.match(/../g) ?? []).reverse().join('') : hex)
    const bits = BigInt(`0x${ordered(mask)}`).toString(2).replace(/0/g, '')
    return parseCidr(`${fromBits(4, BigInt(`0x${ordered(destination)}`))}/${bits.length}`) ?? []
  })
}

export function routesOf6(text: string): readonly Cidr[] {
  return text.split('\n').flatMap((line) => {
    const [destination = '', prefix = '', , , , , , , flags = ''] = line.trim().split(/\s+/)
    if (!/^[0-9a-f]{32}$/i.test(destination) || !/^[0-9a-f]{2}$/i.test(prefix) || !leads(flags)) return []
    return parseCidr(`${fromBits(6, BigInt(`0x${destination}`))}/${Number.parseInt(prefix, 16)}`) ?? []
  })
}

function leads(flags: string): boolean {
  const bits = Number.parseInt(flags, 16)
  return (bits & UP) !== 0 && (bits & REJECT) === 0
}
