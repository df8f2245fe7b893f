// The audit of one node: what the kernel logs becomes records with the names of its time, and goes where records go.
//
//   NFLOG reader (worker) -> backlog -> record (owner history, the plan of now) -> line -> stream of the socket, sinks
//
// **Invariant:** nothing of this holds back a turn, a commit or a verdict: it works in slices, every queue is bounded, and each failure
// is a state and a problem, never an exception.
import { AuditHistory } from '../audit/history.ts'
import type { LoggedFlow, LostPackets } from '../audit/logged-flow.ts'
import { agentRecord, lostRecord } from '../audit/other-records.ts'
import { openReader, type AuditReader } from '../audit/reader.ts'
import { RecordMaker, type RecordCounts } from '../audit/records.ts'
import type { Planned } from '../explain/planned.ts'
import { lineOf } from '../flows/line.ts'
import type { AgentRecord, AuditRecord } from '../flows/record.ts'
import { messageOf } from '../lib/errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { Revision } from '../model/changes.ts'
import type { NatDelta } from '../nat/plan.ts'
import type { PlanDelta } from '../policy/plan.ts'
import type { MarkLayout } from '../ruleset/marks.ts'
import type { AgentConfig } from '../settings.ts'
import type { RecordLine, SinkState } from '../sinks/sink.ts'
import type { SnapshotDelta } from '../store/snapshot.ts'
import type { Log } from '../telemetry/log.ts'
import { AuditBacklog } from './audit-backlog.ts'
import { auditHealth, auditProblems, type AuditHealth, type ReaderState } from './audit-health.ts'
import { AuditLosses } from './audit-losses.ts'
import type { Closable, PlanFollower } from './follower.ts'
import type { ProblemParts } from './problem-parts.ts'
import type { Turns } from './turn.ts'

/** Where records go: the socket's readers, and sinks. */
export interface AuditOutlet {
  /** Neither waits nor throws. */
  write(line: RecordLine): void
}

export interface AuditOptions {
  readonly config: Pick<AgentConfig, 'nodeName' | 'auditGroup'>
  readonly clock: Clock
  readonly log: Log
  readonly turns: Turns
  /** Null where Services are somebody else's. */
  readonly mark: MarkLayout | null
  readonly problems: Pick<ProblemParts, 'set'>
  /** What explain would be answered by; null: nothing now. */
  readonly world: () => Planned | null
  /** Why the kernel takes no log rule; null: it does. */
  readonly cannotLog: string | null
  readonly outlets: readonly AuditOutlet[]
  /** Of all sinks. */
  readonly sinkStates: () => ReadonlyMap<string, SinkState>
}

export interface AuditCounts {
  readonly records: RecordCounts
  /** Packets, by stage. */
  readonly lost: Readonly<Record<LostPackets['stage'], number>>
  readonly history: { readonly notes: number; readonly bytes: number }
}

/** A reader that begins needs a moment: the agent before may not have let go of the group yet. Milliseconds. */
const GRACE_MS = 3_000
/** Sinks and losses tell nobody when they get better. Milliseconds. */
const LOOK_MS = 10_000

export class Audit implements PlanFollower, Closable {
  readonly #options: AuditOptions
  readonly #history: AuditHistory
  readonly #maker: RecordMaker
  readonly #backlog: AuditBacklog
  readonly #losses: AuditLosses
  #reader: AuditReader | null = null
  #state: ReaderState = { kind: 'starting' }
  /** When the state was last another kind; by the clock's now(). */
  #stateSince: number
  #cancelLook: () => void = () => undefined
  #told = 'null'
  #isFaulty = false
  /** The history is not to be trusted: no record is made any more. */
  #isBroken = false
  #isClosed = false

  constructor(options: AuditOptions) {
    const { clock, turns, config, mark, world } = options
    this.#options = options
    this.#stateSince = clock.now()
    this.#history = new AuditHistory(turns)
    this.#maker = new RecordMaker({ history: this.#history, node: config.nodeName, mark, world })
    this.#losses = new AuditLosses(clock, (lost) => this.#tell(lostRecord(config.nodeName, { ...lost, name: null }, clock.wallTime())))
    this.#backlog = new AuditBacklog({ clock, take: (flow) => this.#take(flow), onLost: (lost) => this.#losses.add(lost) })
  }

