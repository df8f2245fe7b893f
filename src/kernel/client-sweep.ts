// Clients that an affinity map remembers -> those that lead to no endpoint of their list any more.
//
// A key is a list's mark and the client (of IPv6 a hash of it), 4 bytes each; what it leads to is an address and a port, which IPv6 has
// in two maps of the same keys.
// **Invariant:** pure; a client that leads to a valid endpoint is never told, nor one of a list that is not judged.
import type { HeldElement, PlacedElement } from '../netlink/set-elements.ts'

export interface ClientSweep {
  readonly map: string
  /** The map that has the ports; null where they stand behind the address. */
  readonly ports: string | null
  readonly addressLength: 4 | 16
  /** Marks of the lists that are looked at; null: every entry is. */
  readonly judged: readonly number[] | null
  /** One after another: mark (4, as this machine has numbers), address, port (2, in network order). */
  readonly valid: Uint8Array
}

export const CLIENT_KEY_LENGTH = 8
const MARK = 4
const PORT = 2

/** Each client's elements together. `ports` was read first: an entry may have come into `clients` only. */
export function astray({ map, ports: portMap, addressLength, judged, valid }: ClientSweep, clients: readonly HeldElement[], ports: readonly HeldElement[]): readonly (readonly PlacedElement[])[] {
  const marks = judged === null ? null : new Set(judged)
  const isJudged = ({ key }: HeldElement): boolean => marks === null || marks.has(new DataView(key.buffer, key.byteOffset).getUint32(0, true))
  const ends = new Set<string>()
  const addresses = new Set<string>()
  const width = MARK + addressLength + PORT
  for (let at = 0; at + width <= valid.length; at += width) {
    ends.add(text(valid.subarray(at, at + width)))
    addresses.add(text(valid.subarray(at, at + width - PORT)))
  }
  const portOf = new Map(ports.filter(isJudged).map((one) => [text(one.key), one.data]))
  const found: PlacedElement[][] = []
  for (const { key, data } of clients.filter(isJudged)) {
    const client = text(key)
    const port = portMap === null ? data?.subarray(addressLength) : portOf.get(client)
    portOf.delete(client)
    const address = client.slice(0, MARK) + text(data).slice(0, addressLength)
    const isValid = port === undefined ? addresses.has(address) : ends.has(address + text(port).slice(0, PORT))
    if (isValid || data === null) continue
    found.push([{ set: map, key, data }, ...(portMap === null || port === undefined || port === null ? [] : [{ set: portMap, key, data: port }])])
  }
  // Ports without an address lead nobody anywhere, and would mix with the address that comes next.
  if (portMap !== null) for (const [client, data] of portOf) if (data !== null) found.push([{ set: portMap, key: Buffer.from(client, 'latin1'), data }])
  return found
}

/** A byte each. */
function text(bytes: Uint8Array | null | undefined): string {
  return bytes === null || bytes === undefined ? '' : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
