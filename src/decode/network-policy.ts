// A raw NetworkPolicy (networking.k8s.io/v1) -> Policy, with the API's defaults written out.
//
// A bad policy fails closed: its strict row isolates every direction that it could have meant, selects at least the pods
// that it could have meant, and opens nothing that could not be read (rules 25, 33, 57).
// **Invariant:** one way of reading makes the good row and the strict one; they differ only where a part was unreadable.
import type { Decoded } from '../model/changes.ts'
import { EVERYTHING } from '../model/labels.ts'
import type { Uid } from '../model/objects.ts'
import { DIRECTIONS, type Direction, type Policy, type PolicyRule } from '../model/policy.ts'
import { FieldReader, type Mapping, isMapping, own } from './fields.ts'
import { readLogWish } from './log-annotations.ts'
import { createdAtOf, readMetadata, readName, readNamespace, titleOf } from './metadata.ts'
import { readPeers } from './peers.ts'
import { readPorts } from './ports.ts'
import { type SelectorReading, readSelector } from './selector.ts'

const API_VERSION = 'networking.k8s.io/v1'
const OBJECT_FIELDS = ['apiVersion', 'kind', 'metadata', 'spec', 'status']
const SPEC_FIELDS = ['podSelector', 'policyTypes', 'ingress', 'egress']
const RULE_FIELDS = { ingress: ['from', 'ports'], egress: ['to', 'ports'] } as const
const TYPE_OF = { ingress: 'Ingress', egress: 'Egress' } as const

type Isolation = Policy['isolates']
type Rules = { readonly [D in Direction]: readonly PolicyRule[] }

/** `uid` is the policy's identity, `source` where it came from. Never throws. Follows rules 1-6, 11-25, 28-33, 46-57. */
export function decodePolicy(raw: unknown, uid: Uid, source?: string): Decoded<Policy> {
  const reader = new FieldReader(titleOf('NetworkPolicy', raw, true), source, 'the policy has no effect')
  const opened = readMetadata(reader, raw)
  if (opened === null) return reader.decoded<Policy>(null)
  const { object, metadata } = opened
  const strictName = 'the policy still isolates and allows as its spec says'
  const name = readName(reader, metadata, 'subdomain', strictName) ?? standIn(own(metadata, 'name'))
  const namespace = readNamespace(reader, metadata, strictName) ?? standIn(own(metadata, 'namespace'))
  if (name === null || namespace === null) return reader.decoded<Policy>(null)

  const apiVersion = own(object, 'apiVersion')
  // Items of a list need not repeat it. An old version served the same fields: by them it fails closed.
  if (apiVersion !== undefined && apiVersion !== API_VERSION) reader.error('apiVersion', apiVersion, API_VERSION, strictName)
  reader.warnUnknown(object, '', OBJECT_FIELDS)
  const spec = reader.optionalMapping(own(object, 'spec'), 'spec', 'all pods of its namespace are isolated in both directions')
  if (own(object, 'spec') === undefined) {
    reader.remark('warning', 'MissingField', 'spec', 'there is no spec; the policy isolates all pods of its namespace for ingress, as the API has it')
  }
  if (spec !== null) reader.warnUnknown(spec, 'spec', SPEC_FIELDS)
  const rules = readRules(reader, spec ?? {}, namespace)
  const pods = spec === null ? UNREADABLE : readPods(reader, spec)
  const isolates = spec === null ? { ingress: true, egress: true } : readIsolation(reader, spec)
  return reader.decoded(
    Object.freeze({
      uid,
      namespace,
      name,
      generation: readGeneration(metadata),
      createdAt: createdAtOf(metadata) ?? 0,
      pods: pods.selector,
      isolates: Object.freeze(isolates),
      // Rule 4: rules of a direction that is not in policyTypes do not matter. Rule 25: the pods that a selector selects only
      // because a part of it was left out are isolated, and nothing is opened for them: another policy may deny it.
      ingress: isolates.ingress && pods.readable ? rules.ingress : Object.freeze([]),
      egress: isolates.egress && pods.readable ? rules.egress : Object.freeze([]),
      ...readLogWish(reader, metadata),
    }),
  )
}

