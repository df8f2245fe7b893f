// `picket status --wait` against a cluster: one list at the call, what was deleted before it, then what is told, followed by watches.
//
//   list of policies -> Wait <- history of deletions, pods of their namespaces
//                            <- watches: policies, PolicyEnforcements, NodeEnforcements
//
// **Invariant:** only reads; it ends as soon as nothing is missing, or when its time is over, with what is missing then.
import { isMapping } from '../decode/fields.ts'
import { watchCluster, transportFor, type ClusterAccess } from '../kube/source.ts'
import type { Transport } from '../kube/transport.ts'
import type { Clock } from '../lib/clock.ts'
import { PicketError } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'
import { compareVersions } from '../lib/versions.ts'
import type { Decoded } from '../model/changes.ts'
import { nodesOf, placesOf, policiesOf, readNodes, readPolicies, toldOf, type Asking } from './ask.ts'
import { isIn, observedBy, type NodeFacts, type PolicyFacts, type Scope, type ToldFacts } from './facts.ts'
import { readPast, type Past } from './past.ts'
import { Wait, type Missing } from './wait.ts'

export interface WaitOptions {
  readonly access: ClusterAccess
  readonly scope: Scope
  readonly clock: Clock
  readonly timeoutMs: number
  /** Whenever it may have changed, and something is waited for. */
  readonly onProgress: (progress: WaitProgress) => void
}

export interface WaitProgress {
  readonly policies: number
  readonly programmed: number
  readonly missing: readonly Missing[]
}

export interface WaitResult extends WaitProgress {
  /** Whether deletions from before the call could be known. */
  readonly isPastKnown: boolean
}

interface Rows {
  readonly policy: PolicyFacts | null
  readonly told: ToldFacts | null
  readonly node: NodeFacts | null
}
type WaitEvent = { [K in keyof Rows]:
  | { readonly verb: 'upsert'; readonly kind: K; readonly key: string; readonly decoded: Decoded<Rows[K]> }
  | { readonly verb: 'delete'; readonly kind: K; readonly key: string }
  | { readonly verb: 'replace'; readonly kind: K; readonly rows: ReadonlyMap<string, Decoded<Rows[K]>> }
  | { readonly verb: 'synced'; readonly kind: K } }[keyof Rows]

/** Events of one burst are one look. */
const GATHER_MS = 50

/** ApiFailure or PicketError where the cluster cannot be asked, at first or when the time is over. */
export async function waitUntilEnforced(options: WaitOptions): Promise<WaitResult> {
  const late = new AbortController()
  const cancel = options.clock.after(options.timeoutMs, () => late.abort(new PicketError('Timeout', `no answer from the API server within ${options.timeoutMs / 1000} s; see that it is reachable, or raise --timeout`)))
  const transport = transportFor(options.access, options.clock)
  try {
    const { policies, version } = await readPolicies(transport, options.scope, late.signal)
    const nodes = await readNodes(transport, late.signal)
    const waiting = new Waiting(options, transport, new Wait(policies), late.signal)
    return await waiting.run(oldest(nodes) ?? version, version)
  } finally {
    cancel()
    await transport.close()
  }
}

/** What the node that is furthest behind has observed; null where none says. */
function oldest(nodes: readonly NodeFacts[]): string | null {
  const observed = nodes.flatMap((node) => observedBy(node) ?? [])
  return observed.reduce<string | null>((least, one) => (least === null || (compareVersions(one, least) ?? 0) < 0 ? one : least), null)
}

class Waiting {
  readonly #options: WaitOptions
  readonly #asking: Asking
  readonly #wait: Wait
  readonly #signal: AbortSignal
  readonly #names = new Map<string, string>()
  readonly #kept = { policy: new Set<string>(), told: new Set<string>(), node: new Set<string>() }
  readonly #done = Promise.withResolvers<void>()
  readonly #placing = new Set<string>()
  #problems: readonly Problem[] = []
  #past: Past | null = null
  #gathering = false

  constructor(options: WaitOptions, asking: Transport, wait: Wait, signal: AbortSignal) {
    this.#options = options
    this.#asking = asking
    this.#wait = wait
    this.#signal = signal
  }

