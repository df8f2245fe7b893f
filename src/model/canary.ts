// The canary's two ends, a client and a server that no pod is: interfaces, addresses and ports that everybody who has to know them shares.
//
//   client socket -> picket-canary1 = picket-canary0 -> the node's stack and its tables -> picket-canary2 = picket-canary3
//
// The table knows canary0 and canary2 as it knows pods' interfaces (ruleset/canary.ts); canary/ makes them and sends.
// **Invariant:** addresses are of the ranges for documentation (RFC 5737, RFC 3849), which nobody routes and no pod has.
import type { Address, Family } from './ip.ts'

interface End {
  /** The node's end of the pair: what policy sees. */
  readonly link: string
  /** Where a pod's end would be, though it stays in the node's namespace. */
  readonly end: string
  readonly addresses: Readonly<Record<Family, Address>>
}

export const CANARY_CLIENT: End = {
  link: 'picket-canary0',
  end: 'picket-canary1',
  addresses: { 4: '192.0.2.241', 6: '2001:db8:7069:636b::241' },
}
export const CANARY_SERVER: End = {
  link: 'picket-canary2',
  end: 'picket-canary3',
  addresses: { 4: '192.0.2.242', 6: '2001:db8:7069:636b::242' },
}
/** What the client sends as besides, and may not. */
export const CANARY_IMPOSTOR: Readonly<Record<Family, Address>> = { 4: '192.0.2.243', 6: '2001:db8:7069:636b::243' }

export const CANARY_LINKS: readonly string[] = [CANARY_CLIENT.link, CANARY_CLIENT.end, CANARY_SERVER.link, CANARY_SERVER.end]

/** Ports of UDP, by what is to become of a packet to them. */
export const CANARY_PORTS = {
  allowed: 6101,
  /** By the client's egress policy; the server would take it. */
  egressDenied: 6102,
  /** By the server's ingress policy; the client may send it. */
  ingressDenied: 6103,
} as const

/** No pod's, no uplink, and of no concern to policy. */
export function isCanaryLink(name: string): boolean {
  return CANARY_LINKS.includes(name)
}
