// The agent of one node: sources in, turns, commits, and the socket that tells about it.
//
//   manifests or API server, rtnetlink -> inbox -> turn -> committer -> kernel;  status and problems -> socket, log
//
// **Invariant:** nothing is written to the kernel before every source is synced; stopping leaves the kernel as it is.
import type { AgentConfig } from '../settings.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { openKernel } from '../kernel/open.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import type { Covers } from '../manifests/watch.ts'
import type { SourceEvent } from '../model/changes.ts'
import type { Owner } from '../model/owner.ts'
import { watchInterfaces, type InterfaceWatch } from '../node/watch.ts'
import type { MarkLayout } from '../ruleset/marks.ts'
import { TABLE } from '../ruleset/skeleton.ts'
import { openSocket, type AgentSocket } from '../serve/socket.ts'
import type { Log } from '../telemetry/log.ts'
import { AuditParts } from './audit-parts.ts'
import { BridgeTable } from './bridge-table.ts'
import type { Canary } from './canary.ts'
import { compileOptions } from './compile-options.ts'
import { Committer, type CommitReport, type Repair } from './committer.ts'
import type { Cutter } from './cutter.ts'
import { Applied } from './applied.ts'
import { explainOnNode } from './explaining.ts'
import type { Closable, PlanFollower } from './follower.ts'
import { startFollowers } from './followers.ts'
import { ForeignFlowtables } from './foreign.ts'
import { PodGate } from './gate.ts'
import { whyItCannotLog } from './log-probe.ts'
import { Measures } from './measures.ts'
import { Repairs } from './repairs.ts'
import { repeat } from './repeat.ts'
import { ProblemParts } from './problem-parts.ts'
import { openNodeStatus } from './node-status.ts'
import { rememberLists } from './remember-lists.ts'
import { checkSource, openSource, type ObjectSource } from './source.ts'
import { TurnPlanner } from './turn-planner.ts'
import { Turns } from './turn.ts'
import { SpareMemory } from './spare-memory.ts'
import { statusOf } from './status.ts'

/** Starts everything; throws a PicketError where something that it needs is missing. close() ends the process's part; the kernel stays as it is. */
export async function startAgent(config: AgentConfig, clock: Clock, log: Log): Promise<Closable> {
  await checkSource(config, clock)
  const kernel = await openKernel({ access: config.kernelAccess, onNote: (note) => log.warn(note) })
  const agent = new Agent(config, clock, log, kernel, await whyItCannotLog(kernel, config.auditGroup))
  try {
    await agent.start()
  } catch (error) {
    await agent.close()
    throw error
  }
  return agent
}

class Agent implements Closable {
  readonly #config: AgentConfig
  readonly #clock: Clock
  readonly #log: Log
  readonly #kernel: Kernel
  readonly #turns: Turns
  /** Null where Services are somebody else's. */
  readonly #mark: MarkLayout | null
  readonly #applied = new Applied()
  readonly #repairs = new Repairs()
  readonly #measures: Measures
  readonly #foreign = new ForeignFlowtables()
  readonly #closables: Closable[] = []
  readonly #followers: PlanFollower[] = []
  readonly #spare: SpareMemory
  readonly #problems: ProblemParts
  readonly #audit: AuditParts
  #committer: Committer | null = null
  /** Null with establishedConnections: keep. */
  #cutter: Cutter | null = null
  #canary: Canary | null = null
  /** Null with podAttachment: interface. */
  #bridge: BridgeTable | null = null
  #interfaces: InterfaceWatch | null = null
  #source: ObjectSource | null = null
  #gate: PodGate | null = null
  #socket: AgentSocket | null = null
  #covers: Covers | null = null
  readonly #searching = (): boolean => this.#committer?.searching === true
  readonly #planner = new TurnPlanner({ searching: this.#searching, run: () => this.#turn() })

