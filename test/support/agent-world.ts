// The agent's loop without its sources: turns, committer and a kernel, driven by a test's own clock.
//
// What agent.ts wires together, with a fake kernel in place of the real one, or any other.
// **Invariant:** after settled() or an advance of the clock, everything that could be committed is.
import { Committer, type CommitReport, type Repair } from '../../src/agent/committer.ts'
import { Turns, type OnPlanned } from '../../src/agent/turn.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { Problem } from '../../src/lib/problem.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { syncAll } from './cluster-feed.ts'

/** Who follows: after what the world keeps itself. */
export interface Hooks {
  readonly onPlanned?: OnPlanned
  readonly onHeld?: (report: CommitReport) => void
  readonly onProblems?: (problems: readonly Problem[]) => void
}

export class AgentWorld {
  readonly turns: Turns
  readonly committer: Committer
  readonly held: CommitReport[] = []
  readonly repairs: Repair[] = []
  problems: readonly Problem[] = []
  #waits = false

  constructor(kernel: Kernel, clock: Clock, nodeName = 'n1', hooks: Hooks = {}) {
    this.turns = new Turns({
      clock,
      onWork: () => undefined,
      onPlanned: (...planned) => hooks.onPlanned?.(...planned),
      step: { isLocal: (pod) => pod.node === nodeName, nodeName, podInterfaces: [], podAttachment: 'auto', sourcePrefixNamespaces: ['default'] },
      skeleton: { newPods: 'deny', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto' },
    })
    const { wanted } = this.turns.translator
    this.committer = new Committer({
      kernel,
      clock,
      table: TABLE,
      wanted: wanted.state,
      ownersOf: (name, elements) => wanted.ownersOf(name, elements),
      compile: (quarantine) => this.committer.want(this.turns.requarantine(quarantine).revision, wanted.takeDirty()),
      onSearched: () => this.#waits && setImmediate(() => this.turn()),
      onHeld: (report) => {
        this.held.push(report)
        hooks.onHeld?.(report)
      },
      onRepaired: (repair) => this.repairs.push(repair),
      onProblems: (problems) => {
        this.problems = problems
        hooks.onProblems?.(problems)
      },
    })
    syncAll(this.turns.inbox)
  }

  /** As agent.ts does it. */
  turn(): void {
    this.#waits = this.committer.searching
    if (this.#waits) return
    const report = this.turns.run()
    if (report === null) return
    this.committer.released(report.released)
    this.committer.want(report.revision, this.turns.translator.wanted.takeDirty())
  }

  async close(): Promise<void> {
    await this.committer.close()
  }
}
