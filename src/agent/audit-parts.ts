// The audit with all that belongs to it: what annotations say until when, records, the stream of the socket, the sinks.
//
//   source -> take() -> inbox;   kernel's log -> Audit -> FlowStream (GET /flows), FanOut (auditSinks)
//
// **Invariant:** opened last and closed before what it reads from; where the kernel cannot log, everything else works as ever.
import type { Clock } from '../lib/clock.ts'
import type { Revision, SourceEvent } from '../model/changes.ts'
import { parseSinks } from '../flows/sink-text.ts'
import type { MarkLayout } from '../ruleset/marks.ts'
import { FlowStream } from '../serve/flows.ts'
import type { SocketAnswers } from '../serve/socket.ts'
import type { AgentConfig } from '../settings.ts'
import { FanOut } from '../sinks/fan-out.ts'
import type { SinkState } from '../sinks/sink.ts'
import type { Log } from '../telemetry/log.ts'
import type { AuditReading } from '../telemetry/readings.ts'
import { Audit } from './audit.ts'
import type { AuditHealth } from './audit-health.ts'
import { plannedOf } from './explaining.ts'
import type { Closable, PlanFollower } from './follower.ts'
import { LogEnds } from './log-ends.ts'
import { cannotLog as cannotLogProblem } from './log-probe.ts'
import type { ProblemParts } from './problem-parts.ts'
import type { OnPlanned, Turns } from './turn.ts'

export interface AuditPartsOptions {
  readonly config: AgentConfig
  readonly clock: Clock
  readonly log: Log
  readonly turns: Turns
  /** Null where Services are somebody else's. */
  readonly mark: MarkLayout | null
  readonly problems: ProblemParts
  /** Why the kernel takes no log rule; null: it does. */
  readonly cannotLog: string | null
  /** Other quarantines are tried: what the plan says then is not meant. */
  readonly searching: () => boolean
  readonly push: (events: readonly SourceEvent[]) => void
}

const NO_SINKS: ReadonlyMap<string, SinkState> = new Map()

export class AuditParts implements PlanFollower, Closable {
  readonly streams: NonNullable<SocketAnswers['streams']>
  readonly planned: OnPlanned
  readonly #ends: LogEnds
  readonly #stream: FlowStream
  readonly #config: AgentConfig
  readonly #clock: Clock
  /** Null before open(). */
  #sinks: FanOut | null = null
  #isClosed = false
  readonly #audit: Audit

  constructor(options: AuditPartsOptions) {
    const { config, clock, problems, cannotLog, turns, searching, push } = options
    if (cannotLog !== null) problems.set('logging', [cannotLogProblem(config.nodeName, cannotLog)])
    this.#config = config
    this.#clock = clock
    this.#ends = new LogEnds(clock, push)
    this.#stream = new FlowStream({ clock, node: config.nodeName })
    this.#audit = new Audit({
      ...options,
      world: () => (searching() ? null : plannedOf({ turns, config, problems: () => [] })),
      outlets: [this.#stream, { write: (line) => this.#sinks?.write(line) }],
      sinkStates: () => this.#sinks?.states() ?? NO_SINKS,
    })
    this.streams = { '/flows': (request, response) => this.#stream.handle(request, response) }
    this.planned = (...planned) => this.#audit.planned(...planned)
  }

  get health(): AuditHealth | null {
    return this.#audit.health
  }

  /** For metrics. */
  get reading(): Omit<AuditReading, 'suppression'> {
    const { records, lost, history } = this.#audit.counts
    const sinks = [...(this.#sinks?.states() ?? NO_SINKS)].map(([name, { written, lost: lostThere, queued, failure }]) => ({ name, written, lost: lostThere, queued, failed: failure !== null }))
    return { reading: this.#audit.isReading, records, lost, historyBytes: history.bytes, readers: this.#stream.state().readers, sinks }
  }

  /** What a source says, without what has ended. */
  take(event: SourceEvent): SourceEvent {
    return this.#ends.take(event)
  }

  held(revision: Revision): void {
    this.#audit.held(revision)
  }

  /** To be called once everything that may end the agent has been tried. */
  open(): this {
    this.#sinks = FanOut.open({ specs: parseSinks(this.#config.auditSinks), node: this.#config.nodeName, clock: this.#clock, onRecord: (line) => this.#stream.write(line) })
    this.#audit.open()
    return this
  }

  /** Before the socket: whoever reads from it hears the end. May be called again. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#ends.close()
    await this.#audit.close()
    await this.#sinks?.close()
    this.#stream.close()
  }
}
