// One transaction on the fake kernel: a copy of the table that is changed step by step, refusing what the kernel refuses.
//
// The steps have render's order. Whatever is refused is thrown, and the copy is dropped: all or nothing.
// **Invariant:** every name that stands is there, and nothing that is named goes.
import type { Chain, Element, NftObject, Operation, TableFamily } from '../../src/nft/objects.ts'
import { emptyTable, type SetState, type TableState } from '../../src/nft/state.ts'
import { leadsToCounters, sameDeclaration, sameHook } from '../../src/nft/types.ts'
import { findOverlap } from './fake-kernel-overlap.ts'

type ElementsOperation = Extract<Operation, { set: unknown }>

export class Draft {
  readonly state: TableState
  readonly #family: TableFamily
  /** Sets whose elements were copied for this transaction. */
  readonly #own = new Set<string>()

  constructor(family: TableFamily, before: TableState | null) {
    this.#family = family
    this.state = before === null ? emptyTable() : { chains: new Map(before.chains), sets: new Map(before.sets), counters: new Map(before.counters) }
  }

  run(operations: readonly Operation[]): void {
    const rewrites = operations.flatMap((o) => (o.verb === 'rewrite' ? [o.object] : []))
    const added = operations.flatMap((o) => (o.verb === 'add' ? [o.object] : []))
    for (const chain of rewrites) this.#flush(chain.name)
    for (const o of operations) if (o.verb === 'refill-elements') this.#set(o.set.name).elements.clear()
    for (const o of operations) if (o.verb === 'remove-elements') for (const { key } of o.elements) this.#set(o.set.name).elements.delete(key)
    for (const o of operations) if (o.verb === 'delete-elements') this.#deleteElements(o)
    this.#delete(operations)
    for (const object of added) this.#add(object)
    const adds = operations.filter((o): o is ElementsOperation => o.verb === 'add-elements' || o.verb === 'refill-elements')
    for (const o of adds) if (!isVerdicts(o)) this.#addElements(o)
    for (const object of [...added, ...rewrites]) if (object.kind === 'chain' && object.rules.length > 0) this.#addRules(object)
    for (const o of adds) if (isVerdicts(o)) this.#addElements(o)
  }

