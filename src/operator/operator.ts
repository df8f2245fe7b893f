// The operator: waits for the Lease, and publishes what the cluster enforces for as long as it holds it.
//
//   nobody leads --Lease--> term (reads everything, writes) --Lease lost, or stopped--> waits again
//
// Who waits reads nothing but the Lease. **Invariant:** two operators never write both: a term ends before its Lease is given back,
// and each write is asked for at that moment.
import { hostname } from 'node:os'
import { randomBytes } from 'node:crypto'
import manifest from '../../package.json' with { type: 'json' }
import { Backoff } from '../kube/backoff.ts'
import { Leader } from '../kube/leader.ts'
import { ObjectWriter } from '../kube/object-writer.ts'
import { transportFor, type ClusterAccess } from '../kube/source.ts'
import { WRITE_LIMITS } from '../kube/transport.ts'
import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import { Quiet } from '../report/quiet.ts'
import { json, listen, type Answer, type Listener } from '../serve/http.ts'
import type { OperatorConfig } from '../settings.ts'
import type { Log } from '../telemetry/log.ts'
import { OperatorMeasures } from './measures.ts'
import type { TermOptions, TroubleOf } from './term-parts.ts'
import { Term } from './term.ts'

const LEASE_NAME = 'picket-operator'
const FIELD_MANAGER = 'picket-operator'
/** Milliseconds from a mistake of our own to the next term: everything is read anew then. */
const FIRST_AGAIN_MS = 5_000
const LONGEST_AGAIN_MS = 300_000
/** A term that lived so long was well. */
const WELL_MS = 600_000
/** Whoever could not reach the API server so long ago counts as cut off. */
const CUT_OFF_MS = 60_000

export interface Operator {
  close(): Promise<void>
}

type NewTerm = (options: TermOptions) => Term

/** PicketError where it cannot start; `onFailure` is called once, later, where it cannot go on. */
export async function startOperator(config: OperatorConfig, clock: Clock, log: Log, onFailure: (error: unknown) => void, newTerm: NewTerm = (options) => new Term(options)): Promise<Operator> {
  const operator = new LeadingOperator(config, clock, log, onFailure, newTerm)
  await operator.start()
  return operator
}

class LeadingOperator implements Operator {
  readonly #config: OperatorConfig
  readonly #clock: Clock
  readonly #log: Log
  readonly #onFailure: (error: unknown) => void
  readonly #newTerm: NewTerm
  readonly #access: ClusterAccess
  readonly #transport: ReturnType<typeof transportFor>
  readonly #writer: ObjectWriter
  readonly #leader: Leader
  /** Name of this pod, or of the machine. */
  readonly #instance: string
  readonly #identity: string
  readonly #quiet = new Quiet()
  readonly #measures: OperatorMeasures
  #term: Term | null = null
  #leaseTrouble: string | null = null
  readonly #writeTroubles = new Map<TroubleOf, string>()
  #terms = 0
  readonly #again = new Backoff(FIRST_AGAIN_MS, LONGEST_AGAIN_MS, Math.random)
  #cancelAgain: () => void = () => {}
  #closing: Promise<void> = Promise.resolve()
  /** When the Lease could last not be had, after it was read once. */
  #cutOffAt = -Infinity
  #listener: Listener | null = null

