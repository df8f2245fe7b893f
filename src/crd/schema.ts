// A custom resource as data -> the CustomResourceDefinition that a cluster is given.
//
// `npm run generate` writes it to crds/. **Invariant:** the schema is structural, closed, and says what the types of fields.ts say:
// both come from the same fields.
import { opened, type Field, type ObjectField, type Rule } from './fields.ts'

export const GROUP = 'picket.dev'
export const VERSION = 'v1alpha1'
export const API_VERSION = `${GROUP}/${VERSION}`

/** A column of `kubectl get`, behind NAME. */
export interface Column {
  /** Shown in capitals. */
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  readonly description: string
}

export interface Resource<Status extends ObjectField = ObjectField> {
  readonly kind: string
  readonly plural: string
  readonly shortName: string
  readonly scope: 'Cluster' | 'Namespaced'
  readonly description: string
  readonly columns: readonly Column[]
  readonly status: Status
  /** About the whole object: `self.metadata.name` can be read here only. */
  readonly rules: readonly Rule[]
}

export type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json }

/** How the API server is asked for its objects: one of them by name. */
export function apiKindOf({ kind, plural, scope }: Resource): { readonly kind: string; readonly plural: string; readonly group: string; readonly version: string; readonly namespaced: boolean } {
  return Object.freeze({ kind, plural, group: GROUP, version: VERSION, namespaced: scope === 'Namespaced' })
}

/** How it is asked for all of them. */
export function apiListOf({ kind, plural }: Resource): { readonly kind: string; readonly plural: string; readonly group: string; readonly path: string } {
  return Object.freeze({ kind, plural, group: GROUP, path: `/apis/${API_VERSION}/${plural}` })
}

/** `conditions[?(@.type=="Ready")].status`, as columns read it. */
export function conditionColumn(name: string, condition: string, description: string): Column {
  return { name, type: 'string', jsonPath: `.status.conditions[?(@.type=="${condition}")].status`, description }
}

export function definitionOf({ kind, plural, shortName, scope, description, columns, status, rules }: Resource): Json {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}`, labels: { 'app.kubernetes.io/name': 'picket' } },
    spec: {
      group: GROUP,
      scope,
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames: [shortName], categories: ['picket'] },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns.map(({ name, type, description: says, jsonPath }) => ({ name, type, description: says, jsonPath })),
          schema: { openAPIV3Schema: { type: 'object', description, ...validations(rules), properties: { status: schemaOf(status) } } },
        },
      ],
    },
  }
}

export function schemaOf(field: Field): Json {
  const base = { description: field.description, ...validations(field.rules ?? []) }
  switch (field.kind) {
    case 'text':
      return field.values === undefined
        ? { type: 'string', ...base, maxLength: field.maxLength, ...(field.pattern === undefined ? {} : { pattern: field.pattern }) }
        : { type: 'string', ...base, enum: field.values }
    case 'time':
      return { type: 'string', format: 'date-time', ...base }
    case 'count':
      return { type: 'integer', format: `int${field.bits}`, ...base, minimum: 0 }
    case 'flag':
      return { type: 'boolean', ...base }
    case 'list':
      return { type: 'array', ...base, maxItems: field.maxItems, ...listType(field.key), items: schemaOf(field.items) }
    case 'map':
      return { type: 'object', ...base, maxProperties: field.maxEntries, additionalProperties: schemaOf(field.values) }
    case 'object':
      return objectSchema(field, base)
  }
}

function objectSchema({ fields }: ObjectField, base: { readonly [key: string]: Json }): Json {
  const all = Object.entries(fields).map(([name, one]) => ({ name, ...opened(one) }))
  const required = all.filter(({ isOptional }) => !isOptional).map(({ name }) => name)
  const properties = Object.fromEntries(all.map(({ name, field }) => [name, schemaOf(field)]))
  return { type: 'object', ...base, ...(required.length === 0 ? {} : { required }), properties }
}

function listType(key: string | null): { readonly [key: string]: Json } {
  return key === null ? { 'x-kubernetes-list-type': 'atomic' } : { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] }
}

function validations(rules: readonly Rule[]): { readonly [key: string]: Json } {
  return rules.length === 0 ? {} : { 'x-kubernetes-validations': rules.map(({ rule, message }) => ({ rule, message })) }
}
