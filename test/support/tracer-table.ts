// nft text -> a table: chains, sets with their elements, counters. Both ways of writing it: `add ...` commands, as they
// are sent, and the block that the kernel lists.
//
// **Invariant:** an object of a kind that is not known is an error; so are two elements of one set that overlap or of one
// map that contradict each other, which the kernel would refuse.
import { fieldNamed, holds, parseValue, type FieldType, type Value } from './tracer-fields.ts'
import { takeVerdict, type Verdict } from './tracer-rule.ts'
import { Cursor, LINE_END, TracerError, tokenise, type Token } from './tracer-tokens.ts'

export interface BaseHook {
  readonly type: string
  readonly hook: string
  readonly priority: number
  readonly policy: 'accept' | 'drop'
}

export interface TracedChain {
  readonly name: string
  base: BaseHook | null
  readonly rules: (readonly Token[])[]
}

export interface TracedSet {
  readonly name: string
  readonly isMap: boolean
  /** Null where the key has a part that the tracer cannot read: an error as soon as a rule asks. */
  types: readonly FieldType[] | null
  verdicts: boolean
  interval: boolean
  /** By key; of sets without intervals. */
  readonly exact: Map<string, Verdict | null>
  readonly ranges: { readonly key: readonly Value[]; readonly verdict: Verdict | null }[]
}

export interface TracedTable {
  readonly chains: Map<string, TracedChain>
  readonly sets: Map<string, TracedSet>
  readonly counters: Set<string>
}

const PRIORITY: Readonly<Record<string, number>> = { raw: -300, mangle: -150, dstnat: -100, filter: 0, security: 50, srcnat: 100 }

export function parseTable(text: string): TracedTable {
  const table: TracedTable = { chains: new Map(), sets: new Map(), counters: new Set() }
  const cursor = new Cursor(tokenise(text))
  for (cursor.skipLineEnds(); cursor.peek() !== null; cursor.skipLineEnds()) {
    if (cursor.take('table')) {
      takeTableName(cursor)
      cursor.expect('{')
      takeBlock(table, cursor)
    } else if (cursor.take('add')) takeCommand(table, cursor)
    else throw new TracerError(`the tracer does not know the command '${cursor.peek()?.text ?? ''}'`, cursor.peek() ?? undefined)
  }
  return table
}

function takeTableName(cursor: Cursor): void {
  if (!cursor.take('inet')) throw new TracerError('only tables of family inet are traced', cursor.peek() ?? undefined)
  cursor.next('a table')
}

function takeBlock(table: TracedTable, cursor: Cursor): void {
  for (cursor.skipLineEnds(); !cursor.take('}'); cursor.skipLineEnds()) {
    if (cursor.take('comment')) cursor.next('a comment')
    else takeObject(table, cursor, cursor.next('an object'), false)
  }
}

function takeCommand(table: TracedTable, cursor: Cursor): void {
  const kind = cursor.next('an object')
  if (kind.text !== 'table') {
    takeTableName(cursor)
    return takeObject(table, cursor, kind, true)
  }
  takeTableName(cursor)
  if (cursor.take('{')) takeBlock(table, cursor)
}

/** One object of a block, or the rest of an `add` command, which may add to what is there. */
function takeObject(table: TracedTable, cursor: Cursor, kind: Token, command: boolean): void {
  const name = cursor.next('a name').text
  switch (kind.text) {
    case 'chain': {
      const chain = table.chains.get(name) ?? { name, base: null, rules: [] }
      table.chains.set(name, chain)
      return takeBraces(cursor, () => takeChainLine(chain, cursor, kind))
    }
    case 'set':
    case 'map': {
      const set = table.sets.get(name) ?? { name, isMap: kind.text === 'map', types: null, verdicts: false, interval: false, exact: new Map(), ranges: [] }
      table.sets.set(name, set)
      return takeBraces(cursor, () => takeSetLine(set, cursor))
    }
    case 'counter':
      table.counters.add(name)
      return takeBraces(cursor, () => void cursor.statement())
    case 'rule':
      if (!command) break
      return void need(table.chains, name, kind).rules.push(cursor.statement())
    case 'element':
      if (!command) break
      return takeElements(need(table.sets, name, kind), cursor)
  }
  throw new TracerError(`the tracer does not know objects of kind '${kind.text}'`, kind)
}

function need<T>(map: ReadonlyMap<string, T>, name: string, token: Token): T {
  const found = map.get(name)
  if (found === undefined) throw new TracerError(`'${name}' is not there`, token)
  return found
}

function takeBraces(cursor: Cursor, takeLine: () => void): void {
  if (!cursor.take('{')) return
  for (cursor.skipLineEnds(); !cursor.take('}'); cursor.skipLineEnds()) takeLine()
}

function takeChainLine(chain: TracedChain, cursor: Cursor, at: Token): void {
  const line = cursor.statement()
  const words = line.map((t) => t.text)
  if (words[0] === 'comment' && words.length === 2) return
  if (words[0] === 'type') {
    const [, type = '', , hook = '', , ...priority] = words
    chain.base = { type, hook, priority: priorityOf(priority.join(' '), at), policy: 'accept' }
  } else if (words[0] === 'policy') {
    if (chain.base === null || (words[1] !== 'accept' && words[1] !== 'drop')) throw new TracerError(`unknown policy '${words.join(' ')}'`, at)
    chain.base = { ...chain.base, policy: words[1] }
  } else chain.rules.push(line)
}

