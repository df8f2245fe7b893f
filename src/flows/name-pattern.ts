// Names of objects in a filter: `web`, `web-*` (what begins so), `*`; with a namespace: `shop/web-*`.
//
// **Invariant:** a pattern holds nothing but what names of Kubernetes may hold, with one `*` at its end at most.

/** Whether a name is meant. */
export interface NamePattern {
  readonly text: string
  /** `text` is a beginning only. */
  readonly isPrefix: boolean
}

/** Of a namespaced object; no namespaces: in any, also in none. */
export interface ObjectPattern {
  readonly namespaces: readonly NamePattern[]
  readonly name: NamePattern
}

const LONGEST = 253
const NAME = /^(?:[a-z0-9][a-z0-9.-]*)?\*?$/

/** Null where it is no name. */
export function parseName(text: string): NamePattern | null {
  if (text === '' || text.length > LONGEST || !NAME.test(text)) return null
  return text.endsWith('*') ? { text: text.slice(0, -1), isPrefix: true } : { text, isPrefix: false }
}

/** `NAMESPACE/NAME` or `NAME`, which is of one of `namespaces`, where there are any. Null where it is neither. */
export function parseObject(text: string, namespaces: readonly NamePattern[]): ObjectPattern | null {
  const [first = '', second, ...more] = text.split('/')
  const name = parseName(second ?? first)
  const namespace = second === undefined ? null : parseName(first)
  if (name === null || more.length > 0 || (second !== undefined && namespace === null)) return null
  return { namespaces: namespace === null ? namespaces : [namespace], name }
}

export function isNamed({ text, isPrefix }: NamePattern, name: string | null): boolean {
  return name !== null && (isPrefix ? name.startsWith(text) : name === text)
}

export function isMeant({ namespaces, name }: ObjectPattern, namespace: string | null, its: string | null): boolean {
  return isNamed(name, its) && (namespaces.length === 0 || namespaces.some((one) => isNamed(one, namespace)))
}
