// What the service maps of a table mean, read from their elements: which endpoints an address leads to, for whom.
//
// The maps' keys and marks -> a fate, as the rules of nat-prerouting and service-leftovers read them; knows no plan.
// **Invariant:** fails on a mark, an index or a chain that leads nowhere.
import assert from 'node:assert/strict'
import type { TableState } from '../../src/nft/state.ts'
import type { Fate, Question } from './service-oracle.ts'

/** Of serviceMarkMask 0xffffff00, as the reference has it. */
const AFFINITY = 0x80000000
const MASQUERADE = 0x40000000
const LISTS = 0x3fff0000
const SIZES = 0xff00
const CLIENTS = { pod: 0x10000, outside: 0x20000, node: 0x30000 }
const and = (a: number, b: number): number => Number(BigInt(a) & BigInt(b))

export function fateIn(state: TableState, { client, address, protocol, port }: Question): (Fate & { readonly stays: boolean; readonly list: number }) | null {
  const family = address.includes(':') ? 6 : 4
  const value = elements(state, `service-ids-v${family}`).get(`${CLIENTS[client]} . ${address} . ${protocol.toLowerCase()} . ${port}`)?.value
  if (value === undefined) return null
  const mark = Number(value)
  assert.ok(Number.isInteger(mark) && mark > 0 && mark <= 0xffffffff && and(mark, 0xff) === 0, `a mark: ${value}`)
  const size = and(mark, SIZES)
  const masquerade = and(mark, MASQUERADE) !== 0
  if (size === 0xff00) return { to: 'REJECT', masquerade, stays: false, list: 0 }
  if (size === 0xfe00) return { to: 'DROP', masquerade, stays: false, list: 0 }
  const list = and(mark, LISTS)
  return { to: endpoints(state, protocol, family, list, size), masquerade, stays: and(mark, AFFINITY) !== 0, list: list / 0x10000 }
}

/** Sorted, as `ADDRESS port`; the chain of that length asks for every index of it and no other. */
function endpoints(state: TableState, protocol: string, family: number, list: number, size: number): readonly string[] {
  const verdict = elements(state, 'endpoints-by-size').get(String(size))?.value
  const chain = state.chains.get((verdict ?? '').replace(/^goto /, ''))
  assert.ok(chain !== undefined, `a chain for the mark ${size}, not ${verdict}`)
  const count = Number(/numgen random mod (\d+) /.exec(chain.rules.join('\n'))?.[1])
  const found = Array.from({ length: count }, (_, index) => elements(state, `endpoints-${protocol.toLowerCase()}-v${family}`).get(`${list} . ${index}`)?.value ?? assert.fail(`list ${list} has no index ${index} of ${count}`))
  assert.equal(elements(state, `endpoints-${protocol.toLowerCase()}-v${family}`).has(`${list} . ${count}`), false, `list ${list} has more than ${count}`)
  assert.equal(new Set(found).size, count, `each endpoint of list ${list} once`)
  return found.map((value) => value.replace(' . ', ' ')).sort()
}

function elements(state: TableState, name: string): TableState['sets'] extends Map<string, infer Set> ? (Set extends { readonly elements: infer Elements } ? Elements : never) : never {
  return (state.sets.get(name) ?? assert.fail(`no set ${name}`)).elements as never
}