  /** Versions between which deletions are to be known. */
  async run(from: string, until: string): Promise<WaitResult> {
    const { access, clock, scope } = this.#options
    const over = (): void => this.#done.resolve()
    this.#signal.addEventListener('abort', over)
    const source = await watchCluster<WaitEvent>({
      access,
      clock,
      resources: [policiesOf(scope), toldOf(scope), nodesOf()],
      onEvents: (events) => {
        for (const event of events) this.#take(event)
        this.#gather()
      },
      onProblems: (problems) => (this.#problems = problems),
    })
    try {
      void this.#readPast(from, until)
      await this.#done.promise
      return this.#result()
    } finally {
      this.#signal.removeEventListener('abort', over)
      await source.close()
    }
  }

  #result(): WaitResult {
    const [problem] = this.#problems
    const progress = this.#progress()
    if (progress.missing.length > 0 && (problem !== undefined || !this.#wait.isSynced)) {
      throw new PicketError('Timeout', problem === undefined ? (this.#signal.reason as Error).message : `${problem.object}: ${problem.message}; it was so when the time was over`)
    }
    return { ...progress, isPastKnown: this.#past?.isKnown ?? false }
  }

  #progress(): WaitProgress {
    const missing = this.#wait.missing()
    return { policies: this.#wait.total, programmed: this.#wait.total - missing.filter(({ what }) => what === 'policy').length, missing }
  }

  async #readPast(from: string, until: string): Promise<void> {
    await this.#try(async () => {
      const { clock, scope } = this.#options
      const past = await readPast(this.#asking, policiesOf(scope), from, until, clock, this.#signal)
      this.#past = { ...past, removals: past.removals.filter((one) => isIn(scope, one)) }
      this.#wait.past(this.#past)
      this.#look()
    })
  }

  async #place(namespace: string): Promise<void> {
    if (this.#placing.has(namespace)) return
    this.#placing.add(namespace)
    await this.#try(async () => {
      this.#wait.placed(namespace, await placesOf(this.#asking, namespace, this.#signal))
      this.#look()
    })
  }

  /** What cannot be asked for ends the wait: watches go on by themselves, single questions do not. */
  async #try(ask: () => Promise<void>): Promise<void> {
    try {
      await ask()
    } catch (error) {
      if (!this.#signal.aborted) this.#done.reject(error)
    }
  }

  #gather(): void {
    if (this.#gathering) return
    this.#gathering = true
    this.#options.clock.after(GATHER_MS, () => {
      this.#gathering = false
      this.#look()
    })
  }

  #look(): void {
    const progress = this.#progress()
    // Reading the past takes a second, and is nobody's fault.
    if (this.#wait.isHeard && progress.missing.some(({ name }) => name !== '')) this.#options.onProgress(progress)
    if (progress.missing.length === 0) this.#done.resolve()
    else for (const namespace of this.#wait.unplaced()) void this.#place(namespace)
  }

  #take(event: WaitEvent): void {
    switch (event.verb) {
      case 'upsert':
        return this.#set(event.kind, event.key, event.decoded)
      case 'delete':
        return this.#drop(event.kind, event.key)
      case 'replace':
        for (const key of this.#kept[event.kind]) if (!event.rows.has(key)) this.#drop(event.kind, key)
        for (const [key, decoded] of event.rows) this.#set(event.kind, key, decoded)
        return
      case 'synced':
        return this.#wait.synced(event.kind)
    }
  }

  #set(kind: keyof Rows, key: string, decoded: Decoded<unknown>): void {
    const row = (decoded as { readonly row?: unknown }).row
    if (!isMapping(row)) return
    this.#kept[kind].add(key)
    if (kind === 'policy') this.#wait.policy(key)
    else if (kind === 'told') {
      const told = row as unknown as ToldFacts
      if (isIn(this.#options.scope, told)) this.#wait.told(key, told)
    } else {
      const node = row as unknown as NodeFacts
      this.#names.set(key, node.name)
      this.#wait.node(node)
    }
  }

  #drop(kind: keyof Rows, key: string): void {
    this.#kept[kind].delete(key)
    if (kind === 'policy') return this.#wait.policyGone(key)
    if (kind === 'told') return this.#wait.toldGone(key)
    const name = this.#names.get(key)
    this.#names.delete(key)
    // Made anew under its name: the new one may be here already.
    if (name !== undefined && ![...this.#names.values()].includes(name)) this.#wait.nodeGone(name)
  }
}
