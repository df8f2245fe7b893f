// Walks the unknown values of one raw object and collects what is wrong with them, each with its field's path.
//
// Every decoder has one reader. An error makes the object bad; a remark leaves it good.
// **Invariant:** nothing here throws, whatever the value; only an object's own properties are read, and null is absent
// (as in the API, where a null field is one that was not given).
import type { Problem, Severity } from '../lib/problem.ts'
import { printable, show } from '../lib/show.ts'
import type { Decoded } from '../model/changes.ts'

export type Mapping = Readonly<Record<string, unknown>>

/** Problems of one object beyond this many are counted, not listed: a list of 10,000 bad CIDRs is one mistake. */
const MOST_PROBLEMS = 20

/** `object` is the Problem's object (`Pod shop/web`), `source` where it came from; see lib/problem.ts. */
export class FieldReader {
  readonly #object: string
  readonly #source: string | undefined
  readonly #otherwise: string
  readonly #problems: Problem[] = []
  #more = 0
  #bad = false

  /** `otherwise`: what an error leads to where no good version of the object is known. */
  constructor(object: string, source: string | undefined, otherwise: string) {
    this.#object = object
    this.#source = source
    this.#otherwise = otherwise
  }

  /** The field holds `found` and should hold `expected`; the object is bad from here on. */
  error(field: string, found: unknown, expected: string, otherwise: string = this.#otherwise): null {
    return this.errorText(field, `found ${show(found)}, expected ${expected}`, otherwise)
  }

  /** As `error`, where more is to be said than what was found and expected; `what` has no full stop. */
  errorText(field: string, what: string, otherwise: string = this.#otherwise): null {
    this.#bad = true
    this.#add('error', 'InvalidField', field, what, otherwise)
    return null
  }

  /** Something that a person should know, and that leaves the object good. */
  remark(severity: Severity, code: string, field: string, message: string): void {
    this.#add(severity, code, field, message)
  }

  #add(severity: Severity, code: string, field: string, message: string, otherwise?: string): void {
    if (this.#problems.length >= MOST_PROBLEMS) {
      this.#more += 1
      return
    }
    const source = this.#source === undefined ? {} : { source: this.#source }
    const where = field === '' ? source : { field, ...source }
    this.#problems.push(Object.freeze({ code, severity, object: this.#object, ...where, message, ...(otherwise === undefined ? {} : { otherwise }) }))
  }

  mapping(value: unknown, field: string, otherwise?: string): Mapping | null {
    return isMapping(value) ? value : this.error(field, value, 'a mapping', otherwise)
  }

  /** Absent is an empty mapping. */
  optionalMapping(value: unknown, field: string, otherwise?: string): Mapping | null {
    return value === undefined ? {} : this.mapping(value, field, otherwise)
  }

  /** Absent is an empty list; null where it is no list. */
  optionalList(value: unknown, field: string, otherwise?: string): readonly unknown[] | null {
    if (value === undefined) return []
    return Array.isArray(value) ? value : this.error(field, value, 'a list', otherwise)
  }

  /** Absent is `absent`; what is no string is an error and gives `absent` too. */
  optionalString(value: unknown, field: string, absent: string): string {
    if (value === undefined || typeof value === 'string') return value ?? absent
    this.error(field, value, 'a string')
    return absent
  }

  optionalBoolean(value: unknown, field: string): boolean {
    if (value === undefined || typeof value === 'boolean') return value ?? false
    this.error(field, value, 'true or false')
    return false
  }

  /**
   * A misspelled field is dangerous: the API server prunes it, so that `podSelecter` selects every pod. The object
   * stays good, as it would there, and the warning names the field and the known ones.
   */
  warnUnknown(mapping: Mapping, field: string, known: readonly string[]): void {
    for (const key of Object.keys(mapping)) {
      if (known.includes(key)) continue
      const message = `there is no such field here (known: ${known.join(', ')})`
      const now = 'it is ignored, as the API server does, and may change what the rest means'
      this.remark('warning', 'UnknownField', at(field, printable(key)), `${message}; ${now}`)
    }
  }

  /** The result: `row` is what could be read; for a bad object that is the strict row, null where nothing may stand in. */
  decoded<Row>(row: Row | null): Decoded<Row> {
    const problems = Object.freeze(this.#more === 0 ? [...this.#problems] : [...this.#problems, this.#moreProblem()])
    if (this.#bad || row === null) return Object.freeze({ kind: 'bad', strict: row, problems })
    return Object.freeze({ kind: 'good', row, problems })
  }

  #moreProblem(): Problem {
    const source = this.#source === undefined ? {} : { source: this.#source }
    const message = `${this.#more} further problems of this object are not listed; what they name is handled in the same way`
    return Object.freeze({ code: 'MoreProblems', severity: this.#bad ? 'error' : 'warning', object: this.#object, ...source, message })
  }
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The mapping's own field, undefined where it is absent or null: `constructor` is no field of every mapping. */
export function own(mapping: Mapping, key: string): unknown {
  return Object.hasOwn(mapping, key) ? (mapping[key] ?? undefined) : undefined
}

/** A part of a raw object that should be a mapping; an empty one where it is none. */
export function partOf(raw: unknown, key: string): Mapping {
  const value = isMapping(raw) ? own(raw, key) : undefined
  return isMapping(value) ? value : {}
}

/** Empty where there is none, or no text. */
export function textIn(mapping: Mapping, key: string): string {
  const value = own(mapping, key)
  return typeof value === 'string' ? value : ''
}

/** The path of a field in a field; the outermost path is empty. */
export function at(field: string, key: string): string {
  return field === '' ? key : `${field}.${key}`
}
