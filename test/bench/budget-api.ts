// An API server that counts: custom resources, Leases and Events as text by path, versions checked, writes by second and by who made them.
//
// **Invariant:** a write on another version than the object's is a Conflict and counted all the same; what is kept has its own version.
import { ApiFailure } from '../../src/kube/failures.ts'
import type { Answer, Change, Target } from '../../src/kube/transport.ts'
import type { BudgetClock } from './budget-clock.ts'

export type Writer = 'nodes' | 'operator' | 'events' | 'leases'

interface Kept {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid: string; readonly resourceVersion: string; readonly [more: string]: unknown }
  readonly [more: string]: unknown
}

interface Typed {
  readonly type: string
}

/** There and back, in milliseconds. */
const DELAY_MS = 5
const WHO: Readonly<Record<string, Writer>> = { leases: 'leases', events: 'events' }

export class BudgetApi {
  /** Those that were refused. */
  failed = 0
  /** Told of each write but the nodes': `namespace/name`. */
  onWrite: (who: Writer, key: string) => void = () => {}
  /** A custom resource is another one. */
  onChange: (plural: string, text: string) => void = () => {}
  readonly #clock: BudgetClock
  readonly #objects = new Map<string, string>()
  readonly #seconds: Readonly<Record<Writer, number[]>> = { nodes: [], operator: [], events: [], leases: [] }
  #version = 1_000

  constructor(clock: BudgetClock) {
    this.#clock = clock
  }

  /** Bytes of all that is kept. */
  get held(): number {
    let bytes = 0
    for (const text of this.#objects.values()) bytes += text.length
    return bytes
  }

  /** Writes between two moments, in each second. */
  writes(who: readonly Writer[], from: number, to: number): readonly number[] {
    const first = Math.floor(from / 1000)
    return Array.from({ length: Math.floor(to / 1000) - first }, (_, index) => who.reduce((sum, one) => sum + (this.#seconds[one][first + index] ?? 0), 0))
  }

  /** The version of a change of anything else. */
  nextVersion(): string {
    this.#version += 1
    return String(this.#version)
  }

  async get(target: Target): Promise<Answer> {
    await this.#pass()
    const text = this.#objects.get(target.path)
    if (text === undefined) throw new ApiFailure('NotFound', `${target.path} is not there`)
    return answerOf(text)
  }

  async send(target: Target, change: Change): Promise<Answer> {
    // As Transport does: the work of who writes.
    const sent = JSON.stringify(change.body)
    await this.#pass()
    const text = this.#clock.simulate(() => this.#carryOut(target, change.method, JSON.parse(sent) as Kept, WHO[plural(target.path)] ?? 'operator'))
    await this.#pass()
    return answerOf(text)
  }

  /** An agent's write: whole, as its own part. Its part of a status; the object is made where there is none. */
  nodeWrites(name: string, uid: string, status: { readonly conditions?: readonly Typed[] }): void {
    const path = `/apis/picket.dev/v1alpha1/nodeenforcements/${name}`
    const owner = { apiVersion: 'v1', kind: 'Node', name, uid }
    const metadata = { name, uid: `nodeenf/${name}`, resourceVersion: '', ownerReferences: [owner] }
    const before = this.#objects.get(path)
    this.#note('nodes')
    this.#keep(path, merged(before === undefined ? { metadata } : (JSON.parse(before) as Kept), status))
  }

  #carryOut(target: Target, method: string, sent: Kept, who: Writer): string {
    const { name, namespace, uid, resourceVersion } = sent.metadata
    const path = target.path.replace(/\/status$/, '')
    const at = method === 'POST' ? `${path}/${name}` : path
    const text = this.#objects.get(at)
    const before = text === undefined ? null : (JSON.parse(text) as Kept)
    const isStale = before !== null && ((uid !== undefined && uid !== before.metadata.uid) || (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion))
    const failed = (method === 'POST') !== (before === null) || isStale
    this.#note(who)
    this.onWrite(who, `${namespace ?? ''}/${name}`)
    if (failed) this.failed += 1
    if (failed) throw new ApiFailure(method === 'POST' ? 'AlreadyExists' : 'Conflict', `${at} is not as it was`)
    if (before === null) {
      const { status: _status, ...rest } = sent
      return this.#keep(at, { ...rest, metadata: { ...sent.metadata, uid: `uid-${this.nextVersion()}` } })
    }
    if (plural(path) === 'nodeenforcements') return this.#keep(at, merged(before, sent['status'] as { readonly conditions?: readonly Typed[] }))
    return this.#keep(at, { ...before, ...sent, metadata: before.metadata })
  }

  #keep(path: string, object: Kept): string {
    const text = JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion: this.nextVersion() } })
    this.#objects.set(path, text)
    this.onChange(plural(path), text)
    return text
  }

  #note(who: Writer): void {
    const second = Math.floor(this.#clock.now() / 1000)
    this.#seconds[who][second] = (this.#seconds[who][second] ?? 0) + 1
  }

  #pass(): Promise<void> {
    return new Promise((resolve) => this.#clock.after(DELAY_MS / 2, resolve))
  }
}

function plural(path: string): string {
  return /(nodeenforcements|policyenforcements|leases|events)/.exec(path)?.[1] ?? ''
}

/** Conditions have an owner each. */
function merged(before: Kept, status: { readonly conditions?: readonly Typed[] }): Kept {
  const old = (before['status'] ?? {}) as { readonly conditions?: readonly Typed[] }
  const conditions = new Map([...(old.conditions ?? []), ...(status.conditions ?? [])].map((one) => [one.type, one]))
  return { ...before, status: { ...old, ...status, conditions: [...conditions.values()] } }
}

function answerOf(text: string): Answer {
  return { server: 'counting', contentType: 'application/json', body: once(Buffer.from(text)) }
}

async function* once(body: Buffer): AsyncGenerator<Buffer, void> {
  yield body
}
