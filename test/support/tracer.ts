// A packet through a table, as the kernel would walk it: hooks in order, base chains by priority, rules one by one.
//
// Reads the text of a table (rendered, or as the kernel lists it) and never the compiler's objects; fails on whatever it
// does not know. **Invariant:** `accept` ends its own base chain only, `drop` is final; chains of type nat are not walked
// (the caller gives the packet with the addresses that policy sees), everything else that a packet meets is.
import { holds, type Field, type Moment, type TracePacket } from './tracer-fields.ts'
import { parseRule, type Rule, type Statement, type Verdict } from './tracer-rule.ts'
import { parseTable, type TracedChain, type TracedSet, type TracedTable } from './tracer-table.ts'
import { TracerError } from './tracer-tokens.ts'

export type { TracePacket } from './tracer-fields.ts'

export interface Trace {
  readonly verdict: 'accept' | 'drop' | 'reject'
  /** `chain: rule` that denied; empty where none did. */
  readonly by: string
  /** Every rule that was tried, matching or not, as `chain: rule`. */
  readonly visited: readonly string[]
  /** Named counters that counted, in order. */
  readonly counters: readonly string[]
  /** Prefixes of the log rules that it met; their limits are taken as open. */
  readonly logs: readonly string[]
  /** The packet's mark behind everything, and in front of each log rule that it met. */
  readonly mark: number
  readonly loggedMarks: readonly number[]
}

interface Walk {
  readonly packet: TracePacket
  readonly visited: string[]
  readonly counters: string[]
  readonly logs: string[]
  readonly loggedMarks: number[]
  moment: Moment
  by: string
}

const HOOKS: Readonly<Record<TracePacket['path'], readonly string[]>> = {
  forward: ['prerouting', 'forward', 'postrouting'],
  input: ['prerouting', 'input'],
  output: ['output', 'postrouting'],
}

/** Conntrack looks at a packet at priority -200 of prerouting and output. */
const CONNTRACK = -200

/** NFT_JUMP_STACK_SIZE: the kernel refuses a table with deeper calls. */
const DEEPEST = 16

/** Tables that were read last: ways to one state write the same. */
const MOST_READ = 300
const lastRead = new Map<string, Tracer>()

/** As `new Tracer(text)`, which reads all of it: tracing changes nothing of it, so one serves all who trace the same. */
export function tracerOf(text: string): Tracer {
  const known = lastRead.get(text) ?? new Tracer(text)
  lastRead.delete(text)
  lastRead.set(text, known)
  const [oldest] = lastRead.keys()
  if (lastRead.size > MOST_READ && oldest !== undefined) lastRead.delete(oldest)
  return known
}

export class Tracer {
  private readonly table: TracedTable
  private readonly rules = new Map<string, readonly Rule[]>()

  /** `text` is what `nft -f` takes to make the table, or what `nft list table` prints. Throws TracerError for what is not known. */
  constructor(text: string) {
    this.table = parseTable(text)
    for (const chain of this.table.chains.values()) {
      if (chain.base !== null && chain.base.type !== 'nat') this.read(chain, 0)
    }
  }

  get chainCount(): number {
    return this.table.chains.size
  }

  trace(packet: TracePacket): Trace {
    const walk: Walk = { packet, visited: [], counters: [], logs: [], loggedMarks: [], moment: { tracked: false, routed: false, forwarded: false, mark: BigInt(packet.mark ?? 0) }, by: '' }
    const verdict = this.walkHooks(walk)
    return { verdict, by: walk.by, visited: walk.visited, counters: walk.counters, logs: walk.logs, mark: Number(walk.moment.mark), loggedMarks: walk.loggedMarks }
  }

  /** Parses a chain and all that it leads to, whether a packet gets there or not. */
  private read(chain: TracedChain, depth: number): void {
    if (depth > DEEPEST) throw new TracerError(`chain ${chain.name}: more than ${DEEPEST} calls deep, or a loop`)
    const rules = this.rules.get(chain.name) ?? chain.rules.map(parseRule)
    this.rules.set(chain.name, rules)
    for (const statement of rules.flatMap((rule) => rule.statements)) {
      for (const verdict of this.verdictsOf(statement)) {
        if ('chain' in verdict) this.read(this.chain(verdict.chain), depth + 1)
      }
    }
  }

  private verdictsOf(statement: Statement): readonly Verdict[] {
    if (statement.kind === 'verdict') return [statement.verdict]
    if (statement.kind === 'counter' && statement.name !== null && !this.table.counters.has(statement.name)) throw new TracerError(`counter ${statement.name} is not there`)
    if (statement.kind === 'limit' && statement.set !== undefined) this.set(statement.set, statement.fields ?? [])
    if (statement.kind === 'match' && 'set' in statement.among) this.set(statement.among.set, statement.fields)
    if (statement.kind === 'count') this.set(statement.map, statement.fields)
    if (statement.kind !== 'vmap') return []
    if (typeof statement.map !== 'string') return statement.map.map((entry) => entry.verdict)
    const map = this.set(statement.map, statement.fields)
    return [...map.exact.values(), ...map.ranges.map((range) => range.verdict)].filter((verdict) => verdict !== null)
  }

