// Manifests -> what each service account may do, one line for each resource, as kubectl names resources.
//
// For the page deploy/docs/rbac.md, and for the cluster tests that ask a real API server. **Invariant:** a rule that is bound to
// nobody, a `*`, or a subject that is no service account of Picket's is an error, never left out.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { renderKustomization, type KubeObject } from './kustomize.ts'
import { ROOT } from './table.ts'

export interface Grant {
  /** `nodeenforcements.picket.dev/status` */
  readonly resource: string
  readonly verbs: readonly string[]
  /** Null: in every namespace, and of what is in none. */
  readonly namespace: string | null
  /** Empty: whatever its name. */
  readonly names: readonly string[]
}

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** `aggregated`: a role that is bound by what aggregates it. */
export function grantsOf(overlay: string): ReadonlyMap<string, readonly Grant[]> {
  const objects = renderKustomization(path.join(ROOT, 'deploy', overlay))
  const roles = objects.filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole')
  const grants = new Map<string, readonly Grant[]>()
  const give = (whom: string, role: KubeObject, namespace: string | null): void => {
    const rules = role['rules'] as readonly Rule[]
    grants.set(whom, [...(grants.get(whom) ?? []), ...rules.flatMap((rule) => grantsIn(rule, namespace))])
  }
  const bound = new Set<KubeObject>()
  for (const binding of objects.filter(({ kind }) => kind.endsWith('RoleBinding'))) {
    const { roleRef, subjects } = binding as unknown as { readonly roleRef: { readonly kind: string; readonly name: string }; readonly subjects: readonly { readonly kind: string; readonly name: string; readonly namespace: string }[] }
    const role = roles.find(({ kind, metadata }) => kind === roleRef.kind && metadata.name === roleRef.name && metadata.namespace === binding.metadata.namespace)
    if (role === undefined) throw new Error(`${binding.kind} ${binding.metadata.name}: ${roleRef.kind} ${roleRef.name} is not in the manifests`)
    bound.add(role)
    for (const { kind, name, namespace } of subjects) {
      if (kind !== 'ServiceAccount' || namespace !== 'picket-system') throw new Error(`${binding.kind} ${binding.metadata.name}: ${kind} ${namespace}/${name}: expected a service account of picket-system`)
      give(name, role, binding.metadata.namespace ?? null)
    }
  }
  for (const role of roles.filter((one) => !bound.has(one))) {
    const aggregates = Object.keys(role.metadata.labels ?? {}).filter((label) => label.startsWith('rbac.authorization.k8s.io/aggregate-to-'))
    if (aggregates.length !== 1) throw new Error(`${role.kind} ${role.metadata.name}: bound to nobody`)
    give(String(aggregates[0]).replace(/^.*aggregate-to-/, ''), role, null)
  }
  return grants
}

function grantsIn({ apiGroups, resources, resourceNames = [], verbs }: Rule, namespace: string | null): readonly Grant[] {
  if ([...apiGroups, ...resources, ...verbs].some((one) => one.includes('*'))) throw new Error(`${resources.join(', ')}: ${verbs.join(', ')}: expected no *`)
  return apiGroups.flatMap((group) => resources.map((one) => ({ resource: named(group, one), verbs, namespace, names: resourceNames })))
}

/** As kubectl has it. */
export function named(group: string, resource: string): string {
  const [plural, sub] = resource.split('/')
  return `${plural}${group === '' ? '' : `.${group}`}${sub === undefined ? '' : `/${sub}`}`
}

const PAGE = 'deploy/docs/rbac.md'

/** The table of a section of the page: resource, verbs, where, why. */
export function pageRows(title: string): readonly (readonly string[])[] {
  const text = readFileSync(path.join(ROOT, PAGE), 'utf8').split(`${title}\n`)[1]?.split('\n## ')[0] ?? ''
  return text.split('\n').filter((line) => line.startsWith('| ')).map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim())).slice(1)
}

/** The same as grants, for rights that no manifest gives. */
export function pageGrants(title: string): readonly Grant[] {
  return pageRows(title).map(([cell = '', verbs = '', where = '']) => {
    const [resource = '', ...names] = cell.split(' ').map((word) => word.replaceAll('"', ''))
    return { resource, verbs: verbs.split(', '), namespace: where === 'everywhere' ? null : where.replace(/^in /, ''), names }
  })
}
