// A table as the block that nft lists, sorted by kind and name: for goldens and for people.
//
// In the shapes of render, so that nft loads it and the tracer reads it. **Invariant:** equal tables give equal text.
import { by } from '../../src/lib/sorting.ts'
import type { Table } from '../../src/nft/objects.ts'
import { chainClauses, setClauses } from '../../src/nft/render.ts'
import type { SetState, TableState } from '../../src/nft/state.ts'
import { leadsToCounters } from '../../src/nft/types.ts'
import { quotedComment } from '../../src/nft/validate.ts'

export function tableBlock(table: Table, state: TableState): string {
  const sorted = <T extends { name: string }>(objects: Iterable<T>): T[] => [...objects].sort(by((object) => object.name))
  const blocks = [
    ...sorted(state.counters.values()).map((c) => block(`counter ${c.name}`, c.comment === undefined ? [] : [`comment ${quotedComment(c.comment)}`])),
    ...[...state.sets.values()].sort(by((set) => set.object.name)).map(setBlock),
    ...sorted(state.chains.values()).map((chain) => block(`chain ${chain.name}`, [...chainClauses(chain).map((c) => (c.startsWith('comment') ? c : `${c};`)), ...chain.rules])),
  ]
  return `table ${table.family} ${table.name} {\n${blocks.map((text) => text.replace(/^(?=.)/gm, '\t')).join('\n')}\n}\n`
}

function setBlock({ object, elements }: SetState): string {
  const texts = [...elements.values()].sort(by((e) => e.key)).map((e) => (e.value === undefined ? e.key : leadsToCounters(object) ? `${e.key} : "${e.value}"` : `${e.key} : ${e.value}`))
  return block(`${object.kind} ${object.name}`, [...setClauses(object), ...(texts.length === 0 ? [] : [`elements = { ${texts.join(', ')} }`])])
}

function block(head: string, lines: readonly string[]): string {
  return lines.length === 0 ? `${head} { }` : `${head} {\n${lines.map((line) => `\t${line}`).join('\n')}\n}`
}

/** A listing without what packets write: counts, and elements that expire. */
export function withoutTraces(listing: string): string {
  return listing.replaceAll(/packets \d+ bytes \d+|\s+elements = \{[^}]* expires [^}]*\}/g, '')
}

/** What a listed table holds and nothing in it names: chains without a hook, sets, maps, counters; `set pods/X/v4`. */
export function unnamed(listing: string): readonly string[] {
  const text = listing.replaceAll(/comment "[^"]*"/g, '')
  const names = new Set([...text.matchAll(/(?:@|\bjump |\bgoto |\bcounter name | : ")"?([\w/.-]+)/g)].map(([, name]) => name))
  const objects = [...text.matchAll(/^\t(chain|set|map|counter) (\S+) \{(\n\t\ttype \S+ hook )?/gm)]
  return objects.flatMap(([, kind, name, hook]) => (hook !== undefined || names.has(name) ? [] : [`${kind} ${name}`])).sort()
}
