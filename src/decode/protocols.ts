// Protocols and port numbers in raw objects, of policies and containers alike.
//
// **Invariant:** TCP is a default for an absent protocol only (rule 29); anything else that is not known is no protocol.
import { PROTOCOLS, type Protocol } from '../model/objects.ts'

export const A_PROTOCOL = `${PROTOCOLS.join(', ')} (upper case)`
export const A_PORT_NUMBER = 'a port number (1 to 65535)'

export function protocolOf(value: unknown): Protocol | null {
  if (value === undefined) return 'TCP'
  return PROTOCOLS.find((protocol) => protocol === value) ?? null
}

export function isPortNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535
}