  #flush(name: string): void {
    const chain = this.state.chains.get(name)
    if (chain === undefined) throw refusal('No such file or directory', `flush chain ${name}`)
    this.state.chains.set(name, { ...chain, rules: [] })
  }

  #set(name: string): SetState {
    const set = this.state.sets.get(name)
    if (set === undefined) throw refusal('No such file or directory', `set ${name}`)
    if (this.#own.has(name)) return set
    const copy = { object: set.object, elements: new Map(set.elements) }
    this.state.sets.set(name, copy)
    this.#own.add(name)
    return copy
  }

  #deleteElements({ set, elements }: ElementsOperation): void {
    const { elements: held } = this.#set(set.name)
    for (const { key } of elements) if (!held.delete(key)) throw refusal('No such file or directory', `delete element ${set.name} { ${key} }`)
  }

  #delete(operations: readonly Operation[]): void {
    const deletes = operations.flatMap((o) => (o.verb === 'delete' ? [o.object] : []))
    if (deletes.length === 0) return
    const named = this.#references()
    for (const kind of ['map', 'chain', 'set', 'counter'] as const) {
      for (const { name } of deletes.filter((object) => object.kind === kind)) {
        const objects: Map<string, unknown> = kind === 'chain' ? this.state.chains : kind === 'counter' ? this.state.counters : this.state.sets
        if (!objects.has(name)) throw refusal('No such file or directory', `delete ${kind} ${name}`)
        if ((named.get(`${kind === 'map' ? 'set' : kind} ${name}`) ?? 0) > 0) throw refusal('Device or resource busy', `delete ${kind} ${name}`)
        for (const reference of this.#namedBy(kind, name)) named.set(reference, (named.get(reference) ?? 0) - 1)
        objects.delete(name)
        this.#own.delete(name)
      }
    }
  }

  #references(): Map<string, number> {
    const named = new Map<string, number>()
    const count = (reference: string): void => void named.set(reference, (named.get(reference) ?? 0) + 1)
    for (const name of this.state.chains.keys()) for (const reference of this.#namedBy('chain', name)) count(reference)
    for (const name of this.state.sets.keys()) for (const reference of this.#namedBy('map', name)) count(reference)
    return named
  }

  /** What an object itself names: it lets go of that when it is deleted. */
  #namedBy(kind: 'chain' | 'set' | 'map' | 'counter', name: string): string[] {
    if (kind === 'chain') return (this.state.chains.get(name)?.rules ?? []).flatMap(referencesOf)
    if (kind === 'counter') return []
    return [...(this.state.sets.get(name)?.elements.values() ?? [])].flatMap((element) => this.#ledTo(name, element))
  }

  #ledTo(map: string, { value = '' }: Element): string[] {
    const object = this.state.sets.get(map)?.object
    return object !== undefined && leadsToCounters(object) ? [`counter ${value}`] : referencesOf(value)
  }

  #add(object: NftObject): void {
    if (object.kind === 'counter') {
      if (!this.state.counters.has(object.name)) this.state.counters.set(object.name, object)
    } else if (object.kind === 'chain') {
      const before = this.state.chains.get(object.name)
      if (before !== undefined && !sameHook(this.#family, before, object)) throw refusal('Operation not supported', `add chain ${object.name}`)
      this.state.chains.set(object.name, { ...object, rules: before?.rules ?? [] })
    } else {
      const before = this.state.sets.get(object.name)
      if (before !== undefined && !sameDeclaration(before.object, object)) throw refusal('File exists', `add ${object.kind} ${object.name}`)
      if (before === undefined) this.state.sets.set(object.name, { object, elements: new Map() })
    }
  }

  #addElements({ set: { name }, elements }: ElementsOperation): void {
    const set = this.#set(name)
    for (const element of elements) {
      const before = set.elements.get(element.key)
      if (before !== undefined && before.value !== element.value) throw refusal('File exists', `add element ${name} { ${textOf(element)} }`)
      if (element.key.split(' . ').length !== set.object.key.length) throw refusal('wrong number of parts', `add element ${name} { ${textOf(element)} }`)
      for (const reference of this.#ledTo(name, element)) this.#need(reference, `add element ${name} { ${textOf(element)} }`)
      set.elements.set(element.key, element)
    }
    if (!set.object.flags.includes('interval')) return
    const overlap = findOverlap(set.elements.keys())
    if (overlap !== null) throw refusal('interval overlaps with an existing one', `add element ${name} { ${overlap} }`)
  }

  #addRules(chain: Chain): void {
    const before = this.state.chains.get(chain.name)
    if (before === undefined) throw refusal('No such file or directory', `chain ${chain.name}`)
    for (const rule of chain.rules) for (const reference of referencesOf(rule)) this.#need(reference, `add rule ${chain.name} ${rule}`)
    this.state.chains.set(chain.name, { ...before, rules: [...before.rules, ...chain.rules] })
  }

  #need(reference: string, command: string): void {
    const [kind, name] = reference.split(' ') as [string, string]
    const objects: ReadonlyMap<string, unknown> = kind === 'chain' ? this.state.chains : kind === 'counter' ? this.state.counters : this.state.sets
    if (!objects.has(name)) throw refusal('No such file or directory', command)
    if (kind === 'chain' && this.state.chains.get(name)?.base !== undefined) throw refusal('Operation not supported', command)
  }
}

/** What a rule or a verdict names, as `chain x`, `set x` (maps too) and `counter x`; text in quotes names only a counter. */
function referencesOf(text: string): string[] {
  const counters = [...text.matchAll(/\bcounter name "([^"]*)"/g)].map(([, name]) => `counter ${name}`)
  const bare = text.replace(/"[^"]*"/g, '""')
  const sets = [...bare.matchAll(/@([A-Za-z0-9/_.-]+)/g)].map(([, name]) => `set ${name}`)
  const chains = [...bare.matchAll(/\b(?:jump|goto) ([A-Za-z0-9/_.-]+)/g)].map(([, name]) => `chain ${name}`)
  return [...counters, ...sets, ...chains]
}

function isVerdicts(operation: ElementsOperation): boolean {
  return /^(accept|drop|continue|return|jump .*|goto .*)$/.test(operation.elements[0]?.value ?? '')
}

function textOf(element: Element): string {
  return element.value === undefined ? element.key : `${element.key} : ${element.value}`
}

function refusal(reason: string, command: string): Error {
  return new Error(`Could not process rule: ${reason}: ${command}`)
}
