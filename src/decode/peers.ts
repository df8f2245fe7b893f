// The `from` and `to` lists of a NetworkPolicy's rules -> peers.
//
// **Invariant:** an unreadable peer opens nothing and the readable ones beside it stay (rules 25, 57); a list of which
// nothing could be read is [], never 'all' (rule 23).
import { show } from '../lib/show.ts'
import type { Cidr } from '../model/ip.ts'
import type { Peer } from '../model/policy.ts'
import { type NamespaceScope, podSelector } from '../model/selector.ts'
import { EVERYTHING } from '../model/labels.ts'
import { A_CIDR, cidrOf, covers } from './addresses.ts'
import { type FieldReader, type Mapping, isMapping, own } from './fields.ts'
import { readSelector } from './selector.ts'

const PEER_FIELDS = ['podSelector', 'namespaceSelector', 'ipBlock']
const BLOCK_FIELDS = ['cidr', 'except']
const NO_PEER = 'this peer matches nothing'

/** `namespace` is the policy's own, which a podSelector alone means (rule 12). */
export function readPeers(reader: FieldReader, value: unknown, field: string, namespace: string): 'all' | readonly Peer[] {
  const list = reader.optionalList(value, field, 'no peer of this rule matches')
  if (list === null) return Object.freeze([])
  // "If this field is empty or missing, this rule matches all sources (traffic not restricted by source)." (rule 11)
  if (list.length === 0) return 'all'
  const peers = list.map((item, i) => readPeer(reader, item, `${field}[${i}]`, namespace))
  return Object.freeze(peers.filter((peer) => peer !== null))
}

function readPeer(reader: FieldReader, item: unknown, field: string, namespace: string): Peer | null {
  if (!isMapping(item)) return reader.error(field, item, 'a mapping with podSelector, namespaceSelector or ipBlock', NO_PEER)
  reader.warnUnknown(item, field, PEER_FIELDS)
  const pods = own(item, 'podSelector')
  const namespaces = own(item, 'namespaceSelector')
  const block = own(item, 'ipBlock')
  if (block !== undefined) {
    // "If this field is set then neither of the other fields can be."
    if (pods === undefined && namespaces === undefined) return readBlock(reader, block, `${field}.ipBlock`)
    return reader.errorText(field, 'found ipBlock together with selectors, expected either (two peers are ORed)', NO_PEER)
  }
  if (pods === undefined && namespaces === undefined) {
    // The API's validation: "must specify a peer". It must not be taken for "every peer".
    return reader.error(field, item, 'a peer (podSelector, namespaceSelector or ipBlock)', NO_PEER)
  }
  const podReading = pods === undefined ? null : readSelector(reader, pods, `${field}.podSelector`, NO_PEER)
  const namespaceReading = namespaces === undefined ? null : readSelector(reader, namespaces, `${field}.namespaceSelector`, NO_PEER)
  if (podReading?.readable === false || namespaceReading?.readable === false) return null
  // Rule 12: a podSelector alone selects in the policy's own namespace; rules 13, 14: both are ANDed.
  const scope: NamespaceScope = namespaceReading === null ? { kind: 'named', name: namespace } : { kind: 'matching', selector: namespaceReading.selector }
  return Object.freeze({ kind: 'pods', selector: podSelector(scope, podReading?.selector ?? EVERYTHING) })
}

function readBlock(reader: FieldReader, value: unknown, field: string): Peer | null {
  const block = reader.mapping(value, field, NO_PEER)
  if (block === null) return null
  reader.warnUnknown(block, field, BLOCK_FIELDS)
  const text = own(block, 'cidr')
  const cidr = cidrOf(text)
  if (cidr === null) return reader.error(`${field}.cidr`, text, A_CIDR, NO_PEER)
  const except = readExcept(reader, block, `${field}.except`, cidr)
  return except === null ? null : Object.freeze({ kind: 'ipBlock', cidr, except })
}

/** Null where one cannot be read: what it would have taken away is not known, so the whole peer opens nothing. */
function readExcept(reader: FieldReader, block: Mapping, field: string, cidr: Cidr): readonly Cidr[] | null {
  const list = reader.optionalList(own(block, 'except'), field, NO_PEER)
  if (list === null) return null
  const except = new Map<string, Cidr>()
  let readable = true
  list.forEach((item, i) => {
    const path = `${field}[${i}]`
    const inner = cidrOf(item)
    if (inner === null) {
      reader.error(path, item, A_CIDR, NO_PEER)
      readable = false
    } else if (!covers(cidr, inner) && !covers(inner, cidr)) {
      // "Except values will be rejected if they are outside the cidr range" (and of the other family: rule 50).
      reader.error(path, item, `a part of ${cidr.text}`, 'it has no effect, and the rest of the peer stays')
    } else {
      if (covers(inner, cidr)) reader.errorText(path, `found ${show(item)}, expected less than all of ${cidr.text}`, 'this peer matches nothing')
      except.set(inner.text, inner)
    }
  })
  return readable ? Object.freeze([...except.values()]) : null
}
