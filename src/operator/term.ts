// One time of leadership: reads the cluster anew, summarises, and publishes until it ends.
//
//   sources -> view -> step (summary) -> policies' statuses -> publisher -> API
//                                     -> nodes' Reporting ---> publisher -> API
//   statuses as they come back from the API -> news -> Events
//
// Everything in here is made with the term and thrown away with it: nothing that a former term believed is written by this one.
// **Invariant:** nothing is written before everything was read, in a time of quiet, or after the Lease was lost.
import type { StatusBody } from '../report/status-writes.ts'
import { watchCluster, type ClusterSource } from '../kube/source.ts'
import { messageOf } from '../lib/errors.ts'
import { keyOf, nameIn, type NamespacedName } from '../lib/names.ts'
import type { Problem } from '../lib/problem.ts'
import type { PolicyUid } from '../model/objects.ts'
import { EventRecorder } from '../report/event-recorder.ts'
import { Publisher, USUAL_TIMES } from '../report/publisher.ts'
import { StatusNews } from '../report/status-news.ts'
import { nodeDesired, nodeWrites, policyDesired, policyWrites } from './enforcements.ts'
import { Faults } from './faults.ts'
import { operatorResources, type OperatorEvent } from './resources.ts'
import { Silence } from './silence.ts'
import type { TermOptions, TermState } from './term-parts.ts'
import { ClusterView, type ViewStep } from './view.ts'

/** Events of one burst are one step. */
const GATHER_MS = 20
/** Somebody may set the wall clock meanwhile. */
const LONGEST_SLEEP_MS = 60_000
/** "operator 15 writes/s": nodes' conditions have what the policies leave, and what both may write at once after a rest. */
const NODE_TIMES = { ...USUAL_TIMES, rate: 2.5, burst: 6, together: 4 }

export class Term {
  readonly #options: TermOptions
  readonly #view: ClusterView
  readonly #policies: Publisher<StatusBody>
  readonly #nodes: Publisher<StatusBody>
  readonly #news = new StatusNews()
  readonly #events: EventRecorder
  readonly #names = new Map<PolicyUid, NamespacedName>()
  readonly #silence: Silence
  readonly #faults: Faults
  #source: ClusterSource | null = null
  #starting: Promise<void> = Promise.resolve()
  #problems: readonly Problem[] = []
  #isCutOff = false
  #isDone = false
  #gathering = false
  #cancelGather: () => void = () => {}
  #cancelLiveness: () => void = () => {}
  #cancelQuiet: () => void = () => {}

