// A kernel in memory that keeps the real one's contract, refusals included: for tests of what stands above it.
//
// It can refuse operations of an owner, lose an answer (with the commit applied or not), and be changed by a foreigner.
// **Invariant:** it passes test/kernel/conformance.ts like the real ones; a refused commit changes nothing.
import type { ClientSweep, CommitOutcome, ElementsChange, ElementsOutcome, ElementsTake, ForeignChange, ForeignFlowtable, Kernel, ReadBack, SweepOutcome } from '../../src/kernel/kernel.ts'
import { messageOf } from '../../src/lib/errors.ts'
import type { Owner, Table, Transaction } from '../../src/nft/objects.ts'
import type { CounterValue } from '../../src/nft/listing.ts'
import { render } from '../../src/nft/render.ts'
import { LISTED_RULES, type SetState, type TableState } from '../../src/nft/state.ts'
import { keyBytes, keyText } from './element-keys.ts'
import { Draft } from './fake-kernel-draft.ts'
import { tableBlock } from './table-text.ts'

export class FakeKernel implements Kernel {
  readonly description = 'fake'
  /** Every transaction that was asked for, refused ones too. */
  readonly transactions: Transaction[] = []
  /** Every transaction that was only to be judged. */
  readonly checks: Transaction[] = []
  /** Times of read-backs. */
  readBacks = 0
  /** Of a set that changeElements() fills, beside what the set itself says. */
  mostElements = Infinity
  foreignFlowtables: readonly ForeignFlowtable[] = []
  readonly #tables = new Map<string, { table: Table; state: TableState }>()
  readonly #refused = new Map<Owner, string>()
  readonly #refusedTexts = new Map<string, string>()
  #watcher: { readonly table: string; readonly onChange: (change: ForeignChange) => void } | null = null
  #loss: 'applied' | 'dropped' | null = null

  // ---- what tests do to it

  /** From now on refuses every transaction with an operation of `owner`. */
  refuse(owner: Owner, message = 'Could not process rule: Invalid argument'): void {
    this.#refused.set(owner, message)
  }

  accept(owner: Owner): void {
    this.#refused.delete(owner)
  }

  /** From now on refuses every transaction whose text holds `text`, as the real one refuses what an object says. */
  refuseText(text: string, message = 'Could not process rule: Invalid argument'): void {
    this.#refusedTexts.set(text, message)
  }

  acceptText(text: string): void {
    this.#refusedTexts.delete(text)
  }

  /** The next commit's answer is lost; whether the kernel holds it is `how`. */
  loseNextAnswer(how: 'applied' | 'dropped'): void {
    this.#loss = how
  }

  /** Somebody else changes a table behind our back; `change` edits it in place. */
  foreign(table: Table, change: (state: TableState) => void): void {
    const found = this.state(table)
    if (found === null) throw new Error(`there is no table ${nameOf(table)}`)
    const before = new Map(found.chains)
    change(found)
    const names = new Set([...before.keys(), ...found.chains.keys()])
    this.#tell(table, [...names].filter((name) => before.get(name)?.rules !== found.chains.get(name)?.rules))
  }

  /** Somebody else deletes the table. */
  foreignDelete(table: Table): void {
    const chains = [...(this.state(table)?.chains.keys() ?? [])]
    this.#tables.delete(nameOf(table))
    this.#tell(table, chains)
  }

  /** Whether notifications reach whoever watches; those of the meantime are lost. */
  deaf = false

  /** Hears again, and doubts what it missed: the last so many milliseconds. */
  hear(sinceMs: number): void {
    this.deaf = false
    this.#watcher?.onChange({ by: 'nobody knows (a commit was not told)', chains: 'all', sinceMs })
  }

  #tell(table: Table, chains: readonly string[]): void {
    if (!this.deaf && this.#watcher?.table === nameOf(table)) this.#watcher.onChange({ by: 'a test', chains, sinceMs: 0 })
  }

  /** What it holds, as it is: not a copy. */
  state(table: Table): TableState | null {
    return this.#tables.get(nameOf(table))?.state ?? null
  }

  text(table: Table): string {
    const state = this.state(table)
    return state === null ? '' : tableBlock(table, state)
  }

  // ---- Kernel

  async commit(transaction: Transaction): Promise<CommitOutcome> {
    this.transactions.push(transaction)
    const loss = this.#loss
    this.#loss = null
    if (loss === 'dropped') return { kind: 'unknown', message: 'the answer was lost' }
    const refusal = this.#judge(transaction)
    if (loss !== null) return { kind: 'unknown', message: 'the answer was lost' }
    return refusal === null ? { kind: 'acknowledged' } : { kind: 'refused', message: refusal }
  }

