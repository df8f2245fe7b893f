// What commands print on stdout: tables for people, JSON for programs.
//
// Plain columns as kubectl has them, so that a table can be read, cut and grepped.
// **Invariant:** stdout carries the answer only; progress and complaints go to stderr.
import CliTable from 'cli-table3'

const NO_BORDERS = Object.fromEntries(
  ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right', 'left', 'left-mid', 'mid', 'mid-mid']
    .concat(['right', 'right-mid', 'middle'])
    .map((edge) => [edge, '']),
)

/** Lines without trailing blanks; column widths follow the widest cell. Headers are put in capitals. */
export function formatTable(headers: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const table = new CliTable({
    head: headers.map((header) => header.toUpperCase()),
    chars: { ...NO_BORDERS, middle: '   ' },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  })
  for (const row of rows) table.push(row.map(String))
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printTable(headers: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  print(formatTable(headers, rows))
}

/** Indented, for one answer; one line, for a stream of them. */
export function printJson(value: unknown, form: 'indented' | 'line' = 'indented'): void {
  print(form === 'line' ? JSON.stringify(value) : JSON.stringify(value, null, 2))
}

/** What to type to run us again: from a clone there is no `picket` in the PATH. */
export function ourCommand(): string {
  return import.meta.url.endsWith('.ts') ? 'npm run -s picket --' : 'picket'
}
