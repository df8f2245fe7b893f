// A publisher over objects in memory, with the operator's view of them as late as a test wants: what is offered is computed from that view.
//
// An object's status says `transition` and `counts` as they were offered. **Invariant:** no two writes of one object are on their way at
// once, and none is begun in a time of quiet or without leadership, or the test fails.
import assert from 'node:assert/strict'
import { ObjectWriter, type ObjectKind } from '../../src/kube/object-writer.ts'
import type { Desired, Standing } from '../../src/report/desired.ts'
import { Publisher, USUAL_TIMES, type PublisherTimes } from '../../src/report/publisher.ts'
import { statusWrites, type StatusBody } from '../../src/report/status-writes.ts'
import type { ApiObject } from './api-server.ts'
import { FakeClock } from './fake-clock.ts'
import { MemoryApi } from './memory-api.ts'

export const KIND: ObjectKind = { kind: 'PolicyEnforcement', plural: 'policyenforcements', group: 'picket.dev', version: 'v1alpha1', namespaced: true }
export const PATH = '/apis/picket.dev/v1alpha1/policyenforcements'

export interface Wanted {
  /** Null: there should be no object. */
  readonly transition: string | null
  readonly counts?: string
  readonly owner?: string
  readonly urgent?: boolean
}

export class Api {
  readonly clock: FakeClock
  readonly memory: MemoryApi
  readonly operators: Operator[] = []

  constructor(clock = new FakeClock()) {
    this.clock = clock
    this.memory = new MemoryApi(clock)
    this.memory.onChange = (_path, object, gone) => {
      for (const operator of this.operators) operator.happened(object, gone)
    }
  }

  /** `a: wanted/7`, of all objects. */
  texts(): readonly string[] {
    return this.memory.list(PATH).map((object) => {
      const { transition, counts } = standingOf(object)
      return `${object.metadata.name}: ${transition ?? '-'}/${counts ?? '-'}`
    })
  }

  /** Requests by method, since the last time. */
  requests(): readonly string[] {
    return this.memory.requests.splice(0).map(({ method, path }) => `${method} ${path.split('/').slice(6).join('/') || '-'}`)
  }
}

export class Operator {
  readonly publisher: Publisher<StatusBody>
  leads = true
  quietUntil = -Infinity
  /** Milliseconds by which its view of the objects is late; Infinity: nothing comes any more. */
  lagMs = 0
  readonly troubles: (string | null)[] = []
  readonly #api: Api
  readonly #seen = new Map<string, Standing>()
  readonly #wanted = new Map<string, Wanted>()
  /** Lists so far; what a watch tells that began before the last one counts no more. */
  #view = 0
  /** When the last event of the watch is told. */
  #latest = 0
  readonly #onTheirWay = new Set<string>()

  constructor(api: Api, times: Partial<PublisherTimes> = {}) {
    this.#api = api
    const writer = new ObjectWriter({ transport: api.memory, clock: api.clock, fieldManager: 'operator' })
    const write = statusWrites(writer, KIND)
    for (const object of api.memory.list(PATH)) this.#see(object, false)
    api.operators.push(this)
    this.publisher = new Publisher<StatusBody>({
      clock: api.clock,
      random: () => 0.5,
      times: { ...USUAL_TIMES, ...times },
      mayWrite: () => this.leads,
      quietUntil: () => this.quietUntil,
      onTrouble: (message) => void this.troubles.push(message),
      write: async (one, signal) => {
        assert.ok(!this.#onTheirWay.has(one.key), `two writes of ${one.key} at once`)
        assert.ok(this.leads && this.quietUntil <= api.clock.now(), `${one.key} was written in a time of quiet`)
        this.#onTheirWay.add(one.key)
        try {
          return await write(one, signal)
        } finally {
          this.#onTheirWay.delete(one.key)
        }
      },
    })
  }

  want(name: string, wanted: Wanted): void {
    this.#wanted.set(name, wanted)
    this.#offer(name)
  }

  wanted(): ReadonlyMap<string, Wanted> {
    return this.#wanted
  }

  happened(object: ApiObject, gone: boolean): void {
    if (this.lagMs === Infinity) return
    const now = this.#api.clock.now()
    const view = this.#view
    // A watch tells in order, however its delay changes.
    this.#latest = Math.max(this.#latest, now + this.lagMs)
    if (this.#latest === now) this.#see(object, gone)
    else this.#api.clock.after(this.#latest - now, () => view === this.#view && this.#see(object, gone))
  }

  /** Everything is listed again. */
  relist(): void {
    this.#view += 1
    this.#seen.clear()
    for (const object of this.#api.memory.list(PATH)) this.#seen.set(object.metadata.name, standingOf(object))
    for (const name of this.#wanted.keys()) this.#offer(name)
  }

  #see(object: ApiObject, gone: boolean): void {
    const { name } = object.metadata
    if (gone) this.#seen.delete(name)
    else this.#seen.set(name, standingOf(object))
    this.#offer(name)
  }

  #offer(name: string): void {
    const wanted = this.#wanted.get(name)
    if (wanted === undefined) return
    const { transition, counts = '', owner = 'u1', urgent = false } = wanted
    const body = transition === null ? null : { metadata: { ownerReferences: [{ uid: owner }] }, status: { transition, counts } }
    const desired: Desired<StatusBody> = { key: `shop/${name}`, owner, transition: transition ?? '', counts, body, urgent, from: this.#seen.get(name) ?? null }
    this.publisher.offer(desired)
  }
}

export function standingOf(object: ApiObject): Standing {
  const { uid, resourceVersion = '' } = object.metadata
  const owners = object.metadata['ownerReferences'] as readonly { readonly uid: string }[] | undefined
  const status = object['status'] as { readonly transition?: string; readonly counts?: string } | undefined
  return { uid, resourceVersion, owner: owners?.[0]?.uid ?? '', transition: status?.transition ?? null, counts: status?.counts ?? null }
}
