// What keeps connections from being cut, or from staying cut, as problems that users read.
//
// Connections that made room for others are told with the next end of a round, or at once where none runs; until a round that a
// change began needs no room.
// **Invariant:** each problem says what happens to connections meanwhile; whatever made room is told, whoever needed it.
import type { Problem } from '../lib/problem.ts'

export class CutProblems {
  readonly #onProblems: (problems: readonly Problem[]) => void
  /** What stood in the way of the last round. */
  #trouble: string | null = null
  /** How many had made room when it was told last. */
  #evicted = 0
  /** How many of them are told. */
  #forgotten = 0

  constructor(onProblems: (problems: readonly Problem[]) => void) {
    this.#onProblems = onProblems
  }

  /** `evicted`: how many made room so far. After a change those of earlier rounds are told no more. */
  roundEnded(trouble: string | null, evicted: number, isChange: boolean): void {
    this.#trouble = trouble
    if (isChange || evicted > this.#evicted) this.#forgotten = evicted - this.#evicted
    this.#tell(evicted)
  }

  /** What needed room was no round. */
  evicted(evicted: number): void {
    if (evicted === this.#evicted) return
    this.#forgotten = evicted - this.#evicted
    this.#tell(evicted)
  }

  #tell(evicted: number): void {
    this.#evicted = evicted
    this.#onProblems([...(this.#trouble === null ? [] : [notCut(this.#trouble)]), ...(this.#forgotten > 0 ? [noRoom(this.#forgotten)] : [])])
  }
}

function notCut(message: string): Problem {
  return {
    code: 'NotCut',
    severity: 'error',
    object: 'established connections',
    message: `${message}; connections that lost their permission may go on receiving until it succeeds, and it is tried again`,
  }
}

function noRoom(count: number): Problem {
  return {
    code: 'CutForgotten',
    severity: 'warning',
    object: 'established connections',
    message: `the set of cut connections is full: ${count} that were silent for longest were taken out of it, and may go on should they speak again`,
  }
}
