// What `picket observe` puts on stdout: each record in the form that was asked for.
//
// **Invariant:** nothing goes out raw that a terminal obeys; where stdout is not read, what does not fit is counted and told as lost.
import { compactLine, type Ink } from '../flows/compact.ts'
import { hubbleResponse } from '../flows/hubble.ts'
import { SCHEMA, type LostRecord } from '../flows/record.ts'
import { safeJson, safeLine } from '../flows/safe-json.ts'
import { TABLE_HEADERS, tableRow } from '../flows/table.ts'
import { formatTable } from './output.ts'
import type { Shown } from './observe-stream.ts'

export const FORMS = ['compact', 'table', 'json', 'hubble'] as const
export type Form = (typeof FORMS)[number]

/** As process.stdout. */
export interface Out {
  readonly writableLength?: number
  readonly writableNeedDrain?: boolean
  write(text: string): unknown
  once?(event: 'drain', listener: () => void): unknown
}

/** What waits for a reader at most. */
const MOST_WAITING = 32 * 1024 * 1024

export class Printer {
  readonly #form: Form
  readonly #ink: Ink
  readonly #out: Out
  /** Following, a table has no end to wait for: columns are as wide as what came until now. */
  readonly #streamed: boolean
  readonly #widths: number[] = []
  #rows: (readonly string[])[] = []
  #lost: { count: number; first: string; last: string } | null = null
  /** Verdicts that were shown. */
  verdicts = 0
  /** Of any type. */
  records = 0

  constructor(form: Form, ink: Ink, out: Out, streamed: boolean) {
    this.#form = form
    this.#ink = ink
    this.#out = out
    this.#streamed = streamed
  }

  /** Resolves when stdout takes more: whoever can wait does. */
  show(shown: Shown): Promise<void> | void {
    const { record } = shown
    if (record.type === 'verdict') this.verdicts += 1
    this.records += 1
    if ((this.#out.writableLength ?? 0) > MOST_WAITING) {
      this.#lost = { first: record.time, ...this.#lost, count: (this.#lost?.count ?? 0) + 1, last: record.time }
      return
    }
    this.#tellLost(record.node)
    this.#write(shown)
    if (this.#out.writableNeedDrain === true && this.#out.once !== undefined) return new Promise((resolve) => this.#out.once?.('drain', resolve))
  }

  /** What was held back for a table, and what could not be shown. */
  end(): void {
    this.#tellLost('')
    if (this.#form === 'table' && !this.#streamed && this.#rows.length > 0) this.#out.write(`${formatTable(TABLE_HEADERS, this.#rows)}\n`)
    this.#rows = []
  }

  #write({ record, line }: Shown): void {
    switch (this.#form) {
      case 'compact':
        return void this.#out.write(`${compactLine(record, this.#ink)}\n`)
      case 'json':
        return void this.#out.write(`${safeLine(line, record)}\n`)
      case 'hubble':
        return void this.#out.write(`${safeJson(hubbleResponse(record))}\n`)
      case 'table':
        if (this.#streamed) return this.#writeRow(tableRow(record))
        this.#rows.push(tableRow(record))
    }
  }

  #writeRow(cells: readonly string[]): void {
    if (this.#widths.length === 0) this.#put(TABLE_HEADERS.map((header) => header.toUpperCase()))
    this.#put(cells)
  }

  #put(cells: readonly string[]): void {
    for (const [index, cell] of cells.entries()) this.#widths[index] = Math.max(this.#widths[index] ?? 0, cell.length)
    this.#out.write(`${cells.map((cell, index) => cell.padEnd(this.#widths[index] ?? 0)).join('   ').trimEnd()}\n`)
  }

  #tellLost(node: string): void {
    if (this.#lost === null) return
    const { count, first, last } = this.#lost
    this.#lost = null
    const record: LostRecord = { schema: SCHEMA, type: 'lost', time: last, node, stage: 'client', name: 'picket observe', count, first, last }
    this.#write({ record, line: JSON.stringify(record) })
  }
}
