// An object's metadata: its name, namespace, labels and times, and the title under which problems name it.
//
// **Invariant:** what is returned as a name passed the API's own validation; labels are Maps in the order of their keys.
import { byText } from '../lib/sorting.ts'
import { printable, show } from '../lib/show.ts'
import type { Labels } from '../model/labels.ts'
import { type FieldReader, type Mapping, isMapping, own } from './fields.ts'
import { DNS_LABEL, DNS_SUBDOMAIN, LABEL_KEY, LABEL_VALUE, isDnsLabel, isDnsSubdomain, isLabelKey, isLabelValue } from './names.ts'

/** The namespace of a namespaced object that names none, as kubectl has it. */
const DEFAULT_NAMESPACE = 'default'

/** `Pod shop/web`, `Node n1`: also of an object that is hardly one, with `(no name)` where there is none. */
export function titleOf(kind: string, raw: unknown, namespaced: boolean): string {
  const metadata = isMapping(raw) ? own(raw, 'metadata') : undefined
  const text = (key: string, absent: string): string => {
    const value = isMapping(metadata) ? own(metadata, key) : undefined
    if (value === undefined || value === '') return absent
    return typeof value === 'string' ? printable(value, 253) : show(value)
  }
  const name = text('name', '(no name)')
  return namespaced ? `${kind} ${text('namespace', DEFAULT_NAMESPACE)}/${name}` : `${kind} ${name}`
}

/** The object's metadata, or null with an error where the object or its metadata is no mapping. */
export function readMetadata(reader: FieldReader, raw: unknown): { readonly object: Mapping; readonly metadata: Mapping } | null {
  const object = reader.mapping(raw, '')
  if (object === null) return null
  const metadata = reader.mapping(own(object, 'metadata'), 'metadata')
  return metadata === null ? null : { object, metadata }
}

/** metadata.name; null with an error where it is not valid. Names of namespaces are DNS labels, all others subdomains. */
export function readName(reader: FieldReader, metadata: Mapping, form: 'label' | 'subdomain' = 'subdomain', otherwise?: string): string | null {
  const value = own(metadata, 'name')
  const valid = form === 'label' ? isDnsLabel : isDnsSubdomain
  if (typeof value === 'string' && valid(value)) return value
  return reader.error('metadata.name', value, form === 'label' ? DNS_LABEL : DNS_SUBDOMAIN, otherwise)
}

/** metadata.namespace, `default` where there is none; null with an error where it is not valid. */
export function readNamespace(reader: FieldReader, metadata: Mapping, otherwise?: string): string | null {
  const value = own(metadata, 'namespace')
  if (value === undefined || value === '') return DEFAULT_NAMESPACE
  if (typeof value === 'string' && isDnsLabel(value)) return value
  return reader.error('metadata.namespace', value, DNS_LABEL, otherwise)
}

/** metadata.labels; null with an error where any key or value is not valid, since a part of them would match other selectors. */
export function readLabels(reader: FieldReader, metadata: Mapping): Labels | null {
  const mapping = reader.optionalMapping(own(metadata, 'labels'), 'metadata.labels')
  if (mapping === null) return null
  const labels = new Map<string, string>()
  let readable = true
  for (const key of Object.keys(mapping).sort(byText)) {
    const value = mapping[key]
    if (!isLabelKey(key)) {
      reader.error(labelField(key), key, LABEL_KEY)
      readable = false
    } else if (typeof value !== 'string' || !isLabelValue(value)) {
      reader.error(labelField(key), value, LABEL_VALUE)
      readable = false
    } else labels.set(key, value)
  }
  return readable ? labels : null
}

function labelField(key: string): string {
  return `metadata.labels[${printable(key)}]`
}

/** metadata.creationTimestamp in milliseconds since 1970; null where it cannot be read. */
export function createdAtOf(metadata: Mapping): number | null {
  const value = own(metadata, 'creationTimestamp')
  const time = typeof value === 'string' && /^\d{4}-\d{2}-\d{2}[Tt]/.test(value) ? Date.parse(value) : NaN
  return Number.isNaN(time) ? null : time
}

/** The same; 0, with a warning where there is one that cannot be read. */
export function readCreatedAt(reader: FieldReader, metadata: Mapping): number {
  const value = own(metadata, 'creationTimestamp')
  if (value === undefined) return 0
  const time = createdAtOf(metadata)
  if (time !== null) return time
  const message = `found ${show(value)}, expected a time such as 2026-01-31T12:00:00Z; the object counts as the oldest`
  reader.remark('warning', 'InvalidField', 'metadata.creationTimestamp', message)
  return 0
}