  constructor(config: AgentConfig, clock: Clock, log: Log, kernel: Kernel, noLog: string | null) {
    this.#config = config
    this.#kernel = kernel
    this.#clock = clock
    this.#log = log
    this.#problems = new ProblemParts(log)
    this.#spare = new SpareMemory(clock)
    const compile = compileOptions(config, noLog === null)
    this.#mark = compile.skeleton.nat?.mark ?? null
    this.#turns = new Turns({
      clock,
      onWork: () => this.#planner.plan(),
      onPlanned: (revision, delta, services, rows) => {
        for (const follower of this.#followers) follower.planned(revision, delta, services, rows)
        this.#bridge?.planned(revision, delta)
      },
      ...compile,
    })
    this.#measures = new Measures(config, clock, {
      turns: this.#turns,
      applied: this.#applied,
      problems: () => this.#allProblems(),
      cutConnections: () => this.#cutter?.size ?? 0,
      cluster: () => this.#source?.cluster() ?? null,
      notReady: () => this.#notReady(), audit: () => this.#audit.reading,
    })
    this.#audit = new AuditParts({ config, clock, log, turns: this.#turns, mark: this.#mark, problems: this.#problems, cannotLog: noLog, searching: this.#searching, push: (events) => this.#push(events) })
    this.#closables.push(kernel, this.#spare, this.#audit)
    this.#followers.push(this.#audit)
  }

  async start(): Promise<void> {
    const [config, kernel] = [this.#config, this.#measures.watchKernel(this.#kernel)]
    await this.#follow(kernel)
    this.#committer = new Committer({
      kernel,
      clock: this.#clock,
      table: TABLE,
      wanted: this.#turns.translator.wanted.state,
      onRead: (applied) => this.#cutter?.read(applied),
      onCountersLeave: (names) => this.#measures.countersLeave(names),
      ownersOf: (name, elements) => this.#turns.translator.wanted.ownersOf(name, elements),
      compile: (quarantine) => this.#recompile(quarantine),
      onSearched: () => this.#planner.searchEnded(),
      onRepaired: (repair) => this.#repaired(repair),
      onHeld: (report) => this.#held(report),
      onProblems: (problems) => this.#problems.set('kernel', problems),
    })
    this.#closables.push(this.#committer)
    await kernel.watch(TABLE, (change) => this.#committer?.check(change))
    this.#socket = await openSocket(config.socket, {
      asked: { ...(await this.#openGate()).asked, 'POST /explain': this.#explaining() },
      status: () => this.#status(),
      notReady: () => this.#notReady(),
      covers: (digest) => this.#applied.covers?.digest === digest,
      streams: this.#audit.streams,
    })
    this.#closables.push(this.#socket)
    this.#closables.push(...(await this.#measures.open()))
    await rememberLists(kernel, this.#turns, this.#mark)
    if (config.podAttachment !== 'interface') this.#bridge = await this.#startBridge(kernel)
    this.#interfaces = await watchInterfaces({
      onEvents: (events) => this.#hear(events),
      onLost: (message) => this.#log.warn({ message }, 'interfaces are read anew'),
      ...(this.#bridge === null ? {} : { portReader: this.#bridge.ports }),
    })
    this.#closables.push(this.#interfaces)
    this.#source = await openSource(config, this.#clock, {
      onEvents: (events) => this.#hear(events),
      onProblems: (problems) => this.#problems.set('source', problems),
      onCovers: (covers) => {
        this.#covers = covers
        this.#planner.plan()
      },
    })
    this.#closables.push(this.#source)
    this.#closables.push(repeat(this.#clock, config.resyncInterval, () => this.#lookAround(() => kernel.flowtables())))
    this.#closables.push(this.#audit.open())
    this.#log.info({ kernel: kernel.description, source: config.source, socket: config.socket }, 'agent started')
  }

  #explaining(): ReturnType<typeof explainOnNode> {
    return explainOnNode({ config: this.#config, turns: this.#turns, held: () => this.#applied.report, searching: this.#searching, drained: () => !this.#turns.inbox.hasWork, problems: () => this.#allProblems(), counted: () => this.#measures.counted() })
  }

  async close(): Promise<void> {
    this.#planner.close()
    for (const part of this.#closables.splice(0).reverse()) await part.close()
  }

  /** What a source says. */
  #hear(events: readonly SourceEvent[]): void {
    this.#push(events.flatMap((event) => this.#gate?.take(event) ?? [event]).map((event) => this.#audit.take(event)))
  }

  #push(events: readonly SourceEvent[]): void {
    this.#measures.arrived(events)
    for (const follower of this.#followers) follower.arrived?.(events)
    for (const event of events) this.#turns.inbox.push(event)
    // The inbox tells of work once until it is drained, and it is not drained before everything is synced.
    this.#planner.plan()
  }

  #turn(): void {
    const covers = this.#covers
    if (this.#committer === null) return
    const report = this.#turns.run()
    if (report === null) return
    this.#committer.released(report.released)
    this.#applied.turned(report, covers)
    this.#measures.turned(report)
    this.#spare.turned(report.rowsTouched)
    this.#committer.want(report.revision, this.#turns.translator.wanted.takeDirty())
    this.#gate?.turned()
  }

  async #openGate(): Promise<PodGate> {
    const gate = await PodGate.open({
      clock: this.#clock,
      config: this.#config,
      turns: this.#turns,
      push: (events) => this.#push(events),
      held: () => Math.min(this.#committer?.held ?? 0, this.#bridge?.held ?? Infinity),
      trouble: () => this.#missing(),
      onNote: (note) => this.#log.warn(note),
    })
    this.#gate = gate
    this.#closables.push(gate)
    return gate
  }

  async #startBridge(kernel: Kernel): Promise<BridgeTable> {
    const onProblems = (problems: readonly Problem[]): void => this.#problems.set('pins', problems)
    const bridge = new BridgeTable({ kernel, clock: this.#clock, readPorts: () => this.#interfaces?.readPorts(), onHeld: () => this.#gate?.held(), onRepaired: (repair) => this.#repaired(repair), onProblems })
    this.#closables.push(bridge)
    await bridge.start()
    return bridge
  }

  async #follow(kernel: Kernel): Promise<void> {
    const options = { kernel, config: this.#config, clock: this.#clock, log: this.#log, turns: this.#turns, mark: this.#mark, measures: this.#measures, problems: this.#problems }
    const { cutter, canary, followers, closables } = startFollowers({ ...options, planSettled: () => this.#planner.settled(), recheck: () => this.#committer?.check(null) })
    const told = await openNodeStatus({ ...options, committer: () => this.#committer, cluster: () => this.#source?.cluster() ?? null, canary: () => canary?.state ?? null, audit: () => this.#audit.health, missing: () => this.#notReady() })
    this.#cutter = cutter
    this.#canary = canary
    this.#followers.push(...followers, ...told.followers)
    this.#closables.push(...closables, ...told.closables)
  }

  #recompile(quarantine: ReadonlySet<Owner>): void {
    const report = this.#turns.requarantine(quarantine)
    this.#committer?.want(report.revision, this.#turns.translator.wanted.takeDirty())
  }

  #repaired(repair: Repair): void {
    this.#measures.repaired(repair)
    this.#log.warn(this.#repairs.add(repair, this.#clock.wallTime()), 'repaired')
  }

  /** Anew with each ruleset, too: an interface may have become a pod's. */
  #tellForeign(): void {
    const pods = this.#turns.translator.wanted.state.sets.get('pod-interfaces')?.elements
    this.#problems.set('foreign', this.#foreign.problems((name) => pods?.has(`"${name}"`) === true))
    this.#problems.set('bridges', [...(this.#bridge?.problems() ?? []), ...(this.#interfaces?.problems() ?? [])])
  }

  #held(report: CommitReport): void {
    this.#tellForeign()
    this.#measures.held(report)
    for (const follower of this.#followers) follower.held(report.revision)
    const line = this.#applied.held(report, this.#clock.wallTime())
    if (line !== null) this.#log.info({ ...line, counts: this.#applied.counts(this.#turns, this.#cutter?.size ?? 0), problems: this.#allProblems().length }, 'applied')
    this.#socket?.changed()
    this.#gate?.held()
  }

  #allProblems(): readonly Problem[] {
    return [...this.#problems.all(), ...this.#turns.problems.values()]
  }

  #notReady(): string | null {
    return this.#applied.report === null ? this.#missing() : null
  }

  #missing(): string {
    if (!this.#turns.inbox.isSynced()) return this.#source?.missing() ?? 'the sources are being opened'
    return this.#problems.of('kernel')[0]?.message ?? 'the first complete ruleset is being written'
  }

  #status(): unknown {
    return statusOf({
      nodeName: this.#config.nodeName,
      kernel: this.#kernel.description,
      applied: this.#applied,
      wanted: this.#turns.revision,
      drained: !this.#turns.inbox.hasWork,
      counts: this.#applied.counts(this.#turns, this.#cutter?.size ?? 0),
      problems: this.#allProblems(),
      repairs: this.#repairs,
      missing: this.#notReady(),
      cluster: this.#source?.cluster() ?? null,
      canary: this.#canary?.state ?? null, audit: this.#audit.health,
    })
  }

  /** On the timer, and foreign flowtables at once: those carry packets past policy (rule 89), and what was not told is read back. */
  async #lookAround(read: Parameters<ForeignFlowtables['look']>[0]): Promise<void> {
    if (this.#applied.report !== null) for (const table of [this.#committer, this.#bridge]) table?.check(null)
    await this.#foreign.look(read)
    this.#tellForeign()
  }
}
