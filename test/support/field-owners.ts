// Who owns which field, as server-side apply keeps it: an object and what one manager applies -> the object after, or who stands against it.
//
// Simplified: lists are one field each, but for `conditions`, which go by type. Owners are kept in an annotation-like field of their own.
// **Invariant:** a field goes only when its last owner no longer applies it; a field of another owner changes only by force.

export type Json = { readonly [name: string]: unknown }

interface Applied {
  readonly object: Json
  /** `status.summary (of agent)` */
  readonly conflicts: readonly string[]
}

type Owners = Readonly<Record<string, readonly string[]>>

const OWNERS = 'testOwners'

export function applied(before: Json, fields: Json, manager: string, force: boolean): Applied {
  const owners = ownersOf(before)
  const wanted = leavesOf(fields)
  const held = leavesOf(before)
  const changed = [...wanted].filter(([path, value]) => JSON.stringify(held.get(path)) !== JSON.stringify(value)).map(([path]) => path)
  const others = (path: string): readonly string[] => Object.keys(owners).filter((owner) => owner !== manager && owners[owner]?.includes(path))
  const conflicts = changed.flatMap((path) => others(path).map((owner) => `${path} (of ${owner})`))
  if (conflicts.length > 0 && !force) return { object: before, conflicts }
  for (const path of owners[manager] ?? []) if (!wanted.has(path) && others(path).length === 0) held.delete(path)
  for (const [path, value] of wanted) held.set(path, value)
  const rest = Object.entries(owners).filter(([owner]) => owner !== manager)
  const kept = rest.map(([owner, paths]) => [owner, paths.filter((path) => !changed.includes(path))] as const)
  const after = { ...(objectOf(held) as Json), [OWNERS]: Object.fromEntries([...kept, [manager, [...wanted.keys()].toSorted()]].toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1))) }
  return { object: after, conflicts: [] }
}

/** The owners alone, for an object of which only a part was written. */
export function withFields(object: Json): Json {
  return object[OWNERS] === undefined ? {} : { [OWNERS]: object[OWNERS] }
}

function ownersOf(object: Json): Owners {
  return (object[OWNERS] ?? {}) as Owners
}

/** `["status","conditions",{"type":"Ready"},"reason"]` -> its value; an empty mapping is a field, too. */
function leavesOf(object: Json, at: readonly unknown[] = []): Map<string, unknown> {
  const leaves = new Map<string, unknown>()
  for (const [name, value] of Object.entries(object)) {
    if (value === undefined || (at.length === 0 && name === OWNERS)) continue
    const path = [...at, name]
    if (name === 'conditions' && Array.isArray(value)) {
      for (const one of value as Json[]) for (const [key, leaf] of leavesOf(one, [...path, { type: one['type'] }])) leaves.set(key, leaf)
    } else if (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0) {
      for (const [key, leaf] of leavesOf(value as Json, path)) leaves.set(key, leaf)
    } else leaves.set(JSON.stringify(path), value)
  }
  return leaves
}

function objectOf(leaves: ReadonlyMap<string, unknown>): unknown {
  const root: Record<string, unknown> = {}
  for (const [key, value] of leaves) {
    const path = JSON.parse(key) as readonly (string | { readonly type: string })[]
    let at: Record<string, unknown> | Json[] = root
    path.forEach((step, i) => {
      const last = i === path.length - 1
      if (typeof step === 'object') {
        const list = at as Json[]
        const found = list.find((one) => one['type'] === step.type) ?? { type: step.type }
        if (!list.includes(found)) list.push(found)
        at = found as Record<string, unknown>
      } else {
        const here = at as Record<string, unknown>
        if (last) here[step] = value
        else at = (here[step] ??= typeof path[i + 1] === 'object' ? [] : {}) as Record<string, unknown>
      }
    })
  }
  return root
}