  constructor(options: TermOptions) {
    this.#options = options
    const { clock, random, leads, quiet, writer, instance, onTrouble } = options
    this.#silence = new Silence(quiet)
    this.#faults = new Faults(options.log)
    this.#view = new ClusterView({ clock, onReadiness: (node, isReady) => this.#silence.heard(node, isReady, clock.now()) })
    const usual = { clock, random, mayWrite: () => leads() && !this.#isDone, quietUntil: () => quiet.until }
    this.#events = new EventRecorder({
      ...usual,
      writer,
      reportingController: 'picket.dev/operator',
      reportingInstance: instance,
      onTrouble: (message) => onTrouble('events', message),
    })
    this.#policies = new Publisher({ ...usual, onTrouble: (message) => onTrouble('policies', message), write: policyWrites(writer, (key) => this.#view.statuses.get(key)?.owner ?? '') })
    this.#nodes = new Publisher({ ...usual, onTrouble: (message) => onTrouble('nodes', message), write: nodeWrites(writer, (node) => this.#view.reports.get(node)?.report.owner ?? ''), times: NODE_TIMES })
  }

  /** PicketError where the credentials are wrong, but not to one that was closed meanwhile. */
  start(): Promise<void> {
    const started = this.#open()
    this.#starting = started.catch(() => {})
    return started.catch((error: unknown) => {
      if (!this.#isDone) throw error
    })
  }

  async #open(): Promise<void> {
    const { access, clock, namespace, random, watch = watchCluster } = this.#options
    const source = await watch({
      access,
      clock,
      random,
      resources: operatorResources(namespace),
      onEvents: (events) => this.#take(events),
      onProblems: (problems) => this.#troubled(problems),
    })
    if (this.#isDone) await source.close()
    else this.#source = source
  }

  state(): TermState {
    return {
      isSynced: this.#view.isSynced,
      cluster: this.#source?.state() ?? null,
      problems: this.#problems,
      size: this.#view.size,
      silent: this.#silence.size,
      policies: this.#policies.counts(),
      nodes: this.#nodes.counts(),
      events: this.#events.counts(),
    }
  }

  /** Resolves when nothing is on its way any more. */
  async close(): Promise<void> {
    this.#isDone = true
    for (const cancel of [this.#cancelGather, this.#cancelLiveness, this.#cancelQuiet]) cancel()
    this.#silence.close()
    await Promise.all([this.#policies.close(), this.#nodes.close(), this.#events.close(), this.#source?.close(), this.#starting])
  }

  #take(events: readonly OperatorEvent[]): void {
    this.#guard(() => {
      for (const event of events) this.#view.take(event)
    })
    this.#gather()
  }

  #gather(): void {
    if (this.#gathering || this.#isDone) return
    this.#gathering = true
    this.#cancelGather = this.#options.clock.after(GATHER_MS, () => {
      this.#gathering = false
      this.#guard(() => this.#step())
    })
  }

  /** Half of a step may be done: nothing is made of what is known from here on. */
  #guard(work: () => void): void {
    if (this.#isDone) return
    try {
      work()
    } catch (error) {
      this.#isDone = true
      this.#options.onBroken(error)
    }
  }

  /** What cannot be made of one object holds up no other. */
  #contain(object: string, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#options.log.warn({ object, message: messageOf(error) }, 'a mistake of our own: what is told of the object stays as it is')
    }
  }

  #step(): void {
    const { clock, onStep } = this.#options
    this.#look()
    const began = clock.now()
    const step = this.#view.step()
    if (step === null) return
    this.#silence.open(this.#view.size.nodes)
    this.#offerPolicies(step)
    this.#offerNodes(step)
    this.#tell(step)
    onStep(clock.now() - began)
    this.#planLiveness()
  }

  /** Whether we see the cluster, or do again: synced, and no watch fails. */
  #look(): void {
    const { clock, quiet } = this.#options
    const now = clock.now()
    if (!this.#view.isSynced || this.#problems.some(isOfWatch)) return
    if (this.#isCutOff) this.#view.liveness.resynced(clock.wallTime())
    this.#isCutOff = false
    quiet.synced(now)
    this.#planWake()
  }

  #troubled(problems: readonly Problem[]): void {
    if (this.#isDone) return
    const { clock, log, quiet } = this.#options
    const before = new Set(this.#problems.map(({ message }) => message))
    const begun = problems.filter(({ message }) => !before.has(message))
    for (const problem of begun) log.warn({ problem }, 'problem')
    this.#problems = problems
    if (begun.some(isOfWatch) && this.#view.isSynced) {
      this.#isCutOff = true
      quiet.lost(clock.now())
    }
    this.#look()
    this.#gather()
  }

  #offerPolicies({ snapshot, summary: { changed, gone }, statuses }: ViewStep): void {
    const names = new Map<string, NamespacedName>()
    for (const uid of changed) {
      const policy = snapshot.policies.get(uid)
      if (policy === undefined) continue
      const name = { namespace: policy.namespace, name: policy.name }
      this.#names.set(uid, name)
      names.set(keyOf(name), name)
    }
    for (const uid of gone) {
      const name = this.#names.get(uid)
      this.#names.delete(uid)
      if (name !== undefined) names.set(keyOf(name), name)
    }
    for (const key of statuses) names.set(key, nameIn(key))
    for (const [key, name] of names) this.#contain(`NetworkPolicy ${key}`, () => this.#offerPolicy(name))
  }

  #offerPolicy(name: NamespacedName): void {
    const { summary, statuses } = this.#view
    // The last one: where one was made anew, the end of the one before may be seen later.
    const uid = summary.uidsOf(name.namespace, name.name).at(-1)
    const status = uid === undefined ? null : summary.statusOf(uid)
    this.#policies.offer(policyDesired(name, uid === undefined || status === null ? null : { uid, status }, statuses.get(keyOf(name))))
  }

  #offerNodes({ summary: { reporting, orphans }, nodes }: ViewStep): void {
    for (const node of nodes) {
      this.#contain(`Node ${node}`, () => {
        const seen = this.#view.reports.get(node)
        this.#faults.look(node, seen)
        const condition = orphans.has(node) ? null : (reporting.get(node) ?? seen?.report.reporting ?? null)
        this.#nodes.offer(nodeDesired(node, condition, seen))
      })
    }
  }

  /** What the first step finds is no news. */
  #tell({ statuses, nodes }: ViewStep): void {
    for (const key of statuses) {
      const { namespace, name } = nameIn(key)
      for (const event of this.#news.policy(namespace, name, this.#view.statuses.get(key)?.status ?? null)) this.#events.record(event)
    }
    for (const node of nodes) {
      const report = this.#view.reports.get(node)?.report
      const seen = report === undefined || report.owner === null ? null : { uid: report.owner, conditions: report.conditions }
      for (const event of this.#news.node(node, seen)) this.#events.record(event)
    }
    this.#news.open()
  }

  /** A node counts as silent some time after it was last ready, without another event. */
  #planLiveness(): void {
    this.#cancelLiveness()
    const { clock } = this.#options
    const at = this.#view.liveness.nextAt()
    if (at !== null) this.#cancelLiveness = clock.after(Math.min(Math.max(1, at - clock.wallTime() + 1), LONGEST_SLEEP_MS), () => this.#guard(() => this.#step()))
  }

  /** What waits for the end of the quiet looks again then. */
  #planWake(): void {
    this.#cancelQuiet()
    const { clock, quiet } = this.#options
    const wake = (): void => {
      this.#policies.wake()
      this.#nodes.wake()
      this.#events.wake()
    }
    this.#cancelQuiet = clock.after(Math.max(1, Math.min(quiet.until - clock.now(), LONGEST_SLEEP_MS)), wake)
  }
}

/** And not of the server's age, which stays. */
function isOfWatch({ severity }: Problem): boolean {
  return severity === 'error'
}
