// A small parser of Prometheus' text format, by its specification: strict, so that what it takes every scraper takes.
//
// **Invariant:** a line that is not of the format, a series without TYPE and HELP, one that is said twice, and a histogram that
// is not cumulative are errors.
import assert from 'node:assert/strict'

export interface Series {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Exposition {
  readonly types: ReadonlyMap<string, string>
  readonly help: ReadonlyMap<string, string>
  readonly series: readonly Series[]
  /** Of exactly those labels; undefined where there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const META = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`)
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`)
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped']

export function parseExposition(text: string): Exposition {
  assert.ok(text.endsWith('\n'), 'the last line ends')
  const types = new Map<string, string>()
  const help = new Map<string, string>()
  const found = new Map<string, Series>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const meta = META.exec(line)
    if (meta !== null) {
      const [, which, name = '', rest = ''] = meta
      const map = which === 'HELP' ? help : types
      assert.ok(!map.has(name), `${which} of ${name} is said twice`)
      if (which === 'TYPE') assert.ok(TYPES.includes(rest), line)
      map.set(name, rest)
      continue
    }
    const series = parseSample(line)
    const base = baseOf(series.name, types)
    assert.ok(types.has(base) && help.has(base), `${series.name} has no TYPE and HELP before it`)
    const key = keyOf(series.name, series.labels)
    assert.ok(!found.has(key), `said twice: ${line}`)
    found.set(key, series)
  }
  const series = [...found.values()]
  for (const [name, type] of types) if (type === 'histogram') checkHistogram(name, series)
  return { types, help, series, value: (name, labels = {}) => found.get(keyOf(name, labels))?.value }
}

function parseSample(line: string): Series {
  const [, name = '', inside = '', number = ''] = SAMPLE.exec(line) ?? assert.fail(`no sample: ${line}`)
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < inside.length) {
    const [, label = '', value = ''] = LABEL.exec(inside) ?? assert.fail(`labels that cannot be read: ${line}`)
    assert.ok(!(label in labels), line)
    labels[label] = value.replaceAll(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter))
  }
  const value = number === '+Inf' ? Infinity : number === 'Nan' || number === 'NaN' ? NaN : Number(number)
  assert.ok(number === 'NaN' || number === 'Nan' || !Number.isNaN(value), `no number: ${line}`)
  return { name, labels, value }
}

function baseOf(name: string, types: ReadonlyMap<string, string>): string {
  const base = name.replace(/_(bucket|sum|count)$/, '')
  return types.get(base) === 'histogram' || types.get(base) === 'summary' ? base : name
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  return JSON.stringify([name, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))])
}

function checkHistogram(name: string, all: readonly Series[]): void {
  const rows = new Map<string, number[]>()
  for (const { name: one, labels, value } of all) {
    if (one !== `${name}_bucket`) continue
    const { le = '', ...rest } = labels
    assert.ok(le === '+Inf' || Number.isFinite(Number(le)), `${name}: le ${le}`)
    const key = keyOf(name, rest)
    rows.set(key, [...(rows.get(key) ?? []), value])
  }
  for (const [key, values] of rows) {
    assert.ok(values.every((value, i) => i === 0 || value >= (values[i - 1] as number)), `${key} is not cumulative`)
    const count = all.find((one) => one.name === `${name}_count` && keyOf(name, one.labels) === key)
    assert.equal(count?.value, values.at(-1), key)
  }
}