  constructor(config: OperatorConfig, clock: Clock, log: Log, onFailure: (error: unknown) => void, newTerm: NewTerm) {
    this.#newTerm = newTerm
    this.#config = config
    this.#clock = clock
    this.#log = log
    this.#onFailure = onFailure
    this.#access = { kubeconfig: config.source.kubeconfig, context: config.source.context, apiServers: config.source.apiServers }
    this.#transport = transportFor(this.#access, clock, WRITE_LIMITS)
    this.#writer = new ObjectWriter({ transport: this.#transport, clock, fieldManager: FIELD_MANAGER })
    this.#instance = config.podName === '' ? hostname() : config.podName
    this.#identity = `${this.#instance}_${randomBytes(4).toString('hex')}`
    this.#measures = new OperatorMeasures(clock, { term: () => this.#term, terms: () => this.#terms, leads: () => this.#leader.leads(), quietUntil: () => this.#quiet.until })
    this.#leader = new Leader({
      writer: this.#writer,
      clock,
      random: Math.random,
      namespace: config.namespace,
      name: LEASE_NAME,
      identity: this.#identity,
      onStarted: () => this.#begin(),
      onStopped: () => this.#end(),
      onTrouble: (message) => this.#leaseTroubled(message),
    })
  }

  async start(): Promise<void> {
    await this.#transport.check()
    const { address } = this.#config
    if (address !== 'none') {
      const routes = { '/livez': () => json(200, { live: true }), '/readyz': () => this.#ready(), '/status': () => json(200, this.#status()), '/metrics': () => this.#metrics() }
      this.#listener = await listen('address', address, routes)
    }
    this.#log.info({ identity: this.#identity, namespace: this.#config.namespace, version: manifest.version }, 'operator started')
    this.#leader.start()
  }

  async close(): Promise<void> {
    await this.#leader.close()
    await Promise.all([this.#listener?.close(), this.#transport.close()])
  }

  #begin(): void {
    this.#terms += 1
    this.#log.info({ term: this.#terms }, 'leads')
    // Who waited may have heard nothing either: what it reads first may be of a cluster that is not back yet.
    const isBack = this.#leaseTrouble !== null && this.#cutOffAt > -Infinity
    if (isBack || this.#clock.now() - this.#cutOffAt < CUT_OFF_MS) this.#quiet.lost(this.#clock.now())
    this.#open()
  }

  #open(): void {
    const began = this.#clock.now()
    const term: Term = this.#newTerm({
      clock: this.#clock,
      log: this.#log,
      random: Math.random,
      access: this.#access,
      namespace: this.#config.namespace,
      writer: this.#writer,
      instance: this.#instance,
      leads: () => this.#leader.leads(),
      quiet: this.#quiet,
      onStep: (ms) => this.#measures.metrics.stepped(ms / 1000),
      onTrouble: (of, message) => this.#writeTroubled(of, message),
      onBroken: (error) => this.#broken(term, error, began),
    })
    this.#term = term
    term.start().catch((error: unknown) => this.#onFailure(error))
  }

  async #end(): Promise<void> {
    // Whoever lost the Lease was cut off: what it reads next may be of a cluster whose nodes were, too.
    this.#quiet.lost(this.#clock.now())
    this.#cancelAgain()
    await this.#closing
    await this.#closeTerm()
    this.#writeTroubles.clear()
    this.#log.info('leads no more')
  }

  /** It counts until nothing of it is on its way any more. */
  async #closeTerm(): Promise<void> {
    const term = this.#term
    if (term === null) return
    await term.close()
    this.#measures.ended(term)
    this.#term = null
  }

  /** The process goes on, and another term begins from nothing: later and later where that does not help. */
  #broken(term: Term, error: unknown, began: number): void {
    if (this.#term !== term) return
    this.#measures.broke()
    if (this.#clock.now() - began > WELL_MS) this.#again.reset()
    const pauseMs = Math.round(this.#again.next())
    this.#log.error({ message: messageOf(error), stack: error instanceof Error ? error.stack : undefined, pauseMs }, 'a mistake of our own: everything is read anew')
    this.#closing = this.#closeTerm()
    this.#cancelAgain = this.#clock.after(pauseMs, () => {
      void this.#closing.then(() => {
        if (this.#term === null && this.#leader.leads()) this.#open()
      })
    })
  }

  #leaseTroubled(message: string | null): void {
    if (this.#leader.holder !== null) this.#cutOffAt = this.#clock.now()
    if (message !== null && message !== this.#leaseTrouble) this.#log.warn({ message }, 'the Lease cannot be had')
    this.#leaseTrouble = message
  }

  #writeTroubled(of: TroubleOf, message: string | null): void {
    if (message !== null && message !== this.#writeTroubles.get(of)) this.#log.warn({ of, message }, 'cannot be written')
    if (message === null) this.#writeTroubles.delete(of)
    else this.#writeTroubles.set(of, message)
  }

  #ready(): ReturnType<typeof json> {
    const reason = this.#notReady()
    return json(reason === null ? 200 : 503, reason === null ? { ready: true, leads: this.#term !== null } : { ready: false, reason })
  }

  async #metrics(): Promise<Answer> {
    const { metrics } = this.#measures
    return { status: 200, type: metrics.contentType, body: await metrics.text() }
  }

  #notReady(): string | null {
    const state = this.#term?.state() ?? null
    if (state === null && this.#leader.leads()) return 'a mistake of our own, which the log tells: everything is read anew in a while'
    if (state !== null && !state.isSynced) return state.problems[0]?.message ?? `waiting for the API server: ${(state.cluster?.resources ?? []).filter(({ synced }) => !synced).map(({ resource }) => resource).join(', ')} not read yet`
    // What it does not hear of it writes nothing about.
    const failing = state?.problems.find(({ severity }) => severity === 'error')
    if (failing !== undefined) return failing.message
    return this.#leaseTrouble ?? (this.#leader.holder === null ? 'the Lease was not read yet' : null)
  }

  #status(): unknown {
    const { until } = this.#quiet
    const quietMs = until === Infinity ? null : Math.max(0, Math.round(until - this.#clock.now()))
    return {
      version: manifest.version,
      identity: this.#identity,
      leads: this.#leader.leads(),
      holder: this.#leader.holder,
      terms: this.#terms,
      quietMs,
      notReady: this.#notReady(),
      leaseTrouble: this.#leaseTrouble,
      writeTroubles: Object.fromEntries(this.#writeTroubles),
      term: this.#term?.state() ?? null,
    }
  }
}
