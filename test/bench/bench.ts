// What every benchmark gives, and how it is printed: a table for people, one JSON line for programs.
//
// **Invariant:** a figure is the median of several runs, in one process run; ratios are of things measured side by side.
import type { ParseArgsOptionsConfig } from 'node:util'
import { formatTable } from '../../src/cli/output.ts'

export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** What it should be: `< 1.5`, or empty. */
  readonly aim: string
}

export interface Bench {
  readonly name: string
  readonly about: string
  /** Flags of its own. */
  readonly flags?: ParseArgsOptionsConfig
  /** `note` says what is being done, on stderr. */
  readonly run: (note: (text: string) => void, flags: Flags) => Promise<readonly Figure[]>
}

export type Flags = Readonly<Record<string, unknown>>

/** A flag that is a whole number of at least 1; throws where it is not. */
export function countOf(flags: Flags, name: string, most = Number.MAX_SAFE_INTEGER): number {
  const count = Number(flags[name])
  if (!Number.isInteger(count) || count < 1 || count > most) throw new Error(`--${name} ${String(flags[name])}: expected a whole number from 1 to ${most}`)
  return count
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** Three digits that count. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3))
}

export function report(name: string, figures: readonly Figure[], output: string): void {
  const shown = figures.map((f) => ({ ...f, value: rounded(f.value) }))
  if (output === 'json') process.stdout.write(`${JSON.stringify({ bench: name, figures: shown })}\n`)
  else process.stdout.write(`${formatTable(['figure', 'value', 'unit', 'aim', ''], shown.map((f) => [f.name, f.value, f.unit, f.aim, met(f)]))}\n`)
}

function met(figure: Figure): string {
  const aim = /^([<>]) (\d+(\.\d+)?)$/.exec(figure.aim)
  if (aim === null) return ''
  return (aim[1] === '<' ? figure.value < Number(aim[2]) : figure.value > Number(aim[2])) ? 'met' : 'MISSED'
}
