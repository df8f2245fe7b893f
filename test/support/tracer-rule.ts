// The words of one rule -> what it asks and does, in order.
//
// **Invariant:** a rule that has a word which is not understood is an error, never a rule without that word; so is a
// limit in front of a verdict, which would let a limit decide (log rules are rules of their own).
import { parseValue, takeField, takeFlags, type Field, type Value } from './tracer-fields.ts'
import { Cursor, TracerError, type Token } from './tracer-tokens.ts'

export type Verdict = { readonly kind: 'accept' | 'drop' | 'return' | 'continue' | 'reject' } | { readonly kind: 'jump' | 'goto'; readonly chain: string }

/** Alternatives of values, one for each field. */
export type Choice = readonly (readonly Value[])[]

export type Statement =
  | { readonly kind: 'match'; readonly fields: readonly Field[]; readonly negated: boolean; readonly among: { readonly set: string } | { readonly choice: Choice } }
  | { readonly kind: 'vmap'; readonly fields: readonly Field[]; readonly map: string | readonly { readonly key: readonly Value[]; readonly verdict: Verdict }[] }
  | { readonly kind: 'counter'; readonly name: string | null }
  /** With the counter that the map leads to; a key that it does not have ends the rule. */
  | { readonly kind: 'count'; readonly fields: readonly Field[]; readonly map: string }
  | { readonly kind: 'log'; readonly prefix: string }
  /** By itself, or of an element of a set, whose key has to be read from the packet. */
  | { readonly kind: 'limit'; readonly set?: string; readonly fields?: readonly Field[] }
  /** The set's elements stay as they are read; what counts is whether the key can be read from the packet. */
  | { readonly kind: 'update'; readonly set: string; readonly fields: readonly Field[] }
  /** `meta mark set`: to a number, or to what a field holds. */
  | { readonly kind: 'mark'; readonly to: bigint | Field }
  | { readonly kind: 'verdict'; readonly verdict: Verdict }

export interface Rule {
  readonly text: string
  readonly statements: readonly Statement[]
}

export function parseRule(tokens: readonly Token[]): Rule {
  const cursor = new Cursor(tokens)
  const statements: Statement[] = []
  while (cursor.peek() !== null) {
    if (cursor.take('comment')) cursor.next('a comment')
    else statements.push(parseStatement(cursor))
  }
  const limit = statements.findIndex((s) => s.kind === 'limit')
  if (limit >= 0 && statements.slice(limit).some((s) => s.kind === 'verdict' || s.kind === 'vmap')) {
    throw new TracerError('a limit in front of a verdict decides what happens to a packet', tokens[0])
  }
  if (statements.slice(0, -1).some((s) => s.kind === 'verdict')) throw new TracerError('a statement behind a verdict', tokens[0])
  return { text: tokens.map((t) => (t.quoted ? `"${t.text}"` : t.text)).join(' '), statements }
}

function parseStatement(cursor: Cursor): Statement {
  const verdict = takeVerdict(cursor)
  if (verdict !== null) return { kind: 'verdict', verdict }
  if (cursor.take('counter')) return takeCounter(cursor)
  if (cursor.take('log')) return takeLog(cursor)
  if (cursor.take('limit', 'rate')) return takeLimit(cursor)
  if (cursor.take('update') || cursor.take('add')) {
    const set = takeSetName(cursor)
    cursor.expect('{')
    const fields = takeFields(cursor)
    if (cursor.take('timeout')) cursor.next('a time')
    // Taken as open, like others; a verdict behind it would be one of a limit.
    const isLimited = cursor.take('limit', 'rate')
    if (isLimited) takeLimit(cursor)
    cursor.expect('}')
    if (isLimited) return { kind: 'limit', fields, set }
    return { kind: 'update', set, fields }
  }
  if (cursor.take('meta', 'mark', 'set')) return { kind: 'mark', to: takeField(cursor) ?? BigInt(cursor.next('a mark').text) }
  return takeMatch(cursor)
}

/** `accept`, `goto CHAIN`, ...; null where the next word is none of them. */
export function takeVerdict(cursor: Cursor): Verdict | null {
  for (const kind of ['accept', 'drop', 'return', 'continue'] as const) {
    if (cursor.take(kind)) return { kind }
  }
  for (const kind of ['jump', 'goto'] as const) {
    if (cursor.take(kind)) return { kind, chain: cursor.next('a chain').text }
  }
  if (!cursor.take('reject')) return null
  if (cursor.take('with')) {
    if (cursor.take('tcp', 'reset')) return { kind: 'reject' }
    if (!cursor.take('icmp') && !cursor.take('icmpv6') && !cursor.take('icmpx')) throw new TracerError('unknown kind of reject', cursor.peek() ?? undefined)
    cursor.take('type')
    cursor.next('a code')
  }
  return { kind: 'reject' }
}

