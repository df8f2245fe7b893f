// A raw LabelSelector -> the canonical one, with what could not be read left out.
//
// Used for the pods that a policy selects and for its peers, which differ in what an unreadable part means: the first
// leaves it out (more pods are isolated), the second matches nothing. The caller decides by `readable`.
// **Invariant:** `selector` matches everything that the selector could have meant (rule 25): requirements are ANDed
// (rule 18), so leaving one out only widens it.
import { byText } from '../lib/sorting.ts'
import { printable } from '../lib/show.ts'
import { type LabelSelector, type Operator, type Requirement, labelSelector } from '../model/labels.ts'
import { type FieldReader, isMapping, own } from './fields.ts'
import { LABEL_KEY, LABEL_VALUE, isLabelKey, isLabelValue } from './names.ts'

export interface SelectorReading {
  readonly selector: LabelSelector
  /** False where any part was left out. */
  readonly readable: boolean
}

const OPERATORS: readonly string[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'] satisfies Operator[]
const SELECTOR_FIELDS = ['matchLabels', 'matchExpressions']
const REQUIREMENT_FIELDS = ['key', 'operator', 'values']

/** `value` is present; `otherwise` says what an unreadable part means where no good version is known. */
export function readSelector(reader: FieldReader, value: unknown, field: string, otherwise: string): SelectorReading {
  const mapping = reader.mapping(value, field, otherwise)
  if (mapping === null) return { selector: labelSelector([]), readable: false }
  reader.warnUnknown(mapping, field, SELECTOR_FIELDS)
  const found: (Requirement | null)[] = []

  const labels = reader.optionalMapping(own(mapping, 'matchLabels'), `${field}.matchLabels`, otherwise)
  if (labels === null) found.push(null)
  else for (const key of Object.keys(labels).sort(byText)) found.push(readMatchLabel(reader, key, labels[key], `${field}.matchLabels`, otherwise))

  const expressions = reader.optionalList(own(mapping, 'matchExpressions'), `${field}.matchExpressions`, otherwise)
  if (expressions === null) found.push(null)
  else expressions.forEach((item, i) => found.push(readRequirement(reader, item, `${field}.matchExpressions[${i}]`, otherwise)))

  const readable = found.filter((requirement) => requirement !== null)
  return { selector: labelSelector(readable), readable: readable.length === found.length }
}

function readMatchLabel(reader: FieldReader, key: string, value: unknown, field: string, otherwise: string): Requirement | null {
  const path = `${field}[${printable(key)}]`
  if (!isLabelKey(key)) return reader.error(path, key, LABEL_KEY, otherwise)
  if (typeof value !== 'string' || !isLabelValue(value)) return reader.error(path, value, LABEL_VALUE, otherwise)
  // "A single {key,value} in the matchLabels map is equivalent to an element of matchExpressions, whose key field is
  // "key", the operator is "In", and the values array contains only "value"." An empty value is a value (rule 19).
  return { key, operator: 'In', values: [value] }
}

function readRequirement(reader: FieldReader, item: unknown, field: string, otherwise: string): Requirement | null {
  if (!isMapping(item)) return reader.error(field, item, 'a mapping with key, operator and values', otherwise)
  reader.warnUnknown(item, field, REQUIREMENT_FIELDS)
  const key = own(item, 'key')
  if (typeof key !== 'string' || !isLabelKey(key)) return reader.error(`${field}.key`, key, LABEL_KEY, otherwise)
  const operator = own(item, 'operator')
  if (!isOperator(operator)) return reader.error(`${field}.operator`, operator, OPERATORS.join(', '), otherwise)
  const values = reader.optionalList(own(item, 'values'), `${field}.values`, otherwise)
  if (values === null) return null
  if (operator === 'Exists' || operator === 'DoesNotExist') {
    // "If the operator is Exists or DoesNotExist, the values array must be empty."
    return values.length === 0 ? { key, operator, values: [] } : reader.error(`${field}.values`, values, `no values with ${operator}`, otherwise)
  }
  // "If the operator is In or NotIn, the values array must be non-empty."
  if (values.length === 0) return reader.error(`${field}.values`, values, `at least one value with ${operator}`, otherwise)
  // One bad value voids the requirement: In without it would match less than was meant, NotIn more.
  const wrong = values.findIndex((value) => typeof value !== 'string' || !isLabelValue(value))
  if (wrong >= 0) return reader.error(`${field}.values[${wrong}]`, values[wrong], LABEL_VALUE, otherwise)
  return { key, operator, values: values as readonly string[] }
}

function isOperator(value: unknown): value is Operator {
  return typeof value === 'string' && OPERATORS.includes(value)
}
