// Where a translated packet goes: an address and a port, as a value and as a key.
//
// **Invariant:** two targets have one key exactly if they are the same.
import type { Address } from '../model/ip.ts'

export interface Target {
  readonly address: Address
  /** 1-65535 */
  readonly port: number
}

/** `10.0.0.1:80`, `[fd00::1]:80` */
export function targetKey({ address, port }: Target): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
