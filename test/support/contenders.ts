// Several who want to lead, on one fake clock, by one Lease in memory; each with its own wall clock and its own way to the API.
//
// **Invariant:** while time passes, never two of them say that they lead, or the test fails.
import assert from 'node:assert/strict'
import { Leader, type LeaderOptions } from '../../src/kube/leader.ts'
import { ObjectWriter } from '../../src/kube/object-writer.ts'
import { FakeClock } from './fake-clock.ts'
import { MemoryApi, type Fate, type Request } from './memory-api.ts'
import { randomFrom } from './random.ts'

export const LEASES = '/apis/coordination.k8s.io/v1/leases'
export const KEY = 'picket/operator'

export class Contender {
  readonly leader: Leader
  readonly told: string[] = []
  /** Requests of this one alone. */
  fate: (request: Request) => Fate = () => 'usual'
  /** Its own wall clock. */
  ahead = 0
  readonly name: string
  readonly #api: MemoryApi

  constructor({ clock, api }: World, name: string, more: Partial<LeaderOptions> = {}) {
    this.name = name
    this.#api = api
    const own = { now: () => clock.now(), wallTime: () => clock.wallTime() + this.ahead, after: (ms: number, action: () => void) => clock.after(ms, action) }
    const transport = {
      get: (...args: Parameters<MemoryApi['get']>) => this.#through(() => api.get(...args)),
      send: (...args: Parameters<MemoryApi['send']>) => this.#through(() => api.send(...args)),
    }
    this.leader = new Leader({
      writer: new ObjectWriter({ transport, clock: own, fieldManager: name, timeoutMs: 120_000 }),
      clock: own,
      random: randomFrom(name.length),
      namespace: 'picket',
      name: 'operator',
      identity: name,
      onStarted: () => void this.told.push('started'),
      onStopped: () => void this.told.push('stopped'),
      onTrouble: (message) => void this.told.push(message ?? 'fine'),
      ...more,
    })
    this.leader.start()
  }

  get started(): number {
    return this.told.filter((word) => word === 'started').length
  }

  #through<T>(ask: () => Promise<T>): Promise<T> {
    const api = this.#api
    const before = api.fate
    api.fate = (request) => this.fate(request)
    try {
      return ask()
    } finally {
      api.fate = before
    }
  }
}

export class World {
  readonly clock = new FakeClock()
  readonly api = new MemoryApi(this.clock)
  readonly contenders: Contender[] = []

  add(name: string, more: Partial<LeaderOptions> = {}): Contender {
    const contender = new Contender(this, name, more)
    this.contenders.push(contender)
    return contender
  }

  leaders(): readonly string[] {
    return this.contenders.filter(({ leader }) => leader.leads()).map(({ name }) => name)
  }

  /** In small steps: never two of them. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 250) {
      await this.clock.advance(Math.min(250, left))
      assert.ok(this.leaders().length <= 1, `at ${this.clock.now()}: ${this.leaders().join(' and ')} lead`)
    }
  }

  spec(): Record<string, unknown> {
    return (this.api.find(LEASES, KEY)?.['spec'] ?? {}) as Record<string, unknown>
  }

  /** Somebody else's hand on the Lease. */
  edit(changes: Readonly<Record<string, unknown>>, annotations: Readonly<Record<string, string>> = {}): void {
    const lease = this.api.find(LEASES, KEY)
    assert.ok(lease)
    this.api.put(LEASES, { ...lease, metadata: { ...lease.metadata, annotations }, spec: { ...this.spec(), ...changes } })
  }

  async close(): Promise<void> {
    await Promise.all(this.contenders.map(({ leader }) => this.#closed(leader)))
  }

  async #closed(leader: Leader): Promise<void> {
    let done = false
    void leader.close().then(() => (done = true))
    for (let i = 0; i < 100 && !done; i += 1) await this.clock.advance(500)
    assert.ok(done, 'close() does not end')
  }
}
