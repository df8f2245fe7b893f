// A raw value -> what a field holds, or what is wrong with it: the schema's own bounds, checked on this side of the API.
//
// What is read was validated by the API server, but perhaps by another version of the schema; what is written should not be refused.
// **Invariant:** nothing here throws; unknown fields are left alone, as a newer version may have written them.
import { show } from '../lib/show.ts'
import { opened, type Field, type ObjectField, type TypeOf } from './fields.ts'

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/

export function isA<F extends Field>(field: F, value: unknown): value is TypeOf<F> {
  return faultOf(field, value, '') === null
}

/** `status.counts.rules: found -1, expected a whole number from 0 on`; null where the value is as the field says. CEL rules are not looked at. */
export function faultOf(field: Field, value: unknown, path: string): string | null {
  const expected = (what: string): string => `${path}: found ${show(value)}, expected ${what}`
  switch (field.kind) {
    case 'text':
      if (typeof value !== 'string') return expected('a text')
      if (field.values !== undefined) return field.values.includes(value) ? null : expected(field.values.join(', '))
      // The API server counts characters, not UTF-16 units.
      if (value.length > field.maxLength && [...value].length > field.maxLength) return expected(`at most ${field.maxLength} characters`)
      return field.pattern === undefined || new RegExp(field.pattern, 'u').test(value) ? null : expected(`a text like ${field.pattern}`)
    case 'time':
      return typeof value === 'string' && TIME.test(value) && !Number.isNaN(Date.parse(value)) ? null : expected('a time such as 2026-01-31T12:00:00Z')
    case 'count': {
      const most = field.bits === 32 ? 2 ** 31 - 1 : Number.MAX_SAFE_INTEGER
      return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most ? null : expected(`a whole number from 0 to ${most}`)
    }
    case 'flag':
      return typeof value === 'boolean' ? null : expected('true or false')
    case 'list': {
      if (!Array.isArray(value)) return expected('a list')
      if (value.length > field.maxItems) return `${path}: found ${value.length} items, expected at most ${field.maxItems}`
      return firstFault(value.map((item, index) => [field.items, item, `${path}[${index}]`])) ?? repeated(field.key, value, path)
    }
    case 'map': {
      if (!isMapping(value)) return expected('a mapping')
      const entries = Object.entries(value)
      if (entries.length > field.maxEntries) return `${path}: found ${entries.length} entries, expected at most ${field.maxEntries}`
      return firstFault(entries.map(([key, one]) => [field.values, one, below(path, key)]))
    }
    case 'object':
      return isMapping(value) ? objectFault(field, value, path) : expected('a mapping')
  }
}

function objectFault({ fields }: ObjectField, value: Readonly<Record<string, unknown>>, path: string): string | null {
  for (const [name, one] of Object.entries(fields)) {
    const { field, isOptional } = opened(one)
    const held = Object.hasOwn(value, name) ? value[name] : undefined
    if (held === undefined && isOptional) continue
    const fault = held === undefined ? `${below(path, name)}: it is missing` : faultOf(field, held, below(path, name))
    if (fault !== null) return fault
  }
  return null
}

/** Of a list whose items are told apart by a field: the API server refuses one value twice. */
function repeated(key: string | null, items: readonly unknown[], path: string): string | null {
  if (key === null) return null
  const keys = items.map((item) => (item as Readonly<Record<string, unknown>>)[key])
  const twice = keys.find((one, index) => keys.indexOf(one) !== index)
  return twice === undefined ? null : `${path}: ${key} ${show(twice)} is there twice`
}

function firstFault(parts: readonly (readonly [Field, unknown, string])[]): string | null {
  for (const [field, value, path] of parts) {
    const fault = faultOf(field, value, path)
    if (fault !== null) return fault
  }
  return null
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
