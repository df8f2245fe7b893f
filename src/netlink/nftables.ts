// Notifications of nf_tables (NETLINK_NETFILTER, group NFNLGRP_NFTABLES): one message -> what was changed, and by whom.
//
// A commit is told as one message for each object that it changed and one NEWGEN at its end, all with the port id of the
// socket that asked for it. Only names are read here: what an object holds is read back, never taken from a notification.
// **Invariant:** a message that is not of this protocol, or of a kind that is not known, is null; bad lengths throw.
import { attributeText, need, readAttributes, type Attributes } from './attributes.ts'
import { encodeMessage, NLM_F_ACK, NLM_F_REQUEST, type NetlinkMessage } from './messages.ts'

export const NETLINK_NETFILTER = 12
/** Group 7, as the bit of a bind. */
export const NFTABLES_GROUP = 1 << 6

const NFNL_SUBSYS_NFTABLES = 10
/** struct nfgenmsg: family, version, resource id. */
const GENMSG_LENGTH = 4
const FAMILIES: Readonly<Record<number, string>> = { 1: 'inet', 2: 'ip', 3: 'arp', 5: 'netdev', 7: 'bridge', 10: 'ip6' }

/** Of linux/netfilter/nf_tables.h: kind of object -> its messages for new, changed and deleted. */
const KINDS: Readonly<Record<NftChange['object'], readonly number[]>> = {
  table: [0, 2, 26],
  chain: [3, 5, 27],
  rule: [6, 8, 28],
  set: [9, 11, 29],
  element: [12, 14, 30],
  other: [18, 20, 31, 22, 24, 32],
}
const KIND_OF = new Map(Object.entries(KINDS).flatMap(([object, types]) => types.map((type) => [type, object as NftChange['object']] as const)))
const NFT_MSG_NEWGEN = 15
const NFT_MSG_GETGEN = 16
/** The first attribute of each kind is the table's name; of rules the second is the chain's. */
const TABLE = 1
const RULE_CHAIN = 2
const GEN_ID = 1
const GEN_PROCESS_ID = 2
const GEN_PROCESS_NAME = 3

export interface NftChange {
  readonly kind: 'change'
  /** `inet`, `bridge`, ... */
  readonly family: string
  readonly table: string
  readonly object: 'table' | 'chain' | 'rule' | 'set' | 'element' | 'other'
  /** Of rules: the chain's name. */
  readonly chain: string | null
}

/** The end of a commit: whose thread made it, as the first process namespace numbers it. */
export interface NftCommitEnd {
  readonly kind: 'end'
  /** The number of the commit, of whatever table: each is one more. 0 where it is not told. */
  readonly generation: number
  readonly process: string
  readonly id: number
}

export function isOfElements(type: number): boolean {
  return type >> 8 === NFNL_SUBSYS_NFTABLES && KIND_OF.get(type & 0xff) === 'element'
}

/** Asks how many commits there were: the answer is an NftCommitEnd with this sequence number. */
export function generationRequest(sequence: number, acknowledged = false): Uint8Array {
  const type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN
  return encodeMessage({ type, flags: acknowledged ? NLM_F_REQUEST | NLM_F_ACK : NLM_F_REQUEST, sequence, port: 0 }, [new Uint8Array(GENMSG_LENGTH)])
}

export function decodeNftables(message: NetlinkMessage): NftChange | NftCommitEnd | null {
  if (message.type >> 8 !== NFNL_SUBSYS_NFTABLES) return null
  const type = message.type & 0xff
  const object = KIND_OF.get(type)
  if (object === undefined && type !== NFT_MSG_NEWGEN) return null
  const what = `nf_tables message ${type}`
  need(message.payload, GENMSG_LENGTH, what)
  const attributes = readAttributes(message.payload, GENMSG_LENGTH, what)
  if (object === undefined) {
    return { kind: 'end', generation: numberIn(attributes, GEN_ID), process: attributeText(attributes, GEN_PROCESS_NAME) ?? '', id: numberIn(attributes, GEN_PROCESS_ID) }
  }
  const table = attributeText(attributes, TABLE)
  if (table === null) return null
  const family = FAMILIES[message.payload[0] as number] ?? String(message.payload[0])
  return { kind: 'change', family, table, object, chain: object === 'rule' ? attributeText(attributes, RULE_CHAIN) : null }
}

/** In network order; 0 where it is absent. */
function numberIn(attributes: Attributes, type: number): number {
  const bytes = attributes.get(type)
  return bytes === undefined || bytes.length !== 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
}