  async check(transaction: Transaction): Promise<CommitOutcome> {
    this.checks.push(transaction)
    const tables = new Map(this.#tables)
    const refusal = this.#judge(transaction)
    this.#tables.clear()
    for (const [name, table] of tables) this.#tables.set(name, table)
    return refusal === null ? { kind: 'acknowledged' } : { kind: 'refused', message: refusal }
  }

  /** Takes the transaction over, or says why not. */
  #judge(transaction: Transaction): string | null {
    for (const { owners } of transaction.operations) {
      for (const owner of owners) if (this.#refused.has(owner)) return this.#refused.get(owner) as string
    }
    try {
      const text = render(transaction)
      for (const [part, message] of this.#refusedTexts) if (text.includes(part)) return message
      const { table } = transaction
      const before = this.#tables.get(nameOf(table))
      if (before === undefined && !transaction.createsTable) {
        return transaction.operations.length === 0 ? null : `No such file or directory: table ${nameOf(table)}`
      }
      const draft = new Draft(table.family, before?.state ?? null)
      draft.run(transaction.operations)
      this.#tables.set(nameOf(table), { table: before?.table ?? table, state: draft.state })
      return null
    } catch (error) {
      return messageOf(error)
    }
  }

  /** What packets counted, which a test says. */
  readonly counts = new Map<string, CounterValue>()

  async readCounters(table: Table): Promise<ReadonlyMap<string, CounterValue> | null> {
    const names = this.state(table)?.counters.keys() ?? []
    return new Map([...names].map((name) => [name, this.counts.get(name) ?? { packets: 0, bytes: 0 }]))
  }

  async readBack(table: Table): Promise<ReadBack> {
    this.readBacks++
    const state = this.state(table)
    if (state === null) return { kind: 'absent' }
    return {
      kind: 'table',
      state: {
        chains: new Map([...state.chains].map(([name, chain]) => [name, { ...chain, rules: LISTED_RULES }])),
        sets: new Map([...state.sets].map(([name, set]): [string, SetState] => [name, { object: set.object, elements: new Map(set.elements) }])),
        counters: new Map(state.counters),
      },
      counters: new Map([...state.counters.keys()].map((name) => [name, { packets: 0, bytes: 0 }])),
      rules: new Map([...state.chains].map(([name, chain]) => [name, chain.rules.map((rule) => `${rule}\n`).join('')])),
    }
  }

  async changeElements(table: Table, changes: readonly ElementsChange[]): Promise<ElementsOutcome> {
    const loss = this.#loss
    this.#loss = null
    if (loss === 'dropped') return { kind: 'unknown', message: 'the answer was lost' }
    const sets = changes.map(({ set }) => this.state(table)?.sets.get(set))
    if (sets.some((set) => set === undefined)) return { kind: 'refused', message: 'ENOENT' }
    const after = new Map<string, SetState>()
    for (const [i, { verb, keys, keyLength }] of changes.entries()) {
      const { object } = sets[i] as SetState
      const elements = new Map((after.get(object.name) ?? (sets[i] as SetState)).elements)
      if (verb === 'flush') elements.clear()
      for (let at = 0; at < keys.length; at += keyLength) {
        const key = keyText(object.key, keys.subarray(at, at + keyLength))
        if (verb === 'remove') elements.delete(key)
        else elements.set(key, { key })
      }
      if (elements.size > Math.min(this.mostElements, object.size ?? Infinity)) return { kind: 'full', message: 'the set is full' }
      after.set(object.name, { object, elements })
    }
    for (const [name, set] of after) this.state(table)?.sets.set(name, set)
    return loss === null ? { kind: 'acknowledged' } : { kind: 'unknown', message: 'the answer was lost' }
  }

  /** Who was added first was quiet for longest: there are no packets here. */
  async takeElements(table: Table, takes: readonly ElementsTake[]): Promise<readonly Uint8Array[] | null> {
    const sets = takes.map(({ set }) => this.state(table)?.sets.get(set))
    if (sets.some((set) => set === undefined)) return null
    return takes.map(({ quietest }, i) => {
      const { object, elements } = sets[i] as SetState
      const taken = [...elements.keys()].slice(0, quietest ?? Infinity)
      for (const key of taken) elements.delete(key)
      return Buffer.concat(taken.map((key) => keyBytes(object.key, key)))
    })
  }

  /** Only packets make clients, and there are none here. */
  async sweepClients(table: Table, { map }: ClientSweep): Promise<SweepOutcome> {
    return this.state(table)?.sets.has(map) === true ? { kind: 'done', forgotten: 0 } : { kind: 'failed', message: 'ENOENT' }
  }

  async deleteTable(table: Table): Promise<CommitOutcome> {
    this.#tables.delete(nameOf(table))
    return { kind: 'acknowledged' }
  }

  async flowtables(): Promise<readonly ForeignFlowtable[]> {
    return this.foreignFlowtables
  }

  async watch(table: Table, onChange: (change: ForeignChange) => void): Promise<void> {
    this.#watcher = { table: nameOf(table), onChange }
  }

  async close(): Promise<void> {}
}

function nameOf(table: Table): string {
  return `${table.family} ${table.name}`
}
