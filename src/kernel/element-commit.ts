// A transaction that changes only elements, and counters -> one netlink batch, and what has to be so before it is sent.
//
// The kernel judges a batch as it judges what nft sends, but for intervals of a single part: there it takes what nft, which
// looks into the set first, would not: 1-6 where 5-6 is, or the beginning of one interval and the end of another deleted as
// one. So whoever sends it first asks what covers the end of each interval that comes or goes.
// **Invariant:** what the kernel takes of this, nft would have taken, with the same outcome; where that is not certain the
// answer here is null.
import { coverRequest, ElementBatch, type SetElement, type SetPlace, type UnnumberedBatch } from '../netlink/element-batch.ts'
import { elementBytes, type ElementBytes } from '../nft/element-bytes.ts'
import type { NftMap, NftSet, Operation, Transaction } from '../nft/objects.ts'
import { checkName } from '../nft/validate.ts'

/** What has to cover a key before the batch is sent. */
export interface Cover {
  /** coverRequest() */
  readonly request: Uint8Array
  /** First keys of the intervals one of which it may be. */
  readonly starts: readonly Uint8Array[]
  /** Whether it may be covered by none. */
  readonly mayBeFree: boolean
}

export interface ElementCommit {
  /** Numbered from 0 on, the last of its changes `count`. */
  readonly batch: Uint8Array<ArrayBuffer>
  readonly count: number
  readonly covers: readonly Cover[]
}

type ElementsOperation = Extract<Operation, { set: unknown }>

interface Change {
  readonly verb: ElementsOperation['verb']
  readonly set: NftSet | NftMap
  readonly elements: readonly ElementBytes[]
}

/** Each takes 2 us, in which this thread does nothing else; behind so many text is no slower. */
const MOST_ELEMENTS = 10_000
/** Questions take 10 us each. */
const MOST_COVERS = 200

type CounterOperation = Extract<Operation, { verb: 'add' | 'delete' }>

function isOfCounter(operation: Operation): operation is CounterOperation {
  return (operation.verb === 'add' || operation.verb === 'delete') && operation.object.kind === 'counter'
}

/** Null where it has to go as text. Throws InvalidObject. */
export function elementCommit({ table, createsTable, operations }: Transaction): ElementCommit | null {
  if (createsTable) return null
  const changes: Change[] = []
  let left = MOST_ELEMENTS
  const counters = { come: [] as string[], gone: [] as string[] }
  for (const operation of operations) {
    if (isOfCounter(operation)) {
      // Comments are nft's to write.
      if (operation.verb === 'add' && 'comment' in operation.object) return null
      checkName('counter', operation.object.name)
      left -= 1
      counters[operation.verb === 'add' ? 'come' : 'gone'].push(operation.object.name)
      continue
    }
    if (!('set' in operation)) return null
    const { verb, set } = operation
    left -= operation.elements.length
    if (left < 0) return null
    checkName(set.kind, set.name)
    const elements = elementBytes(set, operation.elements, verb !== 'delete-elements')
    if (elements === null) return null
    changes.push({ verb, set, elements: isPlainInterval(set) ? sorted(elements) : elements })
  }
  const place: SetPlace = { family: table.family, table: table.name }
  const covers = coversOf(place, changes.filter(({ set }) => isPlainInterval(set)))
  if (covers === null) return null
  const batch = batchOf(place, changes, counters)
  return batch.count === 0 ? null : { batch: batch.bytes, count: batch.count, covers }
}

/** Kept in a tree of first keys and of keys behind the last; those of several parts have both ends in one element. */
function isPlainInterval({ flags, key }: NftSet | NftMap): boolean {
  return flags.includes('interval') && key.length === 1
}

