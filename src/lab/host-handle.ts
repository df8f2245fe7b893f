// One host of the testbed as the main thread knows it: its namespace, its iproute2 queue, and the worker that carries it.
//
// **Invariant:** an instance stands for one life of a host: a pod that is made again under its key is another one, with
// another number and another identity, so that a late answer of the old one is told apart.
import type { Address } from '../model/ip.ts'
import { IpBatch } from './ip-batch.ts'
import { netnsPath } from './leftovers.ts'
import type { ServedPort } from './messages.ts'
import type { Identity } from './wire.ts'
import type { WorkerClient } from './worker-client.ts'

export interface HostOptions {
  /** Name of the network namespace. */
  readonly netns: string
  /** What its servers say that they are. */
  readonly key: string
  /** Unique within the testbed. */
  readonly number: number
  readonly addresses: readonly Address[]
  readonly worker: WorkerClient
}

export class HostHandle {
  readonly netns: string
  readonly number: number
  readonly addresses: readonly Address[]
  readonly identity: Identity
  readonly worker: WorkerClient
  readonly ip: IpBatch

  constructor(options: HostOptions) {
    this.netns = options.netns
    this.number = options.number
    this.addresses = options.addresses
    this.identity = { key: options.key, instance: String(options.number) }
    this.worker = options.worker
    this.ip = new IpBatch(options.netns)
  }

  get path(): string {
    return netnsPath(this.netns)
  }

  /** Writes the settings, opens the servers. Its addresses must be there. */
  async open(ports: readonly ServedPort[], sysctls: readonly (readonly [string, string])[]): Promise<void> {
    const spec = { netns: this.path, identity: this.identity, addresses: this.addresses, ports, sysctls }
    await this.worker.request({ kind: 'open', host: this.number, spec })
  }

  async serve(ports: readonly ServedPort[]): Promise<void> {
    await this.worker.request({ kind: 'serve', host: this.number, ports })
  }

  /** Closes its servers and everything else that it has open. */
  async close(): Promise<void> {
    await this.worker.request({ kind: 'close', host: this.number })
  }
}
