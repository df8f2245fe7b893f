// rtnetlink about bridge ports: what is at a veth's other end, in whatever namespace that is, and the hairpin flag.
//
// With IFLA_TARGET_NETNSID and IFA_TARGET_NETNSID (Linux 4.20) the kernel answers for another namespace, which is named by
// the id that IFLA_LINK_NETNSID of the port gives. Answers are decoded by route.ts.
// **Invariant:** a request names one interface: an answer never costs what the namespace or the node holds.
import { nestedAttribute, u32Attribute, attribute } from './attributes.ts'
import { encodeMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST } from './messages.ts'

const RTM_SETLINK = 19
const RTM_GETLINK = 18
const RTM_GETADDR = 22
const AF_BRIDGE = 7
const FAMILY = { 4: 2, 6: 10 } as const
const IFLA_TARGET_NETNSID = 46
const IFA_TARGET_NETNSID = 10
const IFLA_PROTINFO = 12
const IFLA_BRPORT_MODE = 4

/** struct ifinfomsg. */
function linkHead(family: number, index: number): Uint8Array {
  const head = new Uint8Array(16)
  head[0] = family
  new DataView(head.buffer).setInt32(4, index, true)
  return head
}

/** The link `index` of the namespace that has the id `netns` here. */
export function endLinkRequest(netns: number, index: number, sequence: number): Uint8Array<ArrayBuffer> {
  return encodeMessage({ type: RTM_GETLINK, flags: NLM_F_REQUEST | NLM_F_ACK, sequence, port: 0 }, [linkHead(0, index), u32Attribute(IFLA_TARGET_NETNSID, netns)])
}

/** Its addresses of one family; the socket must check strictly, or all of the namespace come. */
export function endAddressesRequest(netns: number, index: number, family: 4 | 6, sequence: number): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(8)
  head[0] = FAMILY[family]
  new DataView(head.buffer).setUint32(4, index, true)
  return encodeMessage({ type: RTM_GETADDR, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence, port: 0 }, [head, u32Attribute(IFA_TARGET_NETNSID, netns)])
}

/** Lets the bridge send a frame back out of the port that it came from: a pod that reaches itself through a Service. */
export function hairpinRequest(port: number, sequence: number): Uint8Array<ArrayBuffer> {
  const on = nestedAttribute(IFLA_PROTINFO, [attribute(IFLA_BRPORT_MODE, Uint8Array.of(1))])
  return encodeMessage({ type: RTM_SETLINK, flags: NLM_F_REQUEST | NLM_F_ACK, sequence, port: 0 }, [linkHead(AF_BRIDGE, port), on])
}
