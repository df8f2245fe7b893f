// Addresses as the kernel sends them (bytes) -> the model's canonical text, and which of them are never a pod's.
//
// **Invariant:** text comes from model/ip.ts only, so that it equals the text of an address in an object.
import { fromBits } from '../model/ip.ts'
import type { Address, Family } from '../model/ip.ts'

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** For keys inside this folder. A table, since a Buffer for each of 10,000 routes keeps the garbage collector busy. */
export function hexOf(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX[byte]
  return text
}

/** `bytes` has 4 or 16. */
export function addressOf(bytes: Uint8Array): Address {
  const family: Family = bytes.length === 4 ? 4 : 6
  return fromBits(family, BigInt(`0x${hexOf(bytes)}`))
}

/**
 * fe80::/10, 169.254.0.0/16, ff00::/8, 224.0.0.0/4, or a part of one. Every interface has such addresses and routes,
 * and some CNIs give all pods the gateway 169.254.1.1: they say nothing of who is behind an interface.
 */
export function isLinkLocalOrMulticast(bytes: Uint8Array, prefix: number): boolean {
  const first = bytes[0] as number
  const second = bytes[1] as number
  if (bytes.length === 4) return (prefix >= 16 && first === 169 && second === 254) || (prefix >= 4 && first >> 4 === 14)
  return (prefix >= 10 && first === 0xfe && second >> 6 === 2) || (prefix >= 8 && first === 0xff)
}