function priorityOf(text: string, at: Token): number {
  const match = /^(?:([a-z]+)(?: ([+-]) (\d+))?|(-?\d+))$/.exec(text)
  const base = match?.[1] === undefined ? 0 : PRIORITY[match[1]]
  if (match === null || base === undefined) throw new TracerError(`unknown priority '${text}'`, at)
  if (match[4] !== undefined) return Number(match[4])
  return base + Number(`${match[2] ?? '+'}${match[3] ?? 0}`)
}

function takeSetLine(set: TracedSet, cursor: Cursor): void {
  if (cursor.take('elements', '=')) return takeElements(set, cursor)
  const line = cursor.statement()
  const words = line.map((t) => t.text)
  switch (words[0]) {
    case 'type':
    case 'typeof': {
      const text = words.slice(1).join(' ')
      const [key = '', data] = set.isMap ? (/^(.*) : (.*)$/.exec(text)?.slice(1) ?? []) : [text]
      const types = key.split(' . ').map((part) => (words[0] === 'type' ? typeNamed(part) : (fieldNamed(part)?.type ?? null)))
      set.types = types.includes(null) ? null : (types as FieldType[])
      set.verdicts = data === 'verdict'
      return
    }
    case 'flags':
      set.interval = words.includes('interval')
      for (const flag of words.slice(1)) if (![',', 'interval', 'dynamic', 'timeout', 'constant'].includes(flag)) throw new TracerError(`unknown flag '${flag}'`, line[0])
      return
    case 'timeout':
    case 'size':
    case 'comment':
      return
    default:
      throw new TracerError(`the tracer does not know '${words.join(' ')}' in a set`, line[0])
  }
}

const TYPES: readonly FieldType[] = ['ipv4_addr', 'ipv6_addr', 'ifname', 'inet_proto', 'inet_service', 'mark']

function typeNamed(name: string): FieldType | null {
  return TYPES.find((type) => type === name) ?? null
}

function takeElements(set: TracedSet, cursor: Cursor): void {
  cursor.expect('{')
  const skip = (): void => {
    while (cursor.take(LINE_END));
  }
  for (skip(); !cursor.take('}'); skip()) {
    const words: Token[] = []
    for (let word = cursor.peek(); word !== null && (word.quoted || ![',', '}', LINE_END].includes(word.text)); word = cursor.peek()) words.push(cursor.next('a key'))
    if (words.length > 0) addElement(set, words)
    skip()
    if (cursor.peek()?.text !== '}') cursor.expect(',')
  }
}

function addElement(set: TracedSet, words: readonly Token[]): void {
  if (set.types === null) return
  const colon = words.findIndex((w) => w.text === ':' && !w.quoted)
  const extras = words.findIndex((w) => ['timeout', 'expires', 'comment', 'counter'].includes(w.text) && !w.quoted)
  const keyEnd = Math.min(...[colon, extras, words.length].filter((n) => n >= 0))
  const parts = words.slice(0, keyEnd).filter((w) => w.text !== '.' || w.quoted)
  if (parts.length !== set.types.length) throw new TracerError(`set ${set.name} has keys of ${set.types.length} parts`, words[0])
  const key = set.types.map((type, i) => parseValue(type, parts[i] as Token))
  const verdict = set.verdicts ? takeVerdict(new Cursor(words.slice(colon + 1))) : null
  if (set.verdicts && (verdict === null || colon < 0)) throw new TracerError(`map ${set.name} has an element without a verdict`, words[0])
  if (set.interval) addRange(set, key, verdict, words)
  else addExact(set, key, verdict, words)
}

function addExact(set: TracedSet, key: readonly Value[], verdict: Verdict | null, words: readonly Token[]): void {
  const text = key.map((value) => {
    if ('text' in value ? value.begins : value.first !== value.last) throw new TracerError(`set ${set.name} has no flag interval`, words[0])
    return 'text' in value ? value.text : String(value.first)
  })
  const there = set.exact.get(text.join('|'))
  if (there !== undefined && JSON.stringify(there) !== JSON.stringify(verdict)) throw new TracerError(`map ${set.name}: File exists`, words[0])
  set.exact.set(text.join('|'), verdict)
}

function addRange(set: TracedSet, key: readonly Value[], verdict: Verdict | null, words: readonly Token[]): void {
  const clash = set.ranges.find((range) => range.key.every((value, i) => overlap(value, key[i] as Value)))
  const same = clash?.key.every((value, i) => sameValue(value, key[i] as Value)) === true
  if (clash !== undefined && !same) throw new TracerError(`set ${set.name}: conflicting intervals specified`, words[0])
  if (clash === undefined) set.ranges.push({ key, verdict })
}

function overlap(a: Value, b: Value): boolean {
  if ('first' in a) return 'first' in b && a.first <= b.last && b.first <= a.last
  return 'text' in b && (holds(a, b.text) || holds(b, a.text))
}

function sameValue(a: Value, b: Value): boolean {
  if ('first' in a) return 'first' in b && a.first === b.first && a.last === b.last
  return 'text' in b && a.text === b.text && a.begins === b.begins
}
