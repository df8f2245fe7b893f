// Which objects of a resource a list or a watch means: those of one namespace by its path, those of one name by a field selector.
//
// **Invariant:** without either, all of the resource.
import type { ApiObject } from './api-server.ts'

export interface View {
  /** Under which a test may have put the objects: that of the list in all namespaces, and its own. */
  readonly paths: readonly string[]
  readonly has: (object: ApiObject) => boolean
}

export function viewOf(path: string, { fieldSelector }: Readonly<Record<string, string>>): View {
  const [, group, namespace, plural] = /^(.*)\/namespaces\/([^/]+)\/([^/]+)$/.exec(path) ?? []
  const [, name] = /^metadata\.name=(.+)$/.exec(fieldSelector ?? '') ?? []
  const all = namespace === undefined ? path : `${group}/${plural}`
  const has = ({ metadata }: ApiObject): boolean => (namespace ?? metadata.namespace) === metadata.namespace && (name ?? metadata.name) === metadata.name
  return { paths: [...new Set([all, path])], has }
}
