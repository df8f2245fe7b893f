// Where selectors look: one namespace by name, or the namespaces whose labels match, kept up to date as they are relabelled.
//
// A scope is shared by all selectors with the same namespaces part and is itself found by labels, as selectors are.
// **Invariant:** a namespace without a Namespace row is in no scope by label, not even in that of `{}`.
import type { Changes } from '../model/changes.ts'
import { selectorMatches, type LabelSelector } from '../model/labels.ts'
import type { Namespace, Uid } from '../model/objects.ts'
import type { NamespaceScope } from '../model/selector.ts'
import { Anchors } from './anchors.ts'
import { LabeledRows } from './labeled-rows.ts'

export interface Scope<Item> {
  /** Null for the scope of one namespace by name. */
  readonly selector: LabelSelector | null
  /** Names of the namespaces that are in it now. */
  readonly names: ReadonlySet<string>
  readonly items: Anchors<Item>
}

/** A namespace came into a scope, or left it. */
export interface ScopeMove<Item> {
  readonly scope: Scope<Item>
  readonly name: string
  readonly entered: boolean
}

interface LiveScope<Item> extends Scope<Item> {
  readonly names: Set<string>
}

/**
 * Which row speaks for a name while there are two: the old namespace's deletion may be seen after its successor (rule
 * 100). The one created later; of two with the same time the greater UID. A function of the rows only, never of the order of events.
 */
export function namespaceInForce(rows: Iterable<Namespace>): Namespace | null {
  let best: Namespace | null = null
  for (const row of rows) {
    if (best === null || row.createdAt > best.createdAt || (row.createdAt === best.createdAt && row.uid > best.uid)) best = row
  }
  return best
}

export class NamespaceScopes<Item> {
  /** name -> all rows of that name. */
  readonly #rows = new Map<string, Map<Uid, Namespace>>()
  readonly #inForce = new LabeledRows<Namespace>()
  readonly #byName = new Map<string, LiveScope<Item>>()
  readonly #byLabels = new Map<string, LiveScope<Item>>()
  readonly #anchors = new Anchors<LiveScope<Item>>()
  /** name -> the scopes by label that it is in. */
  readonly #scopesOf = new Map<string, Set<LiveScope<Item>>>()
  readonly #visited: () => void

  /** `visited` is called once for every namespace and every scope that is looked at. */
  constructor(visited: () => void) {
    this.#visited = visited
  }

  /** The scope, made where it is new; it lives until `drop`. */
  open(where: NamespaceScope): Scope<Item> {
    if (where.kind === 'named') {
      const named = this.#byName.get(where.name) ?? { selector: null, names: new Set([where.name]), items: new Anchors<Item>() }
      this.#byName.set(where.name, named)
      return named
    }
    const known = this.#byLabels.get(where.selector.text)
    if (known !== undefined) return known
    const scope: LiveScope<Item> = { selector: where.selector, names: new Set(), items: new Anchors<Item>() }
    this.#byLabels.set(where.selector.text, scope)
    this.#anchors.add(scope, where.selector)
    for (const [name] of this.#inForce.matching(where.selector, this.#visited)) this.#enter(scope, name)
    return scope
  }

  /** Forgets a scope; nobody may use it any more. */
  drop(where: NamespaceScope): void {
    if (where.kind === 'named') {
      this.#byName.delete(where.name)
      return
    }
    const scope = this.#byLabels.get(where.selector.text)
    if (scope === undefined) return
    for (const name of scope.names) this.#leave(scope, name)
    this.#anchors.remove(scope)
    this.#byLabels.delete(where.selector.text)
  }

  /** The scopes that the pods of namespace `name` are in. */
  *scopesOf(name: string): Iterable<Scope<Item>> {
    const named = this.#byName.get(name)
    if (named !== undefined) yield named
    yield* this.#scopesOf.get(name) ?? []
  }

  /** Takes the rows over and returns what this moves. */
  update(changes: Changes<Uid, Namespace>): readonly ScopeMove<Item>[] {
    const names = new Set<string>()
    for (const [uid, { before, after }] of changes) {
      if (before !== null) this.#forget(uid, before.name, names)
      if (after !== null) this.#learn(uid, after, names)
    }
    return [...names].flatMap((name) => this.#settle(name))
  }

  #forget(uid: Uid, name: string, names: Set<string>): void {
    const rows = this.#rows.get(name)
    rows?.delete(uid)
    if (rows?.size === 0) this.#rows.delete(name)
    names.add(name)
  }

  #learn(uid: Uid, row: Namespace, names: Set<string>): void {
    const rows = this.#rows.get(row.name)
    if (rows === undefined) this.#rows.set(row.name, new Map([[uid, row]]))
    else rows.set(uid, row)
    names.add(row.name)
  }

  /** Brings the scopes of one name in line with the row that is now in force. */
  #settle(name: string): readonly ScopeMove<Item>[] {
    this.#visited()
    const row = namespaceInForce(this.#rows.get(name)?.values() ?? [])
    if (row === null) this.#inForce.delete(name)
    else this.#inForce.set(name, row)
    const moves: ScopeMove<Item>[] = []
    for (const scope of this.#scopesOf.get(name) ?? []) {
      this.#visited()
      if (row !== null && selectorMatches(scope.selector as LabelSelector, row.labels)) continue
      this.#leave(scope, name)
      moves.push({ scope, name, entered: false })
    }
    for (const scope of row === null ? [] : this.#anchors.candidates(row.labels)) {
      this.#visited()
      if (scope.names.has(name) || !selectorMatches(scope.selector as LabelSelector, (row as Namespace).labels)) continue
      this.#enter(scope, name)
      moves.push({ scope, name, entered: true })
    }
    return moves
  }

  #enter(scope: LiveScope<Item>, name: string): void {
    scope.names.add(name)
    const scopes = this.#scopesOf.get(name)
    if (scopes === undefined) this.#scopesOf.set(name, new Set([scope]))
    else scopes.add(scope)
  }

  #leave(scope: LiveScope<Item>, name: string): void {
    scope.names.delete(name)
    const scopes = this.#scopesOf.get(name)
    scopes?.delete(scope)
    if (scopes?.size === 0) this.#scopesOf.delete(name)
  }
}
