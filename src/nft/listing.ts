// What `nft -j list table` says -> table state, counters' values, and how the rules look, for read-back.
//
// The listing is complete for sets, maps and elements (nft 1.0.6 on); of rules only a fingerprint is kept, which tells
// whether somebody changed them since it was last taken. Listed with numbers instead of names (nft -n).
// **Invariant:** elements come out in the form of objects.ts, or the set counts as one of another type: never half of it.
import { PicketError } from '../lib/errors.ts'
import { elementsOf } from './listing-elements.ts'
import { expressionText } from './listing-keys.ts'
import type { Chain, NftMap, NftSet, Table } from './objects.ts'
import { emptyTable, LISTED_RULES, type SetState, type TableState } from './state.ts'

export class UnreadableListing extends PicketError {
  constructor(problem: string) {
    super('UnreadableListing', `the table cannot be read: ${problem}`)
    this.name = 'UnreadableListing'
  }
}

export interface CounterValue {
  readonly packets: number
  readonly bytes: number
}

export interface Listing {
  /** The rules of every chain are LISTED_RULES. */
  readonly state: TableState
  readonly counters: ReadonlyMap<string, CounterValue>
  /** Chain -> its rules as listed, without what packets change. Equal text: nobody changed a rule in between. */
  readonly rules: ReadonlyMap<string, string>
}

type Json = Readonly<Record<string, unknown>>

/** Of the objects in `text` those of `table`. Throws UnreadableListing. Kinds of objects that we never make are passed over. */
export function parseListing(text: string, table: Table): Listing {
  const state = emptyTable()
  const counters = new Map<string, CounterValue>()
  const rules = new Map<string, string>()
  for (const [kind, object] of objectsOf(text)) {
    if (object['family'] !== table.family || object['table'] !== table.name) continue
    switch (kind) {
      case 'counter': {
        const name = textField(object, 'name', kind)
        state.counters.set(name, { kind, name, ...commentOf(object) })
        counters.set(name, { packets: Number(object['packets'] ?? 0), bytes: Number(object['bytes'] ?? 0) })
        break
      }
      case 'set':
      case 'map': {
        const set = setOf(kind, object)
        state.sets.set(set.object.name, set)
        break
      }
      case 'chain': {
        const chain = chainOf(object)
        state.chains.set(chain.name, chain)
        if (!rules.has(chain.name)) rules.set(chain.name, '')
        break
      }
      case 'rule': {
        const chain = textField(object, 'chain', kind)
        rules.set(chain, `${rules.get(chain) ?? ''}${fingerprint(object)}\n`)
        break
      }
    }
  }
  return { state, counters, rules }
}

/** `[kind, object]` of each entry. */
export function objectsOf(text: string): [string, Json][] {
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch {
    throw new UnreadableListing(`expected JSON, got ${JSON.stringify(text.slice(0, 80))}`)
  }
  const entries = (root as { nftables?: unknown } | null)?.nftables
  if (!Array.isArray(entries)) throw new UnreadableListing('expected an array `nftables`')
  return entries.flatMap((entry: unknown) => Object.entries(entry as Record<string, Json>))
}

function chainOf(object: Json): Chain {
  const name = textField(object, 'name', 'chain')
  const rest = { ...commentOf(object), rules: LISTED_RULES }
  if (object['hook'] === undefined) return { kind: 'chain', name, ...rest }
  const type = object['type']
  if (type !== 'filter' && type !== 'nat' && type !== 'route') throw new UnreadableListing(`chain ${name} is of type ${JSON.stringify(type)}`)
  const priority = String(object['prio'])
  const policy = object['policy'] === 'drop' ? 'drop' : 'accept'
  return { kind: 'chain', name, base: { type, hook: textField(object, 'hook', 'chain'), priority, policy }, ...rest }
}

function declaration(kind: 'set' | 'map', object: Json): NftSet | NftMap {
  const name = textField(object, 'name', kind)
  const listed = [object['flags'] ?? []].flat()
  const flags = (['interval', 'dynamic', 'timeout'] as const).filter((flag) => listed.includes(flag))
  const numbers = { ...numberField(object, 'timeout'), ...numberField(object, 'size') }
  const rest = { name, key: expressions(`${kind} ${name}`, object['type']), flags, ...numbers, ...commentOf(object) }
  return kind === 'set' ? { kind, ...rest } : { kind, ...rest, data: expressions(`${kind} ${name}`, object['map']) }
}

function expressions(where: string, listed: unknown): readonly string[] {
  const found = expressionText(listed)
  if (found === null) throw new UnreadableListing(`${where} has a type that this version does not know: ${JSON.stringify(listed)}`)
  return found
}

/**
 * A set that cannot be read (an element or a type that we never write) counts as one of a type of its own: where it is
 * ours it is made again, where it is not it goes, and the rest of the table stays.
 */
function setOf(kind: 'set' | 'map', object: Json): SetState {
  const name = textField(object, 'name', kind)
  try {
    const declared = declaration(kind, object)
    const elements = object['elem']
    return { object: declared, elements: elementsOf(declared, Array.isArray(elements) ? elements : []) }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const rest = { name, key: ['unreadable'], flags: [] }
    // As if it named chains: whatever it names has to wait until it is gone.
    if (kind === 'map') return { object: { kind, ...rest, data: ['verdict'] }, elements: new Map([['unreadable', { key: 'unreadable', value: 'drop' }]]) }
    return { object: { kind, ...rest }, elements: new Map() }
  }
}

/** Without the handle, which a rewrite changes, and without what anonymous counters counted. */
function fingerprint(rule: Json): string {
  return JSON.stringify([rule['expr'], rule['comment']], (key, value: unknown) => (key === 'packets' || key === 'bytes' ? 0 : value))
}

function textField(object: Json, field: string, kind: string): string {
  const value = object[field]
  if (typeof value !== 'string') throw new UnreadableListing(`a ${kind} without ${field}`)
  return value
}

function numberField(object: Json, field: 'timeout' | 'size'): { timeout?: number; size?: number } {
  const value = object[field]
  return typeof value === 'number' ? { [field]: value } : {}
}

function commentOf(object: Json): { comment?: string } {
  return typeof object['comment'] === 'string' ? { comment: object['comment'] } : {}
}
