// The agent's second table: `bridge picket`, with a committer of its own, so that neither table holds the other up.
//
//   what a turn changed in attachments and ports -> pins -> committer -> kernel;  a port that is new gets its hairpin flag
//
// **Invariant:** on a node that never had a pod on a bridge there is no such table; once there is, it stays true.
import type { ForeignChange, Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import type { Revision } from '../model/changes.ts'
import { NetlinkPortReader, type PortReader } from '../node/port-reader.ts'
import type { PlanDelta } from '../policy/plan.ts'
import { BRIDGE_TABLE, BridgePins } from '../ruleset/bridge.ts'
import { bridgeProblems, BridgedPods } from './bridge-filter.ts'
import { Committer, type Repair } from './committer.ts'

export interface BridgeTableOptions {
  readonly kernel: Kernel
  readonly clock: Clock
  /** Reads what is behind ports again: something is missing. */
  readonly readPorts: () => void
  readonly onHeld: () => void
  readonly onRepaired: (repair: Repair) => void
  readonly onProblems: (problems: readonly Problem[]) => void
}

export class BridgeTable {
  readonly #options: BridgeTableOptions
  /** Also for the watch of interfaces. */
  readonly ports: PortReader = new NetlinkPortReader()
  readonly #pins = new BridgePins()
  readonly #bridged = new BridgedPods()
  #committer: Committer | null = null
  #commitProblems: readonly Problem[] = []
  readonly #hairpinProblems = new Map<string, Problem>()
  #closed = false

  constructor(options: BridgeTableOptions) {
    this.#options = options
  }

  /** Takes over the table that an earlier agent left. */
  async start(): Promise<void> {
    if ((await this.#options.kernel.readBack(BRIDGE_TABLE)).kind !== 'absent') this.#begin()
  }

  /** At the end of a turn. */
  planned(revision: Revision, delta: PlanDelta): void {
    for (const port of this.#pins.change(delta.attachments.values(), delta.ports.values())) {
      const trouble = this.ports.setHairpin(port.index)
      this.#hairpinProblems.delete(port.name)
      if (trouble !== null) this.#hairpinProblems.set(port.name, noHairpin(port.name, trouble))
      this.#tell()
    }
    if (this.#pins.size > 0) this.#begin()
    this.#committer?.want(revision, this.#pins.wanted.takeDirty())
    // Outside of the turn: reading may tell interfaces anew.
    if (this.#bridged.changed(delta.attachments)) setImmediate(this.#options.readPorts)
  }

  /** What is wrong with bridges beside the table itself, read anew. */
  problems(): readonly Problem[] {
    return [...(this.#bridged.size > 0 ? bridgeProblems() : []), ...this.#bridged.unpinned()]
  }

  /** The revision that the kernel holds of it; endless while there is no such table. */
  get held(): Revision {
    return this.#committer?.held ?? Infinity
  }

  /** As Committer.check(). */
  check(change: ForeignChange | null): void {
    this.#committer?.check(change)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#committer?.close()
    this.ports.close()
  }

  #begin(): void {
    if (this.#committer !== null || this.#closed) return
    const { kernel, clock, onHeld, onRepaired } = this.#options
    const committer = new Committer({
      kernel,
      clock,
      table: BRIDGE_TABLE,
      wanted: this.#pins.wanted.state,
      ownersOf: (name, elements) => this.#pins.wanted.ownersOf(name, elements),
      // What is pinned follows from addresses alone: there is nothing to leave out, and the search ends with what is refused.
      compile: () => undefined,
      onHeld,
      onRepaired,
      onProblems: (problems) => {
        this.#commitProblems = problems.map((problem) => ({ ...problem, message: `table bridge picket: ${problem.message}` }))
        this.#tell()
      },
    })
    this.#committer = committer
    void kernel.watch(BRIDGE_TABLE, (change) => committer.check(change)).catch(() => undefined)
  }

  #tell(): void {
    this.#options.onProblems([...this.#commitProblems, ...this.#hairpinProblems.values()])
  }
}

function noHairpin(port: string, trouble: string): Problem {
  return {
    code: 'NoHairpin',
    severity: 'warning',
    object: `bridge port ${port}`,
    message: `its hairpin flag cannot be set (${trouble}): the pod behind it may not reach itself through a Service`,
  }
}