/**
 * A name that is not valid, for the strict row, so that the policy still isolates: what no name may hold becomes `_`,
 * which keeps it apart from every valid name and out of harm's way. Null where it is no text at all.
 */
function standIn(value: unknown): string | null {
  if (typeof value !== 'string' || value === '') return null
  const cleaned = value.slice(0, 252).replaceAll(/[^A-Za-z0-9._-]/gu, '_')
  return cleaned.includes('_') ? cleaned : `${cleaned}_`
}

/** Set by the API server; a manifest has none, and nothing depends on it but what people read. */
function readGeneration(metadata: Mapping): number {
  const value = own(metadata, 'generation')
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0
}

/** Rule 6: absent or {} = all pods of the policy's namespace. An unreadable part is left out, so that more are selected. */
function readPods(reader: FieldReader, spec: Mapping): SelectorReading {
  const value = own(spec, 'podSelector')
  if (value === undefined) return { selector: EVERYTHING, readable: true }
  return readSelector(reader, value, 'spec.podSelector', 'this part is left out: more pods are selected and isolated, and nothing is opened for any of them')
}

const UNREADABLE: SelectorReading = Object.freeze({ selector: EVERYTHING, readable: false })

/** Rule 3; where policyTypes, or the rules that decide for it, cannot be read: every direction it could have meant. */
function readIsolation(reader: FieldReader, spec: Mapping): Isolation {
  const otherwise = 'both directions are isolated'
  const list = reader.optionalList(own(spec, 'policyTypes'), 'spec.policyTypes', otherwise)
  if (list === null) return { ingress: true, egress: true }
  if (list.length === 0) {
    // "If no policyTypes are specified on a NetworkPolicy then by default Ingress will always be set and Egress will be
    // set if the NetworkPolicy has any egress rules." Egress rules that cannot be read count as some.
    const egress = own(spec, 'egress')
    return { ingress: true, egress: egress !== undefined && !(Array.isArray(egress) && egress.length === 0) }
  }
  if (list.length > DIRECTIONS.length) reader.error('spec.policyTypes', list, 'at most two entries, Ingress and Egress', 'each counts once')
  let readable = true
  list.forEach((type, i) => {
    if (type === TYPE_OF.ingress || type === TYPE_OF.egress) return
    reader.error(`spec.policyTypes[${i}]`, type, 'Ingress or Egress', otherwise)
    readable = false
  })
  return { ingress: !readable || list.includes(TYPE_OF.ingress), egress: !readable || list.includes(TYPE_OF.egress) }
}

/** Both directions are read whatever policyTypes say: what is wrong there is told too. */
function readRules(reader: FieldReader, spec: Mapping, namespace: string): Rules {
  const read = (direction: Direction): readonly PolicyRule[] => {
    const field = `spec.${direction}`
    const list = reader.optionalList(own(spec, direction), field, 'this direction is isolated and opens nothing') ?? []
    const rules = list.map((item, i) => readRule(reader, item, `${field}[${i}]`, direction, i, namespace))
    return Object.freeze(rules.filter((rule) => rule !== null))
  }
  return { ingress: read('ingress'), egress: read('egress') }
}

function readRule(reader: FieldReader, item: unknown, field: string, direction: Direction, index: number, namespace: string): PolicyRule | null {
  const peersField = direction === 'ingress' ? 'from' : 'to'
  // A null item would be an empty rule to the API server, which allows everything: too much for a slip of the pen.
  if (!isMapping(item)) return reader.error(field, item, `a mapping with ${peersField} and ports ({} allows everything)`, 'this rule opens nothing')
  reader.warnUnknown(item, field, RULE_FIELDS[direction])
  const peers = readPeers(reader, own(item, peersField), `${field}.${peersField}`, namespace)
  const ports = readPorts(reader, own(item, 'ports'), `${field}.ports`)
  return Object.freeze({ index, peers, ports })
}
