// The operations of a switch -> those of the next transaction, so that no packet meets old rules with new elements.
//
// **Invariant:** asked again after each is applied, it lets everything through in the end; nothing is added or changed.
import type { Chain, Operation } from './objects.ts'
import { isListed, type TableState } from './state.ts'

/**
 * A packet that is among a chain's old rules when a transaction comes goes on in them, but meets the sets' new elements (Linux
 * 6.18: of 40,000 packets a second some were lost in every tenth edit). So where rules change, what those may need comes
 * before them, and what the old ones need goes after them, in transactions of their own. What comes and goes in one set
 * stays together: intervals may overlap, a key has one value, and a lookup sees either.
 */
export function inTurn(applied: TableState, wanted: TableState, switched: readonly Operation[]): readonly Operation[] {
  const rewritten = switched.flatMap((operation) => (operation.verb === 'rewrite' ? [operation.object] : []))
  if (rewritten.length === 0) return switched
  const named = (of: Named) => (change: ElementChange): boolean => of.all || of.names.has(change.set.name)
  const changes = switched.filter((operation): operation is ElementChange => operation.verb === 'add-elements' || operation.verb === 'delete-elements')
  const apart = (verb: ElementChange['verb'], of: Named): ReadonlyMap<Operation, ElementChange> =>
    new Map(changes.filter((one) => one.verb === verb).filter(named(of)).flatMap((one) => {
      const part = ownPart(one, changes.filter((other) => other !== one && other.set.name === one.set.name), wanted)
      return part === null ? [] : [[one, part] as const]
    }))
  const come = apart('add-elements', namedBy(rewritten.filter((chain) => chain.base === undefined)))
  if (come.size > 0) return [...come.values()]
  const gone = apart('delete-elements', namedBy(rewritten.flatMap(({ name }) => applied.chains.get(name) ?? [])))
  return switched.flatMap((operation) => {
    const later = gone.get(operation)
    return later === undefined ? [operation] : without(operation as ElementChange, later)
  })
}

type ElementChange = Extract<Operation, { verb: 'add-elements' | 'delete-elements' }>

/** What of a change may be done at another time than the others of its set; null where nothing may. */
function ownPart(change: ElementChange, others: readonly ElementChange[], wanted: TableState): ElementChange | null {
  if (others.length === 0) return change
  if (wanted.sets.get(change.set.name)?.object.flags.includes('interval') !== false) return null
  const keys = new Set(others.flatMap((other) => other.elements.map(({ key }) => key)))
  const elements = change.elements.filter(({ key }) => !keys.has(key))
  return elements.length === 0 ? null : { ...change, elements }
}

function without(change: ElementChange, part: ElementChange): readonly Operation[] {
  const left = new Set(part.elements)
  const elements = change.elements.filter((element) => !left.has(element))
  return elements.length === 0 ? [] : [{ ...change, elements }]
}

interface Named {
  readonly names: ReadonlySet<string>
  /** Rules that were read back are not known: they may name anything. */
  readonly all: boolean
}

function namedBy(chains: readonly Chain[]): Named {
  const names = new Set(chains.flatMap((chain) => chain.rules.flatMap(namesIn)))
  return { names, all: chains.some((chain) => isListed(chain.rules)) }
}

/** The sets and maps that a rule names. */
export function namesIn(rule: string): string[] {
  return [...rule.matchAll(/@([A-Za-z0-9/_.-]+)/g)].map(([, name]) => name as string)
}
