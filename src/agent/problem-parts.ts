// What the agent's parts say is wrong, each all of its own at once, as one list.
//
// **Invariant:** a problem is logged when a part first tells it, and not again while it goes on telling it.
import { problemKey, type Problem } from '../lib/problem.ts'
import type { Log } from '../telemetry/log.ts'

export type ProblemPart = 'source' | 'kernel' | 'cutting' | 'canary' | 'clients' | 'foreign' | 'pins' | 'bridges' | 'stale-udp' | 'health-ports' | 'node-health' | 'node-status' | 'logging'

export class ProblemParts {
  readonly #log: Log
  readonly #parts = new Map<ProblemPart, readonly Problem[]>()
  readonly #listeners: ((part: ProblemPart) => void)[] = []

  constructor(log: Log) {
    this.#log = log
  }

  /** All that the part has to say now. */
  set(part: ProblemPart, problems: readonly Problem[]): void {
    const before = new Set(this.of(part).map(problemKey))
    for (const problem of problems) if (!before.has(problemKey(problem))) this.#log[problem.severity === 'error' ? 'error' : 'warn']({ problem }, 'problem')
    this.#parts.set(part, problems)
    for (const listener of this.#listeners) listener(part)
  }

  /** Called whenever a part has said what it has to say, be it the same. */
  listen(listener: (part: ProblemPart) => void): void {
    this.#listeners.push(listener)
  }

  of(part: ProblemPart): readonly Problem[] {
    return this.#parts.get(part) ?? []
  }

  all(): readonly Problem[] {
    return [...this.#parts.values()].flat()
  }
}
