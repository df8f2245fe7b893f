// nft text -> words: the lowest layer of the packet tracer.
//
// A word is what stands between blanks; braces, commas, semicolons and line ends are words of their own, a quoted
// string is one word. **Invariant:** nothing is dropped but blanks and comments, so that the parser above sees every word.

export interface Token {
  readonly text: string
  readonly quoted: boolean
  readonly line: number
}

export const LINE_END = '\n'

/** What the tracer does not know, or what the kernel would refuse. A test that sees one fails. */
export class TracerError extends Error {
  constructor(message: string, token?: Token) {
    super(token === undefined ? message : `line ${token.line}: ${message}`)
    this.name = 'TracerError'
  }
}

const WORD = /"(?<quoted>[^"]*)"|#.*|(?<sign>[{},;\n])|(?<word>[^\s{},;"]+)/g

export function tokenise(text: string): readonly Token[] {
  const tokens: Token[] = []
  let line = 1
  for (const match of text.replaceAll('\\\n', ' \n').matchAll(WORD)) {
    const { quoted, sign, word } = match.groups as { quoted?: string; sign?: string; word?: string }
    if (quoted !== undefined) tokens.push({ text: quoted, quoted: true, line })
    else if (sign !== undefined) tokens.push({ text: sign, quoted: false, line })
    else if (word !== undefined) tokens.push({ text: word, quoted: false, line })
    if (sign === LINE_END) line += 1
  }
  tokens.push({ text: LINE_END, quoted: false, line })
  return tokens
}

/** A place in the words of a text. */
export class Cursor {
  private at = 0
  private readonly tokens: readonly Token[]

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens
  }

  peek(): Token | null {
    return this.tokens[this.at] ?? null
  }

  /** Whether the next words are these; they are taken if so. Quoted words are never keywords. */
  take(...words: readonly string[]): boolean {
    const here = words.every((word, i) => this.tokens[this.at + i]?.text === word && this.tokens[this.at + i]?.quoted === false)
    if (here) this.at += words.length
    return here
  }

  next(what: string): Token {
    const token = this.tokens[this.at]
    if (token === undefined) throw new TracerError(`expected ${what}, found the end`)
    this.at += 1
    return token
  }

  expect(word: string): void {
    const token = this.next(`'${word}'`)
    if (token.text !== word || token.quoted) throw new TracerError(`expected '${word}', found '${token.text}'`, token)
  }

  skipLineEnds(): void {
    while (this.take(LINE_END) || this.take(';'));
  }

  /** The words up to the end of the statement: a line end or a semicolon outside braces, or the brace that closes the block. */
  statement(): readonly Token[] {
    const out: Token[] = []
    let depth = 0
    for (;;) {
      const token = this.peek()
      if (token === null) return out
      const sign = token.quoted ? '' : token.text
      if (depth === 0 && (sign === '}' || sign === ';' || sign === LINE_END)) return out
      if (sign === '{') depth += 1
      if (sign === '}') depth -= 1
      this.at += 1
      if (sign !== LINE_END) out.push(token)
    }
  }
}
