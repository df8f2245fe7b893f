// The problems that last, by what gave rise to them, and which came and went since the last turn.
//
// **Invariant:** the same problem from two causes is one problem, and goes with the last of them.
import { problemKey, type Problem } from '../lib/problem.ts'
import type { Change, Changes } from '../model/changes.ts'

const NONE: readonly Problem[] = []

export class ProblemBook {
  readonly #byCause = new Map<string, readonly Problem[]>()
  readonly #held = new Map<string, { readonly problem: Problem; causes: number }>()
  #changes = new Map<string, Change<Problem>>()

  /** What `cause` (an object, an address) gives rise to now; empty for nothing any more. */
  set(cause: string, problems: readonly Problem[]): void {
    const before = this.#byCause.get(cause) ?? NONE
    if (before.length === 0 && problems.length === 0) return
    for (const problem of problems) this.#hold(problem)
    for (const problem of before) this.#drop(problem)
    if (problems.length === 0) this.#byCause.delete(cause)
    else this.#byCause.set(cause, problems)
  }

  /** What came and went since the last call, keyed by problemKey. */
  take(): Changes<string, Problem> {
    const changes = this.#changes
    this.#changes = new Map()
    return changes
  }

  #hold(problem: Problem): void {
    const key = problemKey(problem)
    const held = this.#held.get(key)
    if (held !== undefined) {
      held.causes += 1
      return
    }
    this.#held.set(key, { problem, causes: 1 })
    if (this.#changes.has(key)) this.#changes.delete(key)
    else this.#changes.set(key, { before: null, after: problem })
  }

  #drop(problem: Problem): void {
    const key = problemKey(problem)
    const held = this.#held.get(key)
    if (held === undefined) return
    held.causes -= 1
    if (held.causes > 0) return
    this.#held.delete(key)
    if (this.#changes.has(key)) this.#changes.delete(key)
    else this.#changes.set(key, { before: held.problem, after: null })
  }
}
