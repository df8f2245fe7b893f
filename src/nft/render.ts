// Transaction -> the text that `nft -f` reads, in an order that the kernel accepts whatever order the operations have.
//
//   flush what is rewritten or refilled, delete elements, delete maps, chains, sets, counters       (what names goes before what is named)
//   add counters, sets, maps, chains; elements with data; rules; elements with verdicts (what is named before what names)
//
// **Invariant:** one line is one command, and no text of a user can begin another: everything passes validate.ts.
import type { Chain, Counter, Element, NftMap, NftSet, Operation, Transaction } from './objects.ts'
import { leadsToCounters, typeOf } from './types.ts'
import { checkChain, checkCounter, checkElements, checkName, checkSet, checkTable, quotedComment } from './validate.ts'

/** Elements per line: enough that a line's cost does not show, few enough that an error message stays readable. */
const CHUNK = 500

type ElementsOperation = Extract<Operation, { set: unknown }>
type DeleteOperation = Extract<Operation, { verb: 'delete' }>

/** Operations by what they do. */
interface Sorted {
  readonly rewrites: Chain[]
  readonly refilled: ElementsOperation[]
  readonly deletedElements: ElementsOperation[]
  readonly removed: ElementsOperation[]
  readonly deleted: DeleteOperation[]
  readonly counters: Counter[]
  readonly sets: (NftSet | NftMap)[]
  readonly chains: Chain[]
  readonly data: ElementsOperation[]
  readonly verdicts: ElementsOperation[]
}

/** The text of all operations, with a newline at the end. Throws InvalidObject where an object cannot be written safely. */
export function render(transaction: Transaction): string {
  const { table } = transaction
  checkTable(table)
  const at = `${table.family} ${table.name}`
  const sorted = sort(transaction.operations)
  const lines: string[] = []
  if (transaction.createsTable) lines.push(`add table ${at}${block(commentClause(table.comment))}`)

  for (const chain of sorted.rewrites) lines.push(`flush chain ${at} ${chain.name}`)
  for (const { set } of sorted.refilled) lines.push(`flush ${set.kind} ${at} ${set.name}`)
  // Added first, so that each is there to be deleted.
  for (const operation of sorted.removed) pushElements(lines, `add element ${at}`, operation)
  for (const operation of sorted.removed) pushElements(lines, `delete element ${at}`, operation)
  for (const operation of sorted.deletedElements) pushElements(lines, `delete element ${at}`, operation)
  for (const kind of ['map', 'chain', 'set', 'counter'] as const) {
    for (const { object } of sorted.deleted) if (object.kind === kind) lines.push(`delete ${kind} ${at} ${object.name}`)
  }

  for (const counter of sorted.counters) lines.push(`add counter ${at} ${counter.name}${block(commentClause(counter.comment))}`)
  for (const set of sorted.sets) lines.push(`add ${set.kind} ${at} ${set.name}${block(setClauses(set))}`)
  for (const chain of sorted.chains) lines.push(`add chain ${at} ${chain.name}${block(chainClauses(chain))}`)
  for (const operation of sorted.data) pushElements(lines, `add element ${at}`, operation)
  for (const chain of [...sorted.chains, ...sorted.rewrites]) for (const rule of chain.rules) lines.push(`add rule ${at} ${chain.name} ${rule}`)
  for (const operation of sorted.verdicts) pushElements(lines, `add element ${at}`, operation)
  lines.push('')
  return lines.join('\n')
}

function sort(operations: readonly Operation[]): Sorted {
  const sorted: Sorted = { rewrites: [], refilled: [], deletedElements: [], removed: [], deleted: [], counters: [], sets: [], chains: [], data: [], verdicts: [] }
  for (const operation of operations) {
    switch (operation.verb) {
      case 'add':
        sortAdded(operation.object, sorted)
        break
      case 'rewrite':
        checkChain(operation.object)
        sorted.rewrites.push(operation.object)
        break
      case 'delete':
        checkName(operation.object.kind, operation.object.name)
        sorted.deleted.push(operation)
        break
      case 'remove-elements':
        sorted.removed.push(operation)
        break
      case 'delete-elements':
        sorted.deletedElements.push(operation)
        break
      case 'refill-elements':
        sorted.refilled.push(operation)
        sorted.data.push(operation)
        break
      case 'add-elements':
        ;(namesChain(operation.elements) ? sorted.verdicts : sorted.data).push(operation)
        break
    }
  }
  return sorted
}

function sortAdded(object: Chain | NftSet | NftMap | Counter, sorted: Sorted): void {
  if (object.kind === 'chain') {
    checkChain(object)
    sorted.chains.push(object)
  } else if (object.kind === 'counter') {
    checkCounter(object)
    sorted.counters.push(object)
  } else {
    checkSet(object)
    sorted.sets.push(object)
  }
}

/** Verdicts stand in maps whose elements are all verdicts, so the first one tells. */
function namesChain(elements: readonly Element[]): boolean {
  return /^(accept|drop|continue|return|goto .*|jump .*)$/.test(elements[0]?.value ?? '')
}

function pushElements(lines: string[], command: string, operation: ElementsOperation): void {
  const { elements, set } = operation
  checkName(set.kind, set.name)
  const adds = operation.verb !== 'delete-elements'
  checkElements(set, elements, adds)
  const quote = leadsToCounters(set) ? '"' : ''
  const texts = adds && set.kind === 'map' ? elements.map((e) => `${e.key} : ${quote}${e.value}${quote}`) : elements.map((e) => e.key)
  for (let i = 0; i < texts.length; i += CHUNK) lines.push(`${command} ${set.name} { ${texts.slice(i, i + CHUNK).join(', ')} }`)
}

/** ` { a; b; }`, or nothing where there are no clauses. */
function block(clauses: readonly string[]): string {
  return clauses.length === 0 ? '' : ` { ${clauses.join('; ')}; }`
}

function commentClause(comment: string | undefined): string[] {
  return comment === undefined || comment === '' ? [] : [`comment ${quotedComment(comment)}`]
}

/** The clauses of a set or map in nft's own order. For goldens and fakes, which show tables in these shapes. */
export function setClauses(set: NftSet | NftMap): string[] {
  const data = set.kind === 'map' ? ` : ${set.data.join(' . ')}` : ''
  return [
    // nft 1.0.6 takes counters for data behind types only.
    leadsToCounters(set) ? `type ${set.key.map(typeOf).join(' . ')}${data}` : `typeof ${set.key.join(' . ')}${data}`,
    ...(set.flags.length > 0 ? [`flags ${set.flags.join(',')}`] : []),
    ...(set.timeout === undefined ? [] : [`timeout ${set.timeout}s`]),
    ...(set.size === undefined ? [] : [`size ${set.size}`]),
    ...commentClause(set.comment),
  ]
}

export function chainClauses(chain: Chain): string[] {
  const { base } = chain
  const hook = base === undefined ? [] : [`type ${base.type} hook ${base.hook} priority ${base.priority}`, `policy ${base.policy}`]
  return [...hook, ...commentClause(chain.comment)]
}
