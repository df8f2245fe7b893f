// The text of a table -> a text in which order of elements, sets and chains does not show: what two tables are compared by.
//
// **Invariant:** the order of rules inside a chain stays, since it means something.
import { byText } from '../../src/lib/sorting.ts'
import { parseTable, type TracedSet } from './tracer-table.ts'
import type { Value } from './tracer-fields.ts'
import type { Verdict } from './tracer-rule.ts'

export function canonical(text: string): string {
  const table = parseTable(text)
  const lines: string[] = []
  for (const name of [...table.counters].sort(byText)) lines.push(`counter ${name}`)
  for (const set of [...table.sets.values()].sort((a, b) => byText(a.name, b.name))) {
    lines.push(`${set.isMap ? 'map' : 'set'} ${set.name}: ${set.types?.join(' . ') ?? '?'}${set.interval ? ' interval' : ''}`)
    lines.push(...elements(set).map((element) => `  ${element}`))
  }
  for (const chain of [...table.chains.values()].sort((a, b) => byText(a.name, b.name))) {
    lines.push(`chain ${chain.name}${chain.base === null ? '' : `: ${chain.base.hook} ${chain.base.priority}`}`)
    lines.push(...chain.rules.map((rule) => `  ${rule.map((token) => token.text).join(' ')}`))
  }
  return `${lines.join('\n')}\n`
}

function elements(set: TracedSet): readonly string[] {
  const exact = [...set.exact].map(([key, verdict]) => key + verdictText(verdict))
  const ranges = set.ranges.map(({ key, verdict }) => key.map(valueText).join('|') + verdictText(verdict))
  return [...exact, ...ranges].sort(byText)
}

function valueText(value: Value): string {
  return 'text' in value ? `${value.text}${value.begins ? '*' : ''}` : `${value.first}-${value.last}`
}

function verdictText(verdict: Verdict | null): string {
  return verdict === null ? '' : ` : ${verdict.kind}${'chain' in verdict ? ` ${verdict.chain}` : ''}`
}
