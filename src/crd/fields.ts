// The fields of a custom resource as data: the one source of its types, its schema, and what `kubectl explain` says of it.
//
// Each kind of field is a builder here; TypeOf gives the TypeScript type of what a field holds, schema.ts its OpenAPI schema.
// **Invariant:** every field has a sentence, and every text, list and map a bound: the API server refuses CEL over what has none.

/** A condition in CEL that the API server refuses to store a value without. */
export interface Rule {
  readonly rule: string
  readonly message: string
}

interface Described {
  readonly description: string
  readonly rules?: readonly Rule[]
}

export interface TextField<Value extends string = string> extends Described {
  readonly kind: 'text'
  readonly maxLength: number
  readonly pattern?: string
  /** The only values; absent: any text. */
  readonly values?: readonly Value[]
}

/** RFC 3339, in whole seconds and UTC. */
export interface TimeField extends Described {
  readonly kind: 'time'
}

/** A whole number from 0 on. */
export interface CountField extends Described {
  readonly kind: 'count'
  readonly bits: 32 | 64
}

export interface FlagField extends Described {
  readonly kind: 'flag'
}

export interface ListField<Item extends Field = Field> extends Described {
  readonly kind: 'list'
  readonly items: Item
  readonly maxItems: number
  /** The field by which items are told apart, so that two managers can own items of one list; null: the list is one value. */
  readonly key: string | null
}

export interface MapField<Value extends Field = Field> extends Described {
  readonly kind: 'map'
  readonly values: Value
  readonly maxEntries: number
}

export type Fields = Readonly<Record<string, Field | OptionalField>>

export interface ObjectField<Of extends Fields = Fields> extends Described {
  readonly kind: 'object'
  readonly fields: Of
}

export interface OptionalField<Of extends Field = Field> {
  readonly kind: 'optional'
  readonly of: Of
}

export type Field = TextField | TimeField | CountField | FlagField | ListField | MapField | ObjectField

type OptionalKeys<Of> = { [K in keyof Of]: Of[K] extends OptionalField ? K : never }[keyof Of]

/** The type of what a field holds: everything read-only, an optional field absent and never undefined. */
export type TypeOf<F> = F extends TextField<infer Value>
  ? Value
  : F extends TimeField
    ? string
    : F extends CountField
      ? number
      : F extends FlagField
        ? boolean
        : F extends ListField<infer Item>
          ? readonly TypeOf<Item>[]
          : F extends MapField<infer Value>
            ? Readonly<Record<string, TypeOf<Value>>>
            : F extends OptionalField<infer Of>
              ? TypeOf<Of>
              : F extends ObjectField<infer Of>
                ? { readonly [K in Exclude<keyof Of, OptionalKeys<Of>>]: TypeOf<Of[K]> } & { readonly [K in OptionalKeys<Of>]?: TypeOf<Of[K]> }
                : never

export function text(description: string, maxLength: number, more: { readonly pattern?: string; readonly rules?: readonly Rule[] } = {}): TextField {
  return Object.freeze({ kind: 'text', description, maxLength, ...more })
}

export function oneOf<const Value extends string>(values: readonly Value[], description: string): TextField<Value> {
  return Object.freeze({ kind: 'text', description, maxLength: Math.max(...values.map(({ length }) => length)), values })
}

export function time(description: string): TimeField {
  return Object.freeze({ kind: 'time', description })
}

export function count(description: string, bits: 32 | 64 = 32): CountField {
  return Object.freeze({ kind: 'count', description, bits })
}

export function flag(description: string): FlagField {
  return Object.freeze({ kind: 'flag', description })
}

export function list<Item extends Field>(items: Item, maxItems: number, description: string, key: string | null = null): ListField<Item> {
  return Object.freeze({ kind: 'list', description, items, maxItems, key })
}

export function map<Value extends Field>(values: Value, maxEntries: number, description: string): MapField<Value> {
  return Object.freeze({ kind: 'map', description, values, maxEntries })
}

export function object<Of extends Fields>(fields: Of, description: string, rules: readonly Rule[] = []): ObjectField<Of> {
  return Object.freeze({ kind: 'object', description, fields, ...(rules.length === 0 ? {} : { rules }) })
}

export function optional<Of extends Field>(of: Of): OptionalField<Of> {
  return Object.freeze({ kind: 'optional', of })
}

/** The field itself, and whether an object may lack it. */
export function opened(field: Field | OptionalField): { readonly field: Field; readonly isOptional: boolean } {
  return field.kind === 'optional' ? { field: field.of, isOptional: true } : { field, isOptional: false }
}