  private chain(name: string): TracedChain {
    const chain = this.table.chains.get(name)
    if (chain === undefined) throw new TracerError(`chain ${name} is not there`)
    return chain
  }

  private set(name: string, fields: readonly Field[]): TracedSet {
    const set = this.table.sets.get(name)
    if (set === undefined) throw new TracerError(`set ${name} is not there`)
    const asked = fields.map((field) => field.type).join(' . ')
    if (set.types?.join(' . ') !== asked) throw new TracerError(`set ${name} has keys of ${set.types?.join(' . ') ?? 'a type that is not known'}, a rule asks for ${asked}`)
    return set
  }

  private walkHooks(walk: Walk): Trace['verdict'] {
    for (const hook of HOOKS[walk.packet.path]) {
      const chains = [...this.table.chains.values()].filter((chain) => chain.base?.hook === hook && chain.base.type !== 'nat')
      chains.sort((a, b) => (a.base?.priority ?? 0) - (b.base?.priority ?? 0))
      for (const chain of chains) {
        const early = (hook === 'prerouting' || hook === 'output') && (chain.base?.priority ?? 0) <= CONNTRACK
        walk.moment = { ...walk.moment, tracked: !early, routed: hook !== 'prerouting', forwarded: walk.packet.path === 'forward' && hook !== 'prerouting' }
        const verdict = this.walkChain(walk, chain.name) ?? chain.base?.policy
        if (verdict === 'drop' || verdict === 'reject') return verdict
      }
    }
    return 'accept'
  }

  /** The verdict that ends the base chain; null where the chain ends without one. */
  private walkChain(walk: Walk, name: string): Trace['verdict'] | null {
    for (const rule of this.rules.get(name) ?? []) {
      walk.visited.push(`${name}: ${rule.text}`)
      const verdict = this.apply(walk, rule)
      if (verdict === null || verdict.kind === 'continue') continue
      if (verdict.kind === 'return') return null
      if (verdict.kind === 'goto') return this.walkChain(walk, verdict.chain)
      if (verdict.kind === 'jump') {
        const end = this.walkChain(walk, verdict.chain)
        if (end !== null) return end
        continue
      }
      if (verdict.kind !== 'accept') walk.by = `${name}: ${rule.text}`
      return verdict.kind
    }
    return null
  }

  /** Statement by statement; null where one does not match, or where the rule has no verdict. */
  private apply(walk: Walk, rule: Rule): Verdict | null {
    for (const statement of rule.statements) {
      if (statement.kind === 'counter' && statement.name !== null) walk.counters.push(statement.name)
      if (statement.kind === 'log') {
        walk.logs.push(statement.prefix)
        walk.loggedMarks.push(Number(walk.moment.mark))
      }
      if (statement.kind === 'mark') {
        const to = typeof statement.to === 'bigint' ? statement.to : statement.to.read(walk.packet, walk.moment)
        if (typeof to !== 'bigint') return null
        walk.moment.mark = to
      }
      if (statement.kind === 'limit' && statement.fields !== undefined && valuesOf(walk, statement.fields) === null) return null
      if (statement.kind === 'verdict') return statement.verdict
      if (statement.kind === 'match' && !this.matches(walk, statement)) return null
      if (statement.kind === 'update' && valuesOf(walk, statement.fields) === null) return null
      if (statement.kind === 'count' && !this.isCounted(walk, statement)) return null
      if (statement.kind === 'vmap') {
        const found = this.lookup(walk, statement)
        if (found === null) return null
        return found
      }
    }
    return null
  }

  private matches(walk: Walk, statement: Extract<Statement, { kind: 'match' }>): boolean {
    const found = valuesOf(walk, statement.fields)
    if (found === null) return false
    const { among } = statement
    const inside = 'set' in among ? find(this.table.sets.get(among.set) as TracedSet, found) !== undefined : among.choice.some((key) => key.every((value, i) => holds(value, found[i] as bigint | string)))
    return inside !== statement.negated
  }

  private isCounted(walk: Walk, { fields, map }: Extract<Statement, { kind: 'count' }>): boolean {
    const found = valuesOf(walk, fields)
    return found !== null && find(this.table.sets.get(map) as TracedSet, found) !== undefined
  }

  private lookup(walk: Walk, statement: Extract<Statement, { kind: 'vmap' }>): Verdict | null {
    const found = valuesOf(walk, statement.fields)
    if (found === null) return null
    if (typeof statement.map === 'string') return find(this.table.sets.get(statement.map) as TracedSet, found) ?? null
    return statement.map.find((entry) => entry.key.every((value, i) => holds(value, found[i] as bigint | string)))?.verdict ?? null
  }
}

function valuesOf(walk: Walk, fields: readonly Field[]): readonly (bigint | string)[] | null {
  const out: (bigint | string)[] = []
  for (const field of fields) {
    const value = field.read(walk.packet, walk.moment)
    if (value === null) return null
    out.push(value)
  }
  return out
}

/** The verdict of a map's element, null for an element of a set, undefined where there is none. */
function find(set: TracedSet, found: readonly (bigint | string)[]): Verdict | null | undefined {
  if (!set.interval) return set.exact.get(found.join('|'))
  return set.ranges.find((range) => range.key.every((value, i) => holds(value, found[i] as bigint | string)))?.verdict
}
