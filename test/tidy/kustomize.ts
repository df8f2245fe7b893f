// A renderer of the few features of kustomize that deploy/ uses: resources, components, JSON patches that add, images.
//
// So that deploy/install.yaml can be made and checked without kubectl. **Invariant:** whatever it does not know is an error, never
// left out.
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { parse, parseAllDocuments, stringify } from 'yaml'

export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> }
  readonly [field: string]: unknown
}

interface Kustomization {
  readonly apiVersion?: string
  readonly kind?: string
  readonly resources?: readonly string[]
  readonly components?: readonly string[]
  readonly patches?: readonly { readonly path: string; readonly target: { readonly kind: string; readonly name: string } }[]
  readonly images?: readonly { readonly name: string; readonly newName?: string; readonly newTag?: string }[]
}

interface Operation {
  readonly op: string
  readonly path: string
  readonly value: unknown
}

const KNOWN = ['apiVersion', 'kind', 'resources', 'components', 'patches', 'images']
/** As kustomize sorts them: what others need comes first. */
const ORDER = [
  'Namespace', 'CustomResourceDefinition', 'ServiceAccount', 'Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding', 'ConfigMap', 'Deployment',
  'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding', 'DaemonSet',
]

/** The objects of a folder with a kustomization.yaml, in the order in which they are applied. Throws an Error that names the file. */
export function renderKustomization(folder: string): readonly KubeObject[] {
  const objects = accumulate(folder, [])
  const place = (one: KubeObject): number => {
    const found = ORDER.indexOf(one.kind)
    if (found < 0) throw new Error(`${folder}: ${one.kind}: expected one of ${ORDER.join(', ')}`)
    return found
  }
  return objects.toSorted((a, b) => place(a) - place(b))
}

export function objectsText(objects: readonly KubeObject[]): string {
  return objects.map((one) => stringify(one, { lineWidth: 0 })).join('---\n')
}

function accumulate(folder: string, base: readonly KubeObject[]): readonly KubeObject[] {
  const file = path.join(folder, 'kustomization.yaml')
  const found = parse(readFileSync(file, 'utf8')) as Kustomization
  const unknown = Object.keys(found).filter((name) => !KNOWN.includes(name))
  if (unknown.length > 0) throw new Error(`${file}: ${unknown.join(', ')}: not known to test/tidy/kustomize.ts`)
  const resources = (found.resources ?? []).flatMap((name) => read(path.join(folder, name)))
  const before = [...base, ...resources]
  const twice = before.map(keyOf).filter((key, index, all) => all.indexOf(key) !== index)
  if (twice.length > 0) throw new Error(`${file}: ${twice.join(', ')}: there is one already`)
  let objects = (found.components ?? []).reduce<readonly KubeObject[]>((all, name) => accumulate(path.join(folder, name), all), before)
  for (const { path: name, target } of found.patches ?? []) {
    const operations = parse(readFileSync(path.join(folder, name), 'utf8')) as readonly Operation[]
    const fits = (one: KubeObject): boolean => one.kind === target.kind && one.metadata.name === target.name
    if (!objects.some(fits)) throw new Error(`${file}: ${name}: no ${target.kind} ${target.name}`)
    objects = objects.map((one) => (fits(one) ? operations.reduce(patched, one) : one))
  }
  return objects.map((one) => withImages(one, found.images ?? []) as KubeObject)
}

function read(place: string): readonly KubeObject[] {
  if (statSync(place).isDirectory()) return accumulate(place, [])
  return parseAllDocuments(readFileSync(place, 'utf8')).map((document) => {
    if (document.errors[0] !== undefined) throw new Error(`${place}: ${document.errors[0].message}`)
    return document.toJS() as KubeObject
  })
}

function keyOf(one: KubeObject): string {
  return `${one.kind} ${one.metadata.namespace ?? ''}/${one.metadata.name}`
}

/** RFC 6902, `add` only. */
function patched(object: KubeObject, { op, path: pointer, value }: Operation): KubeObject {
  if (op !== 'add') throw new Error(`${pointer}: ${op}: expected add`)
  const copy = structuredClone(object)
  const steps = pointer.slice(1).split('/')
  const last = steps.pop() as string
  let at: unknown = copy
  for (const step of steps) at = (at as Record<string, unknown> | undefined)?.[step]
  if (Array.isArray(at) && last === '-') at.push(value)
  else if (typeof at === 'object' && at !== null && !Array.isArray(at)) (at as Record<string, unknown>)[last] = value
  else throw new Error(`${pointer}: there is no such place in ${keyOf(object)}`)
  return copy
}

/** With the images of containers renamed, wherever containers are. */
function withImages(value: unknown, images: Kustomization['images'] & object): unknown {
  if (Array.isArray(value)) return value.map((one) => withImages(one, images))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, one]) => [key, key === 'containers' || key === 'initContainers' ? renamed(one, images) : withImages(one, images)])
  return Object.fromEntries(entries)
}

function renamed(containers: readonly { readonly image: string }[], images: Kustomization['images'] & object): unknown {
  return containers.map((container) => {
    const [name, tag] = split(container.image)
    const found = images.find((one) => one.name === name)
    return found === undefined ? container : { ...container, image: `${found.newName ?? name}:${found.newTag ?? tag}` }
  })
}

function split(image: string): readonly [string, string] {
  const at = image.lastIndexOf(':')
  if (at < 0 || image.indexOf('/', at) >= 0) throw new Error(`image ${image}: expected NAME:TAG`)
  return [image.slice(0, at), image.slice(at + 1)]
}
