// The few keywords of JSON Schema (2020-12) that the schema of records uses, for tests: any other one is an error.
//
// **Invariant:** what it does not know it refuses, so that no keyword of the schema goes unchecked.

type Schema = Readonly<Record<string, unknown>>

/** Says nothing of the value. */
const ANNOTATIONS: ReadonlySet<string> = new Set(['$schema', '$id', 'title', 'description'])

/** What is wrong with the value, with the place of it; empty where it is valid. */
export function violations(schema: Schema, value: unknown, at = ''): readonly string[] {
  return Object.entries(schema).flatMap(([keyword, expected]) => {
    if (ANNOTATIONS.has(keyword)) return []
    const check = KEYWORDS[keyword]
    if (check === undefined) throw new Error(`${at}: the keyword ${keyword} is not known to this validator`)
    return check(expected, value, at, schema)
  })
}

type Check = (expected: unknown, value: unknown, at: string, schema: Schema) => readonly string[]

const KEYWORDS: Readonly<Record<string, Check>> = {
  type: (types, value, at) => ((Array.isArray(types) ? types : [types]).some((type) => isOf(type as string, value)) ? [] : [`${at}: is no ${String(types)}`]),
  const: (only, value, at) => (value === only ? [] : [`${at}: is not ${String(only)}`]),
  // As JSON Schema has it: a null that `type` allows still has to stand in `enum`.
  enum: (values, value, at) => ((values as readonly unknown[]).includes(value) ? [] : [`${at}: is none of ${JSON.stringify(values)}`]),
  minimum: (least, value, at) => (typeof value !== 'number' || value >= (least as number) ? [] : [`${at}: is below ${String(least)}`]),
  maximum: (most, value, at) => (typeof value !== 'number' || value <= (most as number) ? [] : [`${at}: is above ${String(most)}`]),
  pattern: (pattern, value, at) => (typeof value !== 'string' || new RegExp(pattern as string, 'u').test(value) ? [] : [`${at}: does not match ${String(pattern)}`]),
  format: (_, value, at) => (typeof value !== 'string' || !Number.isNaN(Date.parse(value)) ? [] : [`${at}: is no time`]),
  required: (keys, value, at) => (isOf('object', value) ? (keys as readonly string[]).filter((key) => !Object.hasOwn(value as object, key)).map((key) => `${at}.${key}: is missing`) : []),
  properties: (all, value, at) => entries(value).flatMap(([key, one]) => (Object.hasOwn(all as object, key) ? violations((all as Record<string, Schema>)[key] as Schema, one, `${at}.${key}`) : [])),
  additionalProperties: (rest, value, at, { properties = {} }) =>
    entries(value).flatMap(([key, one]) => {
      if (Object.hasOwn(properties as object, key)) return []
      return rest === false ? [`${at}.${key}: is not known`] : violations(rest as Schema, one, `${at}.${key}`)
    }),
  items: (schema, value, at) => (Array.isArray(value) ? value.flatMap((one, index) => violations(schema as Schema, one, `${at}[${index}]`)) : []),
  anyOf: (schemas, value, at) => {
    const all = (schemas as readonly Schema[]).map((schema) => violations(schema, value, at))
    return all.some((one) => one.length === 0) ? [] : all.flat()
  },
  oneOf: (schemas, value, at) => {
    const all = (schemas as readonly Schema[]).map((schema) => violations(schema, value, at))
    const fitting = all.filter((one) => one.length === 0).length
    if (fitting === 1) return []
    // Of those that do not fit the one that says the least is the one that was meant.
    return fitting > 1 ? [`${at}: fits ${fitting} of oneOf`] : (all.toSorted((a, b) => a.length - b.length)[0] ?? [])
  },
}

function entries(value: unknown): readonly (readonly [string, unknown])[] {
  return isOf('object', value) ? Object.entries(value as object) : []
}

function isOf(type: string, value: unknown): boolean {
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return type === 'integer' ? Number.isInteger(value) : typeof value === type
}