/** The order of render.ts. */
function batchOf(place: SetPlace, changes: readonly Change[], counters: { readonly come: readonly string[]; readonly gone: readonly string[] }): UnnumberedBatch {
  const batch = new ElementBatch(place)
  const of = (verb: Change['verb'], visit: (change: Change) => void): void => {
    for (const change of changes) if (change.verb === verb) visit(change)
  }
  of('refill-elements', ({ set }) => batch.flush(set.name))
  // Added first, so that each is there to be deleted.
  of('remove-elements', (change) => batch.add(change.set.name, written(change)))
  of('remove-elements', (change) => batch.delete(change.set.name, written(change)))
  of('delete-elements', (change) => batch.delete(change.set.name, written(change)))
  for (const name of counters.gone) batch.deleteCounter(name)
  for (const name of counters.come) batch.addCounter(name)
  of('refill-elements', (change) => batch.add(change.set.name, written(change)))
  of('add-elements', (change) => batch.add(change.set.name, written(change)))
  return batch.end()
}

function* written({ set, elements }: Change): Generator<SetElement, void> {
  const isPlain = isPlainInterval(set)
  for (const { key, last, value } of elements) {
    const data = value === null ? {} : value.kind === 'data' ? { data: value.bytes } : value.kind === 'counter' ? { counter: value.name } : { verdict: { word: value.verdict, chain: value.chain } }
    if (last === null) yield { key, ...data }
    else if (!isPlain) yield { key, keyEnd: last, ...data }
    else {
      yield { key }
      const end = next(last)
      if (end !== null) yield { key: end, isEnd: true }
    }
  }
}

/** The key behind it; null behind the last of all. */
function next(key: Uint8Array): Uint8Array | null {
  const bytes = key.slice()
  for (let i = bytes.length - 1; i >= 0; i--) {
    const value = ((bytes[i] as number) + 1) & 255
    bytes[i] = value
    if (value !== 0) return bytes
  }
  return null
}

function sorted(elements: readonly ElementBytes[]): readonly ElementBytes[] {
  return [...elements].sort((a, b) => Buffer.compare(a.key, b.key))
}

/** Null where the kernel's judgement of these changes of plain intervals would not be nft's. */
function coversOf(place: SetPlace, changes: readonly Change[]): readonly Cover[] | null {
  const bySet = Map.groupBy(changes, ({ set }) => set.name)
  const covers: Cover[] = []
  for (const [name, ofSet] of bySet) {
    const ofOne = coversOfSet(place, name, ofSet)
    if (ofOne === null) return null
    covers.push(...ofOne)
  }
  return covers.length > MOST_COVERS ? null : covers
}

function coversOfSet(place: SetPlace, name: string, changes: readonly Change[]): readonly Cover[] | null {
  // Maps of intervals, and those that time or packets empty, are none that are wanted.
  if (changes.some(({ verb, set }) => verb === 'remove-elements' || set.kind === 'map' || set.flags.length > 1)) return null
  const of = (verb: Change['verb']): readonly ElementBytes[] => changes.flatMap((change) => (change.verb === verb ? change.elements : []))
  const [deleted, refilled] = [of('delete-elements'), changes.some(({ verb }) => verb === 'refill-elements')]
  const added = sorted([...of('add-elements'), ...of('refill-elements')])
  // nft marks an interval that never ends, and the kernel does not see whether others begin in it.
  if (added.some(({ last }) => last === null || next(last) === null)) return null
  if (added.some(({ key }, i) => i > 0 && Buffer.compare((added[i - 1] as ElementBytes).last as Uint8Array, key) >= 0)) return null
  if (refilled) return deleted.length > 0 ? null : []
  const starts = deleted.map(({ key }) => key)
  const cover = ({ last }: ElementBytes, of: readonly Uint8Array[], mayBeFree: boolean): Cover => ({ request: coverRequest(place, name, last as Uint8Array), starts: of, mayBeFree })
  // That its end is there too, and so the end of this interval, the kernel looks after.
  return [...deleted.map((element) => cover(element, [element.key], false)), ...added.map((element) => cover(element, starts, true))]
}
