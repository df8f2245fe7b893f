// crds/: what is generated is up to date, and what a custom resource promises: bounds, sentences, columns, names.
//
// Without a cluster; test/cluster asks a real API server. **Invariant:** every schema is walked whole, down to the last field.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { WARNING_TYPES, WARNINGS } from '../../src/crd/warnings.ts'
import { CRD_FOLDER, crdFiles, CUSTOM_RESOURCES } from './crd-files.ts'
import { ROOT } from './table.ts'

interface Schema {
  readonly type?: string
  readonly description?: string
  readonly format?: string
  readonly enum?: readonly string[]
  readonly maxLength?: number
  readonly maxItems?: number
  readonly maxProperties?: number
  readonly minimum?: number
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly additionalProperties?: Schema
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[]
  readonly 'x-kubernetes-list-type'?: string
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
}
interface Version {
  readonly name: string
  readonly subresources: unknown
  readonly additionalPrinterColumns: readonly { readonly name: string; readonly jsonPath: string }[]
  readonly schema: { readonly openAPIV3Schema: Schema }
}
interface Definition {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly group: string; readonly scope: string; readonly names: unknown; readonly versions: readonly [Version] }
}

const definition = (plural: string): Definition => parse(readFileSync(path.join(ROOT, CRD_FOLDER, `${plural}.yaml`), 'utf8')) as Definition
const node = definition('nodeenforcements')
const policy = definition('policyenforcements')
const schemaOf = ({ spec }: Definition): Schema => spec.versions[0].schema.openAPIV3Schema

function below(schema: Schema, at: string): readonly (readonly [string, Schema])[] {
  const parts = Object.entries(schema.properties ?? {}).map(([name, one]): readonly [string, Schema] => [`${at}.${name}`, one])
  if (schema.items !== undefined) parts.push([`${at}[]`, schema.items])
  if (schema.additionalProperties !== undefined) parts.push([`${at}{}`, schema.additionalProperties])
  return [[at, schema] as const, ...parts.flatMap(([name, one]) => below(one, name))]
}
const all = [node, policy].flatMap((one) => below(schemaOf(one), one.metadata.name))

