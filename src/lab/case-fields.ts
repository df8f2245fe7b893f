// Reads values of a case file and says exactly where one is wrong: file, case, step, field, what was expected.
//
// The first stage of `picket lab run`, used by cases.ts. **Invariant:** every reader either returns a value of the type
// that it names or throws a PicketError with the whole path; nothing is coerced and nothing is guessed.
import { messageOf, PicketError } from '../lib/errors.ts'

/** Where in a file a value stands. `step` and `field` grow as the reader goes down. */
export interface Place {
  readonly file: string
  readonly caseId: string | null
  readonly step: number | null
  /** A path as people write it: `actions[1].createPod.pod`; empty at the top. */
  readonly field: string
}

export function topOf(file: string): Place {
  return { file, caseId: null, step: null, field: '' }
}

export function at(place: Place, part: string | number): Place {
  const field = typeof part === 'number' ? `${place.field}[${part}]` : place.field === '' ? part : `${place.field}.${part}`
  return { ...place, field }
}

/** `cases.json: case g1: step 0: actions[0]: MESSAGE`. */
export function invalid(place: Place, message: string): PicketError {
  const parts = [place.file]
  if (place.caseId !== null) parts.push(`case ${place.caseId}`)
  if (place.step !== null) parts.push(`step ${place.step}`)
  if (place.field !== '') parts.push(place.field)
  return new PicketError('InvalidCaseFile', `${parts.join(': ')}: ${message}; nothing was started`)
}

/** A value as an error shows it: short, on one line. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object that a file of JSON holds. */
export function documentOf(text: string, file: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(topOf(file), `expected JSON: ${messageOf(error)}`)
  }
  return objectAt(value, topOf(file))
}

export function objectAt(value: unknown, place: Place): JsonObject {
  if (!isObject(value)) throw invalid(place, `expected an object, found ${shown(value)}`)
  return value
}

export function listAt(value: unknown, place: Place): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(place, `expected a list, found ${shown(value)}`)
  return value
}

export function textAt(value: unknown, place: Place): string {
  if (typeof value !== 'string' || value === '') throw invalid(place, `expected a text that is not empty, found ${shown(value)}`)
  return value
}

/** A name of a namespace (RFC 1123 label, at most 63) or of another object (subdomain, at most 253), as the API checks it. */
export function nameAt(value: unknown, place: Place, kind: 'namespace' | 'object'): string {
  const text = textAt(value, place)
  const limit = kind === 'namespace' ? 63 : 253
  const form = kind === 'namespace' ? /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/ : /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/
  if (text.length > limit || !form.test(text)) {
    throw invalid(place, `expected a name of at most ${limit} of a-z, 0-9, '-'${kind === 'object' ? " and '.'" : ''}, found ${shown(text)}`)
  }
  return text
}

/** Texts by text, in the object's order. */
export function labelsAt(value: unknown, place: Place): ReadonlyMap<string, string> {
  const labels = new Map<string, string>()
  for (const [key, text] of Object.entries(objectAt(value, place))) {
    if (typeof text !== 'string') throw invalid(at(place, key), `expected a text, found ${shown(text)}`)
    labels.set(key, text)
  }
  return labels
}

export function integerAt(value: unknown, place: Place, first: number, last: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < first || value > last) {
    throw invalid(place, `expected a whole number from ${first} to ${last}, found ${shown(value)}`)
  }
  return value
}