function takeCounter(cursor: Cursor): Statement {
  if (cursor.take('name')) {
    const fields = takeCounterKey(cursor)
    return fields === null ? { kind: 'counter', name: cursor.next('a name').text } : { kind: 'count', fields, map: takeSetName(cursor) }
  }
  if (cursor.take('packets')) {
    cursor.next('a number')
    cursor.expect('bytes')
    cursor.next('a number')
  }
  return { kind: 'counter', name: null }
}

/** `iifname map`; null where a counter's name follows. */
function takeCounterKey(cursor: Cursor): readonly Field[] | null {
  if (cursor.peek()?.quoted === true) return null
  const field = takeField(cursor)
  if (field === null) return null
  const fields = [field]
  while (cursor.take('.')) fields.push(...takeFields(cursor))
  cursor.expect('map')
  return fields
}

function takeLog(cursor: Cursor): Statement {
  let prefix = ''
  for (;;) {
    if (cursor.take('prefix')) prefix = cursor.next('a prefix').text
    else if (cursor.take('group') || cursor.take('snaplen') || cursor.take('queue-threshold')) cursor.next('a number')
    else return { kind: 'log', prefix }
  }
}

function takeLimit(cursor: Cursor): Statement {
  cursor.next('a rate')
  if (cursor.take('burst')) {
    cursor.next('a number')
    cursor.expect('packets')
  }
  return { kind: 'limit' }
}

function takeMatch(cursor: Cursor): Statement {
  const fields = takeFields(cursor)
  if (cursor.take('vmap')) return { kind: 'vmap', fields, map: cursor.take('{') ? takeVerdicts(cursor, fields) : takeSetName(cursor) }
  // `ct status ! confirmed` is how nft lists it.
  const negated = cursor.take('!=') || (fields[0]?.type === 'ct_status' && cursor.take('!'))
  if (!negated) cursor.take('==')
  if (cursor.peek()?.text.startsWith('@') === true) return { kind: 'match', fields, negated, among: { set: takeSetName(cursor) } }
  const choice = takeChoice(cursor, fields)
  const flags = fields[0]?.type === 'tcp_flags' && cursor.take('/') ? [takeFlags(cursor, fields[0])] : fields
  return { kind: 'match', fields: flags, negated, among: { choice } }
}

function takeFields(cursor: Cursor): readonly Field[] {
  const fields: Field[] = []
  do {
    const field = takeField(cursor)
    if (field === null) throw new TracerError(`the tracer does not know '${cursor.peek()?.text ?? ''}'`, cursor.peek() ?? undefined)
    fields.push(field)
  } while (cursor.take('.'))
  return fields
}

function takeChoice(cursor: Cursor, fields: readonly Field[]): Choice {
  const choice: (readonly Value[])[] = []
  if (cursor.take('{')) {
    do choice.push(takeKey(cursor, fields))
    while (cursor.take(','))
    cursor.expect('}')
    return choice
  }
  do choice.push(takeKey(cursor, fields))
  while (fields[0]?.type === 'ct_state' && cursor.take(','))
  return choice
}

function takeVerdicts(cursor: Cursor, fields: readonly Field[]): readonly { readonly key: readonly Value[]; readonly verdict: Verdict }[] {
  const out: { readonly key: readonly Value[]; readonly verdict: Verdict }[] = []
  do {
    const key = takeKey(cursor, fields)
    cursor.expect(':')
    const verdict = takeVerdict(cursor)
    if (verdict === null) throw new TracerError('expected a verdict', cursor.peek() ?? undefined)
    out.push({ key, verdict })
  } while (cursor.take(','))
  cursor.expect('}')
  return out
}

function takeKey(cursor: Cursor, fields: readonly Field[]): readonly Value[] {
  return fields.map((field, i) => {
    if (i > 0) cursor.expect('.')
    return parseValue(field.type, cursor.next('a value'))
  })
}

function takeSetName(cursor: Cursor): string {
  const token = cursor.next('a set')
  if (!token.text.startsWith('@') || token.quoted) throw new TracerError(`expected a set, found '${token.text}'`, token)
  return token.text.slice(1)
}
