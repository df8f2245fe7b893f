// `namespace/name`: how what is in a namespace is told apart, where it is not by its UID.
//
// **Invariant:** neither part holds a slash (the API allows none), so that each key is of one name only.

export interface NamespacedName {
  readonly namespace: string
  readonly name: string
}

export function keyOf({ namespace, name }: NamespacedName): string {
  return `${namespace}/${name}`
}

export function nameIn(key: string): NamespacedName {
  const at = key.indexOf('/')
  return { namespace: key.slice(0, at), name: key.slice(at + 1) }
}
