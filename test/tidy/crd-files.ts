// What `npm run generate` writes to crds/: a file for each custom resource, the kustomization that the bases in deploy/ name, which
// says what of it is for the cluster, and the JSON Schema of the audit stream's records, which is not.
//
// A tidy test compares. **Invariant:** crds/ holds nothing that is not made here.
import { stringify } from 'yaml'
import type { ObjectField } from '../../src/crd/fields.ts'
import { NODE_ENFORCEMENT } from '../../src/crd/node-enforcement.ts'
import { POLICY_ENFORCEMENT } from '../../src/crd/policy-enforcement.ts'
import { definitionOf, type Resource } from '../../src/crd/schema.ts'
import { RECORD_SCHEMA, SCHEMA_FILE } from '../../src/flows/schema.ts'

export const CRD_FOLDER = 'crds'
export const CUSTOM_RESOURCES: readonly Resource[] = [NODE_ENFORCEMENT as Resource<ObjectField>, POLICY_ENFORCEMENT as Resource<ObjectField>]

/** Each file below crds/ with its text. */
export function crdFiles(): ReadonlyMap<string, string> {
  const names = CUSTOM_RESOURCES.map(({ plural }) => `${plural}.yaml`)
  const kustomization = { apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', resources: names }
  return new Map([
    ['kustomization.yaml', `# By \`npm run generate\`.\n${stringify(kustomization)}`],
    ...CUSTOM_RESOURCES.map((one, index) => [names[index] as string, textOf(one)] as const),
    [SCHEMA_FILE, `${JSON.stringify(RECORD_SCHEMA, null, 2)}\n`],
  ])
}

function textOf(resource: Resource): string {
  return `# From src/crd/, by \`npm run generate\`.\n${stringify(definitionOf(resource), { lineWidth: 0, aliasDuplicateObjects: false })}`
}
