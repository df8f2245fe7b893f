// Table state + acknowledged transaction -> what the kernel holds now, in place.
//
// **Invariant:** applied never shares a Map with wanted: each changes on its own.
import type { Operation, Transaction } from './objects.ts'
import type { TableState } from './state.ts'

/** Changes `applied` to what the kernel holds after it acknowledged `transaction`. Cost: what the transaction names. */
export function apply(applied: TableState, transaction: Pick<Transaction, 'operations'>): void {
  for (const operation of transaction.operations) applyOne(applied, operation)
}

function applyOne(applied: TableState, operation: Operation): void {
  switch (operation.verb) {
    case 'add':
      return addObject(applied, operation.object)
    case 'rewrite':
      applied.chains.set(operation.object.name, operation.object)
      return
    case 'delete':
      mapOf(applied, operation.object.kind).delete(operation.object.name)
      return
    case 'add-elements': {
      const elements = applied.sets.get(operation.set.name)?.elements
      for (const element of operation.elements) elements?.set(element.key, element)
      return
    }
    case 'refill-elements': {
      const elements = applied.sets.get(operation.set.name)?.elements
      elements?.clear()
      for (const element of operation.elements) elements?.set(element.key, element)
      return
    }
    case 'remove-elements':
    case 'delete-elements': {
      const elements = applied.sets.get(operation.set.name)?.elements
      for (const element of operation.elements) elements?.delete(element.key)
      return
    }
  }
}

function addObject(applied: TableState, object: Extract<Operation, { verb: 'add' }>['object']): void {
  if (object.kind === 'chain') applied.chains.set(object.name, object)
  else if (object.kind === 'counter') applied.counters.set(object.name, object)
  else if (!applied.sets.has(object.name)) applied.sets.set(object.name, { object, elements: new Map() })
}

function mapOf(applied: TableState, kind: 'chain' | 'set' | 'map' | 'counter'): Map<string, unknown> {
  return kind === 'chain' ? applied.chains : kind === 'counter' ? applied.counters : applied.sets
}
