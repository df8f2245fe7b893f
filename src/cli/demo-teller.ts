// Tells the demo's story: headings, sentences, tables, and how each scene went.
//
// Scenes -> text on stdout, or nothing but one JSON line a scene. **Invariant:** after `mute` not a word of the story
// comes: it went on in the background, and is none any more.
import type { SceneReport } from './demo-scenes.ts'
import { print, printJson } from './output.ts'
import { wrap, type Style } from './demo-style.ts'

const INDENT = '   '
/** So many are told in full; `--output json` has them all. */
const MOST_FAULTS = 10

const OPENING =
  'Three nodes, each with its own agent; pods with real servers; all in network namespaces, so that this machine\'s own network stays as it is. ' +
  'Every number is measured. Ctrl-C ends it and cleans up.'

/** Command, and what it does where that is not plain. */
const TRY_NEXT: readonly (readonly [string, string])[] = [
  ['lab up -f deploy/examples/shop', 'the same shop, to play with: edit the policies there while it is up'],
  ['lab matrix', 'who reaches whom now'],
  ['lab probe --from shop/front --to shop/db --port 5432/tcp', 'one question: denied, status 1'],
  ['lab exec shop/front -- ip address', 'any command in the network of a pod'],
  ['lab exec node:n1 -- nft list table inet picket', 'what the kernel of a node holds'],
  ['lab down', 'the end'],
]

export class Teller {
  readonly style: Style
  readonly #form: 'text' | 'json'
  #muted = false
  #afterBlank = true

  constructor(style: Style, form: 'text' | 'json') {
    this.style = style
    this.#form = form
  }

  /** Columns that a line of a block may take. */
  get blockWidth(): number {
    return this.style.width - INDENT.length
  }

  mute(): void {
    this.#muted = true
  }

  opening(): void {
    const { ink } = this.style
    this.#print([ink('strong', 'Picket: what NetworkPolicies do, on real packets')])
    this.say(OPENING)
    this.#print([''])
  }

  /** What is being made, in the order in which it comes. */
  progress(text: string): void {
    this.#print([INDENT + this.style.ink('faint', text)])
  }

  scene(number: number, title: string): void {
    const { ink, marks, width } = this.style
    const head = `${number}  ${title} `
    this.#print(['', ink('strong', head) + ink('faint', marks.rule.repeat(Math.max(3, width - head.length)))])
  }

  /** A sentence or two, wrapped. */
  say(text: string): void {
    this.#print(wrap(text, this.blockWidth).map((line) => INDENT + line))
  }

  /** What a table's marks mean, and the like. */
  remark(text: string): void {
    this.#print(wrap(text, this.blockWidth).map((line) => INDENT + this.style.ink('faint', line)))
  }

  /** Lines that stand as they are, with room around them. */
  block(lines: readonly string[]): void {
    this.#print(['', ...lines.map((line) => (INDENT + line).trimEnd()), ''])
  }

  /** How the scene went. */
  verdict(id: string, title: string, report: SceneReport, ms: number): void {
    const { ink, marks } = this.style
    const shown = report.faults.length === 0
    if (this.#form === 'json') {
      if (!this.#muted) printJson({ scene: id, title, shown, ms: Math.round(ms), ...report.facts, faults: report.faults }, 'line')
      return
    }
    const paint = (line: string): string => ink(shown ? 'good' : 'bad', line)
    const sentence = shown ? report.summary : 'This scene did not show what it says it shows:'
    const { length } = report.faults
    const faults = report.faults.slice(0, MOST_FAULTS).map((fault) => `- ${fault}`)
    const lines = [sentence, ...faults, ...(length > MOST_FAULTS ? [`- and ${length - MOST_FAULTS} more`] : [])]
    const [first = '', ...more] = lines.flatMap((line) => wrap(line, this.blockWidth - 3))
    this.#print(['', `${INDENT}${paint(shown ? marks.shown : marks.notShown)} ${paint(first)}`, ...more.map((line) => `${INDENT}  ${paint(line)}`)])
  }

  /** The end, after everything is cleaned up. */
  closing(totals: { readonly scenes: number; readonly shown: number; readonly seconds: number }): void {
    const { scenes, shown, seconds } = totals
    if (this.#form === 'json') return printJson(totals, 'line')
    const { ink } = this.style
    const sentence = `${shown} of ${scenes} scenes showed what they say, in ${seconds} s.`
    print(ink(shown === scenes ? 'good' : 'bad', sentence))
    print('')
    print(ink('strong', 'Try next:'))
    for (const [command, what] of TRY_NEXT) print(`  ${ink('strong', `npm run -s picket -- ${command}`)}${what === '' ? '' : `\n      ${what}`}`)
  }

  /** Said also after the story: that it is being cleaned up. To stderr where stdout is for programs. */
  aside(text: string): void {
    if (this.#form === 'json') process.stderr.write(`${text}\n`)
    else print(text)
  }

  #print(lines: readonly string[]): void {
    if (this.#form === 'json' || this.#muted) return
    for (const line of lines) {
      if (line !== '' || !this.#afterBlank) print(line)
      this.#afterBlank = line === ''
    }
  }
}
