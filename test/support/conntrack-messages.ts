// ctnetlink's messages as a kernel sends them: entries of any protocol, and their parts.
//
// **Invariant:** only bytes are made here; what a test says of them stands in the test.
import { attribute, nestedAttribute } from '../../src/netlink/attributes.ts'
import { encodeMessage } from '../../src/netlink/messages.ts'

/** The port id and sequence of the answers, unless told. */
export const PORT = 77

export function tuple(type: number, from: readonly number[], to: readonly number[], protocol: number, ports: readonly [number, number] | null): Uint8Array {
  const six = from.length === 16
  const port = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255)
  const parts = ports === null ? [] : [attribute(2, port(ports[0])), attribute(3, port(ports[1]))]
  return nestedAttribute(type, [
    nestedAttribute(1, [attribute(six ? 3 : 1, Uint8Array.from(from)), attribute(six ? 4 : 2, Uint8Array.from(to))]),
    nestedAttribute(2, [attribute(1, Uint8Array.of(protocol)), ...parts]),
  ])
}

export function message(parts: readonly Uint8Array[], header: { flags?: number; sequence?: number; port?: number } = {}): Uint8Array {
  return encodeMessage({ type: 0x100, flags: 2, sequence: 1, port: PORT, ...header }, [Uint8Array.of(2, 0, 0, 0), ...parts])
}

export const V6 = (last: number): number[] => [0xfd, ...Array.from({ length: 14 }, () => 0), last]
