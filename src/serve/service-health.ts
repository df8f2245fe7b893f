// healthCheckNodePort of Services: on a port each, a load balancer learns whether this node has endpoints of the Service.
//
//   list of Services with such a port, anew with each change -> listeners on every address of both families, one a port
//
// As kube-proxy tells it: 200 where the node has endpoints of the Service and translates Services itself, else 503, on any path.
// **Invariant:** a port that cannot be had costs its own Service only, is a problem that names both, and is tried again; a port
// that stays is never closed.
import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'
import { RetryPause } from '../lib/retry-pause.ts'
import { byText } from '../lib/sorting.ts'
import { EVERY_HOST, json, listenAt, type Answer, type Listener } from './http.ts'

export interface ServiceHealth {
  readonly namespace: string
  readonly name: string
  /** 1-65535 */
  readonly port: number
  /** How many endpoints of it this node has. */
  readonly localEndpoints: number
}

export interface ServiceHealthOptions {
  readonly clock: Clock
  /** Whether the kernel holds what Services need; asked with each request. */
  readonly healthy: () => boolean
  readonly onProblems: (problems: readonly Problem[]) => void
  /** Every address of both families unless told. */
  readonly hosts?: readonly string[]
}

const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 30_000

export class ServiceHealthServers {
  readonly #options: ServiceHealthOptions
  /** By port. */
  #wanted = new Map<number, ServiceHealth>()
  #contested: readonly Problem[] = []
  readonly #open = new Map<number, readonly Listener[]>()
  #failed = new Map<number, string>()
  #running: Promise<void> | null = null
  #again = false
  #timer: (() => void) | null = null
  readonly #retry = new RetryPause(FIRST_RETRY_MS, LAST_RETRY_MS)
  #closed = false

  constructor(options: ServiceHealthOptions) {
    this.#options = options
  }

  /** All of them. What is told of an open port changes at once, ports open and close soon. */
  set(services: readonly ServiceHealth[]): void {
    if (this.#closed) return
    const wanted = new Map<number, ServiceHealth>()
    const contested: Problem[] = []
    for (const service of [...services].sort((a, b) => byText(titleOf(a), titleOf(b)))) {
      const holder = wanted.get(service.port)
      if (holder === undefined) wanted.set(service.port, service)
      else contested.push(problemOf(service, `it is that of ${titleOf(holder)}, too`))
    }
    this.#wanted = wanted
    this.#contested = contested
    this.#retry.reset()
    this.#sync()
  }

  /** Resolves when ports are as they were set last, but for those that cannot be had. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wanted = new Map()
    this.#sync()
    await this.settled()
  }

  #sync(): void {
    this.#timer?.()
    this.#timer = null
    this.#again = true
    this.#running ??= this.#run().finally(() => {
      this.#running = null
      // Between the last look at it and this: nobody else would.
      if (this.#again) this.#sync()
    })
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false
      const gone = [...this.#open].filter(([port]) => !this.#wanted.has(port))
      await Promise.all(gone.map(([port, listeners]) => this.#shut(port, listeners)))
      const failed = new Map<number, string>()
      const missing = [...this.#wanted.keys()].filter((port) => !this.#open.has(port))
      await Promise.all(missing.map((port) => this.#listen(port, failed)))
      this.#failed = failed
    }
    if (this.#closed) return
    this.#options.onProblems([...this.#contested, ...[...this.#failed].sort(([a], [b]) => a - b).flatMap(([port, message]) => this.#problem(port, message))])
    if (this.#failed.size === 0) return
    this.#timer = this.#options.clock.after(this.#retry.next(), () => this.#sync())
  }

  async #shut(port: number, listeners: readonly Listener[]): Promise<void> {
    this.#open.delete(port)
    await Promise.all(listeners.map((one) => one.close()))
  }

  /** On all hosts, or on none. */
  async #listen(port: number, failed: Map<number, string>): Promise<void> {
    const listeners: Listener[] = []
    try {
      for (const host of this.#options.hosts ?? [EVERY_HOST]) listeners.push(await listenAt(host, port, { '*': () => this.#answer(port) }))
      this.#open.set(port, listeners)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      failed.set(port, code === 'EADDRINUSE' ? 'another program listens there' : messageOf(error))
      await Promise.all(listeners.map((one) => one.close()))
    }
  }

  #answer(port: number): Answer {
    const service = this.#wanted.get(port)
    // It is about to be closed.
    if (service === undefined) return json(503, { error: `port ${port}: no Service has it as its healthCheckNodePort any more` })
    const { namespace, name, localEndpoints } = service
    const isHealthy = this.#options.healthy()
    const answer = json(localEndpoints > 0 && isHealthy ? 200 : 503, { service: { namespace, name }, localEndpoints, serviceProxyHealthy: isHealthy })
    return { ...answer, headers: { 'X-Content-Type-Options': 'nosniff', 'X-Load-Balancing-Endpoint-Weight': String(localEndpoints) } }
  }

  #problem(port: number, message: string): readonly Problem[] {
    const service = this.#wanted.get(port)
    return service === undefined ? [] : [problemOf(service, message)]
  }
}

function titleOf({ namespace, name }: ServiceHealth): string {
  return `Service ${namespace}/${name}`
}

function problemOf(service: ServiceHealth, message: string): Problem {
  return {
    code: 'HealthPort',
    severity: 'error',
    object: titleOf(service),
    field: 'spec.healthCheckNodePort',
    message: `port ${service.port} of this node: ${message}; load balancers learn nothing of its endpoints here and send it nothing, until the port is free: it is tried again`,
  }
}
