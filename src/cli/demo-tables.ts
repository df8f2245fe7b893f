// The demo's tables as lines of text: who reaches whom, and plain columns.
//
// Cells and rows -> lines, in a Style. **Invariant:** a table of the shop fits into 77 columns, and colour only ever
// repeats what a mark or a word says.
import type { MatrixCell } from '../lab/matrix.ts'
import { padCentre, type Style } from './demo-style.ts'

const GAP = 2
/** Around the mark of a cell that differs from the table before. */
const CHANGED = { open: '[', close: ']' } as const

/** Rows are sources, columns destinations. `before`: what differs from it stands in brackets. */
export function matrixLines(style: Style, cells: readonly MatrixCell[], before: readonly MatrixCell[] | null): readonly string[] {
  const { ink, marks } = style
  const sources = [...new Set(cells.map((one) => one.from))]
  const columns = [...new Map(cells.map((one) => [one.to, one])).values()].map(({ to, port }) => {
    const name = to.replace(/^.*\//, '')
    return { to, name, port, width: Math.max(name.length, port.length) + 1 }
  })
  const left = Math.max(...sources.map((one) => one.length), 'from \\ to'.length) + GAP
  const earlier = new Map(before?.map((one) => [`${one.from} ${one.to}`, one]))
  const rows = sources.map((from) => {
    const line = columns.map(({ to, width }) => {
      const cell = cells.find((one) => one.from === from && one.to === to)
      const old = earlier.get(`${from} ${to}`)
      return cellText(style, cell, old !== undefined && cell !== undefined && (old.v4 !== cell.v4 || old.v6 !== cell.v6), width)
    })
    return from.padEnd(left) + line.join('')
  })
  const width = left + columns.reduce((sum, one) => sum + one.width, 0)
  return [
    ink('strong', 'from \\ to'.padEnd(left) + columns.map((one) => padCentre(one.name, one.width)).join('')),
    ink('faint', ' '.repeat(left) + columns.map((one) => padCentre(one.port, one.width)).join('')),
    ink('faint', marks.rule.repeat(width)),
    ...rows,
  ]
}

function cellText({ ink, marks }: Style, cell: MatrixCell | undefined, changed: boolean, width: number): string {
  if (cell === undefined || cell.reaches === null) return ' '.repeat(width)
  if (cell.from === cell.to) return ink('faint', padCentre(marks.self, width))
  const text = cell.reaches ? marks.yes : cell.v4 === true ? 'v4' : cell.v6 === true ? 'v6' : marks.no
  return ink(cell.reaches ? 'good' : 'bad', padCentre(changed ? CHANGED.open + text + CHANGED.close : text, width))
}

/** What the marks of a matrix mean. */
export function legend({ marks }: Style, changes: boolean): string {
  const bracketed = changes ? `, ${CHANGED.open} ${CHANGED.close} other than before` : ''
  return `${marks.yes} reaches, ${marks.no} denied, ${marks.self} itself${bracketed}; IPv4 and IPv6 alike`
}

/** Plain columns under a line of heads; numbers to the right. Cells have no escapes. */
export function columnLines({ ink }: Style, heads: readonly string[], rows: readonly (readonly (string | number)[])[]): readonly string[] {
  const widths = heads.map((head, index) => Math.max(head.length, ...rows.map((row) => [...String(row[index] ?? '')].length)))
  const isNumber = heads.map((_, index) => rows.every((row) => typeof row[index] === 'number' || /^[\d,.]+( ms)?$|^-?$/.test(String(row[index]))))
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, index) => (isNumber[index] === true ? padLeft : padRight)(cell, widths[index] ?? 0))
    return padded.join(' '.repeat(GAP)).trimEnd()
  }
  return [ink('strong', line(heads)), ...rows.map((row) => line(row.map(String)))]
}

function padLeft(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - [...text].length)) + text
}

function padRight(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - [...text].length))
}

/** 12345 -> `12,345`. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US')
}
