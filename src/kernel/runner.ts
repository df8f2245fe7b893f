// How nft text gets to nft: the seam below TextKernel, with one implementation in process and one that spawns.
//
// **Invariant:** every run ends within its deadline, and a run that was `lost` has ended for good before the next one
// begins: a commit that comes late must not land behind a later one.

export interface Run {
  /** Commands, one a line. */
  readonly text: string
  /** `json`: a listing, as JSON with numbers in place of names. `check`: the kernel judges everything and keeps nothing. */
  readonly mode: 'commit' | 'json' | 'check'
  /** Milliseconds. */
  readonly deadline: number
}

export type RunResult =
  /** `output` is what nft printed: JSON in that mode, else nothing. */
  | { readonly kind: 'done'; readonly output: string }
  /** nft or the kernel refused; `output` is what nft said, as it stands. */
  | { readonly kind: 'failed'; readonly output: string }
  /** No answer: nobody knows what the kernel made of it. */
  | { readonly kind: 'lost'; readonly message: string }

export interface Runner {
  run(run: Run): Promise<RunResult>
  /** Whether a commit from that netlink port id is one of this runner's. False where in doubt. */
  isOwnPort(port: number): boolean
  close(): Promise<void>
}

/** The last few port ids of ours: commits are told some time after they were made. */
export class OwnPorts {
  #ports: readonly number[] = []

  add(ports: readonly number[]): void {
    if (ports.every((port) => this.#ports.includes(port))) return
    this.#ports = [...new Set([...this.#ports, ...ports])].slice(-MOST_PORTS)
  }

  has(port: number): boolean {
    return this.#ports.includes(port)
  }
}

const MOST_PORTS = 16

/** What nft said, as one line: the first error, with the command that it is about. `text` is what was run. */
export function firstError(output: string, text: string): string {
  const located = /^\S*?:([0-9]+):([0-9]+)-([0-9]+): Error: (.*)$/m.exec(output)
  if (located === null) return (/Error: (.*)$/m.exec(output)?.[1] ?? output.trim().split('\n')[0] ?? '').trim() || 'nft gave no reason'
  const line = text.split('\n')[Number(located[1]) - 1]
  const [from, to] = [Number(located[2]) - 1, Number(located[3])]
  const others = output.match(/^\S*?:[0-9]+:[0-9]+-[0-9]+: Error: /gm)?.length ?? 1
  return `${located[4]}${line === undefined ? '' : `: ${excerpt(line, from, to)}`}${others > 1 ? ` (and ${others - 1} more)` : ''}`
}

/** A long line is a list of elements: its beginning, and what the error is about. */
function excerpt(line: string, from: number, to: number): string {
  if (line.length <= 200) return line
  return `${line.slice(0, 80)} ... ${line.slice(from, Math.min(to, from + 100))}`
}

/** Resolves to null where `promise` has not settled after `milliseconds`. */
export async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), Math.max(0, milliseconds))
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}
