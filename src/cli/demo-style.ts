// How the demo looks: marks and colours on a terminal, plain text everywhere else.
//
// A stream -> a Style, used by the teller and the tables. **Invariant:** plain style is ASCII without escapes, and says
// the same as the other; NO_COLOR and TERM=dumb ask for it (Node's hasColors knows both).

export type Ink = 'good' | 'bad' | 'faint' | 'strong' | 'note'

export interface Style {
  /** Columns that text may take. */
  readonly width: number
  readonly marks: Marks
  readonly ink: (ink: Ink, text: string) => string
}

interface Marks {
  readonly yes: string
  readonly no: string
  /** A pod to itself. */
  readonly self: string
  readonly shown: string
  readonly notShown: string
  readonly arrow: string
  readonly arrowBack: string
  /** For timelines: packets that were answered, and that were not. */
  readonly answered: string
  readonly silent: string
  readonly edit: string
  readonly rule: string
}

const FANCY: Marks = {
  yes: '✓', no: '✗', self: '·', shown: '✔', notShown: '✘', arrow: '→', arrowBack: '←', answered: '█', silent: '░', edit: '▲', rule: '─',
}
const PLAIN: Marks = {
  yes: 'yes', no: '-', self: '.', shown: 'ok', notShown: 'FAILED', arrow: '->', arrowBack: '<-', answered: '#', silent: '.', edit: '^', rule: '-',
}
const CODES: Readonly<Record<Ink, number>> = { good: 32, bad: 31, faint: 90, strong: 1, note: 33 }

/** What people read comfortably, however wide the terminal is. */
const MOST_COLUMNS = 80

export const PLAIN_STYLE: Style = { width: MOST_COLUMNS, marks: PLAIN, ink: (_, text) => text }

export function styleOf(stream: NodeJS.WriteStream): Style {
  if (stream.isTTY !== true || !stream.hasColors()) return PLAIN_STYLE
  return {
    // A terminal that does not know its width says 0.
    width: Math.max(40, Math.min(MOST_COLUMNS, stream.columns || MOST_COLUMNS)),
    marks: FANCY,
    ink: (ink, text) => `\x1b[${CODES[ink]}m${text}\x1b[0m`,
  }
}

/** Breaks at blanks; lines of at most `width` columns where words allow it. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}

/** A label, and beside it a text in as many lines as it takes. */
export function beside(label: string, labelWidth: number, text: string, width: number): readonly string[] {
  return wrap(text, width - labelWidth).map((line, index) => (index === 0 ? label.padEnd(labelWidth) : ' '.repeat(labelWidth)) + line)
}

/** `text` has no escapes, and each of its characters takes one column. */
export function padCentre(text: string, width: number): string {
  const free = Math.max(0, width - [...text].length)
  return ' '.repeat(Math.floor(free / 2)) + text + ' '.repeat(free - Math.floor(free / 2))
}