describe('crds/', () => {
  it('has the files that src/crd/ makes, and no others', () => {
    const files = crdFiles()
    assert.deepEqual(readdirSync(path.join(ROOT, CRD_FOLDER)).sort(), [...files.keys()].sort())
    for (const [file, text] of files) assert.equal(readFileSync(path.join(ROOT, CRD_FOLDER, file), 'utf8'), text, 'run: npm run generate')
  })
  it('is what the bases in deploy/ name, and in install.yaml', () => {
    assert.match(readFileSync(path.join(ROOT, 'deploy/base/kustomization.yaml'), 'utf8'), /^ {2}- \.\.\/\.\.\/crds$/m)
    const install = readFileSync(path.join(ROOT, 'deploy/install.yaml'), 'utf8')
    for (const { plural } of CUSTOM_RESOURCES) assert.ok(install.includes(`name: ${plural}.picket.dev`))
  })
  it('has the names that the issue gives', () => {
    assert.deepEqual([node.spec.group, node.spec.scope, node.spec.versions[0].name, node.spec.versions[0].subresources], ['picket.dev', 'Cluster', 'v1alpha1', { status: {} }])
    assert.deepEqual([policy.spec.group, policy.spec.scope, policy.spec.versions[0].name, policy.spec.versions[0].subresources], ['picket.dev', 'Namespaced', 'v1alpha1', { status: {} }])
    assert.deepEqual(node.spec.names, { kind: 'NodeEnforcement', listKind: 'NodeEnforcementList', plural: 'nodeenforcements', singular: 'nodeenforcement', shortNames: ['nodeenf'], categories: ['picket'] })
    assert.deepEqual(policy.spec.names, { kind: 'PolicyEnforcement', listKind: 'PolicyEnforcementList', plural: 'policyenforcements', singular: 'policyenforcement', shortNames: ['polenf'], categories: ['picket'] })
  })
  it('shows the columns that the issue gives, each of a field that exists', () => {
    const columns = ({ spec }: Definition): string => ['NAME', ...spec.versions[0].additionalPrinterColumns.map(({ name }) => name.toUpperCase())].join(' ')
    assert.equal(columns(policy), 'NAME PROGRAMMED NODES PODS TIME-TO-ENFORCE WARNINGS SINCE')
    assert.equal(columns(node), 'NAME REPORTING READY POLICIES PODS FAILURES PROGRAMMED AGE')
    for (const one of [node, policy]) {
      const known = below(schemaOf(one), '').map(([name]) => name)
      for (const { jsonPath } of one.spec.versions[0].additionalPrinterColumns) {
        const field = jsonPath.replace(/\[\?.*?\]/, '[]')
        assert.ok(known.includes(field) || field.startsWith('.metadata.'), jsonPath)
      }
    }
  })
  it('says a sentence of every field', () => {
    for (const [name, { description }] of all) assert.match(description ?? '', /[a-z0-9>][.]$/, name)
    assert.ok(all.length > 80)
  })
  it('is structural and closed: a type everywhere, and no more than properties or additionalProperties', () => {
    for (const [name, { type, properties, additionalProperties, items }] of all) {
      assert.ok(['object', 'array', 'string', 'integer', 'boolean'].includes(type ?? ''), name)
      if (type === 'object') assert.notEqual(properties === undefined, additionalProperties === undefined, name)
      assert.equal(items !== undefined, type === 'array', name)
    }
  })
  it('bounds every text, list and map, so that CEL is affordable and the object of constant size', () => {
    for (const [name, one] of all) {
      if (one.type === 'string') assert.ok(one.maxLength !== undefined || one.enum !== undefined || one.format === 'date-time', name)
      if (one.type === 'array') assert.ok(one.maxItems !== undefined && one['x-kubernetes-list-type'] !== undefined, name)
      if (one.additionalProperties !== undefined) assert.ok(one.maxProperties !== undefined, name)
      if (one.type === 'integer') assert.equal(one.minimum, 0, name)
      for (const key of one['x-kubernetes-list-map-keys'] ?? []) assert.ok(one.items?.required?.includes(key), name)
    }
  })
  it('lists as much as the issue says', () => {
    const most = (list: string): number | undefined => all.find(([name]) => name === list)?.[1].maxItems
    assert.deepEqual(['failures', 'committed'].map((list) => most(`nodeenforcements.picket.dev.status.${list}`)), [32, 64])
    assert.equal(most('policyenforcements.picket.dev.status.failedNodes'), 10)
  })
  it('has no top-level observedGeneration, and holds the name, the sum of nodes and the UID', () => {
    const status = schemaOf(policy).properties?.['status']
    assert.deepEqual(Object.keys(status?.properties ?? {}).filter((name) => name.includes('Generation')), ['policyGeneration', 'programmedGeneration'])
    const rules = all.flatMap(([name, one]) => (one['x-kubernetes-validations'] ?? []).map(({ rule, message }) => ({ name, rule, message })))
    const ruleAt = (name: string): string => rules.find((one) => one.name === name)?.rule ?? ''
    assert.match(ruleAt('policyenforcements.picket.dev'), /policyRef\.name == self\.metadata\.name/)
    assert.match(ruleAt('policyenforcements.picket.dev.status.nodes'), /desired == self\.programmed \+ self\.pending \+ self\.failed \+ self\.stale/)
    assert.equal(ruleAt('policyenforcements.picket.dev.status.policyRef.uid'), 'self == oldSelf')
    for (const { message } of rules) assert.match(message, /^\w/)
  })
  it('defines each warning by one sentence where kubectl explain shows it', () => {
    const type = below(schemaOf(policy), '').find(([name]) => name === '.status.warnings[].type')?.[1]
    assert.deepEqual(type?.enum, WARNING_TYPES)
    const lines = (type?.description ?? '').split('\n')
    for (const one of WARNING_TYPES) {
      assert.ok(lines.includes(`${one}: ${WARNINGS[one]}`), one)
      assert.match(WARNINGS[one], /^[^.]+\.$/, `${one}: one sentence`)
    }
  })
})