  /** To be called once everything that may end the agent has been tried. */
  open(): void {
    const { config, clock, cannotLog } = this.#options
    this.say('started', `the audit of node ${config.nodeName} begins`)
    if (cannotLog === null && !this.#isBroken) {
      this.#reader = openReader({
        group: config.auditGroup,
        clock,
        onFlows: (flows) => this.#backlog.push(flows),
        onLost: (lost) => this.#losses.add(lost),
        onState: (state) => this.#became(state),
      })
    }
    this.#look()
  }

  planned(revision: Revision, delta: PlanDelta, services: NatDelta['services'], rows: SnapshotDelta): void {
    this.#remember(() => {
      const moved = this.#history.planned(revision, delta, services, rows, this.#options.clock.wallTime())
      // So that no flow has packets of before and after.
      this.#reader?.cut(moved)
    })
  }

  held(revision: Revision): void {
    this.#remember(() => this.#history.held(revision, this.#options.clock.wallTime()))
  }

  /** Null: nothing is known yet. */
  get health(): AuditHealth | null {
    const { cannotLog, sinkStates, clock } = this.#options
    const isNew = clock.now() - this.#stateSince < GRACE_MS
    const reader: ReaderState = this.#state.kind === 'failed' && isNew ? { kind: 'starting' } : this.#state
    const failedSinks = [...sinkStates()].flatMap(([name, { failure }]) => (failure === null ? [] : [{ name, failure }]))
    return auditHealth({ cannotLog, reader, failedSinks, sinceLoss: this.#losses.since })
  }

  get isReading(): boolean {
    return this.#state.kind === 'reading'
  }

  get counts(): AuditCounts {
    return { records: this.#maker.counts, lost: this.#losses.totals, history: this.#history.size }
  }

  /** What the agent has to say of itself. */
  say(event: AgentRecord['event'], message: string): void {
    const { config, clock } = this.#options
    this.#tell(agentRecord(config.nodeName, event, message, clock.wallTime()))
  }

  /** What has been logged until now becomes records, as far as it takes no longer than a second. The outlets stay open. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelLook()
    const { clock } = this.#options
    let cancel: () => void = () => undefined
    const deadline = new Promise<void>((resolve) => {
      cancel = clock.after(1_000, resolve)
    })
    await Promise.race([this.#reader?.flush().then(() => this.#backlog.settled()), deadline])
    cancel()
    await this.#reader?.close()
    this.#backlog.close()
    this.#losses.flush()
    this.say('stopped', 'the agent ends; what it programmed stays in force, and what it logs meanwhile nobody reads')
  }

  /** Within a turn, which no mistake of ours must end: it ends the audit instead. Where nothing is logged, nothing is remembered. */
  #remember(note: () => void): void {
    const { cannotLog, log } = this.#options
    if (cannotLog !== null || this.#isBroken) return
    try {
      note()
    } catch (error) {
      this.#isBroken = true
      log.error({ error: messageOf(error) }, 'who had which address is not known any more, and the audit ends: this is a bug of Picket, report it')
      void this.#reader?.close()
      this.#reader = null
      this.#became({ kind: 'failed', code: 'AuditBroken', message: 'a bug of Picket ended the audit (the log says which); report it, and start the agent again' })
    }
  }

  #became(state: ReaderState): void {
    if (state.kind !== this.#state.kind) this.#stateSince = this.#options.clock.now()
    this.#state = state
    this.#look()
  }

  /** Tells how it is where that changed, and looks again in a while. */
  #look(): void {
    if (this.#isClosed) return
    const { problems, config, clock } = this.#options
    const { health } = this
    this.#cancelLook()
    const told = JSON.stringify(health)
    if (told !== this.#told) problems.set('audit', auditProblems(config.nodeName, health))
    this.#told = told
    this.#cancelLook = clock.after(this.#state.kind === 'failed' ? GRACE_MS + 100 : LOOK_MS, () => this.#look())
  }

  #take(flow: LoggedFlow): void {
    const { clock, log } = this.#options
    try {
      if (this.#isBroken) return this.#losses.add({ stage: 'queue', count: flow.count, first: flow.first, last: flow.last })
      const record = this.#maker.make(flow, clock.wallTime())
      if (record !== null) this.#tell(record)
    } catch (error) {
      // A mistake of ours must not end the agent; it is counted, and told once.
      this.#losses.add({ stage: 'queue', count: flow.count, first: flow.first, last: flow.last })
      if (!this.#isFaulty) log.error({ error: messageOf(error), prefix: flow.prefix }, 'a logged packet became no record: this is a bug of Picket, report it')
      this.#isFaulty = true
    }
  }

  #tell(record: AuditRecord): void {
    const line = lineOf(record)
    for (const outlet of this.#options.outlets) outlet.write(line)
  }
}
