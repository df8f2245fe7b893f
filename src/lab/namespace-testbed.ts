// The testbed: nodes, pods and an outside host in network namespaces, carried by worker threads.
//
// Sits between testbed.ts (what callers see), network.ts (namespaces, links and routes) and worker-client.ts (servers
// and probes). **Invariant:** whatever this object knows of exists, and close() removes all of it.
import { PicketError } from '../lib/errors.ts'
import { shortHash } from '../lib/hash.ts'
import { type Address, parseAddress } from '../model/ip.ts'
import { WorkerFlow } from './flow-handle.ts'
import { HostHandle } from './host-handle.ts'
import { BRIDGE_SYSCTLS } from './layout-bridge.ts'
import { type Attachment, HOST_SYSCTLS, MAX_NODES, NODE_SYSCTLS, nodePosition, OUTSIDE, underlayAddresses, type UnderlayHost, vethName } from './layout.ts'
import { endProcessesIn, removeLeftovers } from './leftovers.ts'
import type { ServedPort } from './messages.ts'
import type { LabNetwork } from './network.ts'
import { probeAll } from './probing.ts'
import { runInNetns, startInNetns, stopProcess } from './processes.ts'
import type { Flow, FlowOptions, LabNode, LabProcess, PodSpec, ProbeRequest, ProbeResult, ProbeSource, Testbed, TestbedOptions } from './testbed.ts'
import type { Identity } from './wire.ts'
import type { WorkerClient } from './worker-client.ts'

/** What every node and the outside host serve. */
const HOST_PORTS: readonly ServedPort[] = [
  { protocol: 'TCP', port: 7061 },
  { protocol: 'UDP', port: 7061 },
  { protocol: 'SCTP', port: 7061 },
]
export const OUTSIDE_KEY = 'outside'

interface Node {
  readonly place: UnderlayHost
  readonly handle: HostHandle
  readonly processes: Set<LabProcess>
}

interface Pod {
  readonly attachment: Attachment
  readonly handle: HostHandle
}

export class NamespaceTestbed implements Testbed {
  readonly hostPorts = HOST_PORTS
  readonly #options: TestbedOptions
  readonly #network: LabNetwork
  readonly #workers: readonly WorkerClient[]
  readonly #nodes = new Map<string, Node>()
  readonly #pods = new Map<string, Pod>()
  /** Keys of pods and names of nodes that are being made. */
  readonly #making = new Set<string>()
  readonly #outside: HostHandle
  #nextNumber = 1

  constructor(options: TestbedOptions, network: LabNetwork, workers: readonly WorkerClient[]) {
    this.#options = options
    this.#network = network
    this.#workers = workers
    this.#outside = this.#newHandle(OUTSIDE_KEY, OUTSIDE_KEY, [...underlayAddresses(OUTSIDE), ...(options.outsideAddresses ?? [])])
  }

  /** Called once, by openTestbed. */
  async openOutside(): Promise<void> {
    await this.#network.join({ position: OUTSIDE, netns: this.#outside.netns }, this.#options.outsideAddresses ?? [])
    await this.#outside.open(HOST_PORTS, HOST_SYSCTLS)
  }

  get nodes(): readonly LabNode[] {
    return [...this.#nodes].map(([name, { handle }]) => ({ name, netns: handle.path, addresses: handle.addresses }))
  }

  get outside(): { readonly netns: string; readonly addresses: readonly Address[] } {
    return { netns: this.#outside.path, addresses: this.#outside.addresses }
  }

  async addNode(name: string): Promise<LabNode> {
    if (!/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(name) || name === OUTSIDE_KEY || name === 'underlay' || name.startsWith('pod-')) {
      throw new PicketError('InvalidNode', `node name ${name}: expected up to 63 of a-z, 0-9, dot and dash, and neither outside, underlay nor pod-...`)
    }
    return this.#make(name, this.#nodes, async () => {
      const place = { position: this.#freePosition(), netns: this.#options.prefix + name }
      const handle = this.#newHandle(name, name, underlayAddresses(place.position))
      const node = { place, handle, processes: new Set<LabProcess>() }
      this.#nodes.set(name, node)
      try {
        await this.#network.join(place, [])
        await handle.open(HOST_PORTS, this.#options.attachment === 'bridge' ? [...NODE_SYSCTLS, ...BRIDGE_SYSCTLS] : NODE_SYSCTLS)
      } catch (error) {
        this.#nodes.delete(name)
        await this.#network.leave(place)
        throw error
      }
      this.#options.onProgress?.(`node ${name} is up`)
      return { name, netns: handle.path, addresses: handle.addresses }
    })
  }

  async removeNode(name: string): Promise<void> {
    const node = this.#node(name)
    await Promise.all([...this.#pods].filter(([, pod]) => pod.attachment.node === node.place).map(([key]) => this.removePod(key)))
    await Promise.all([...node.processes].map(stopProcess))
    this.#nodes.delete(name)
    await node.handle.close()
    endProcessesIn([node.place.netns])
    await this.#network.leave(node.place)
    this.#options.onProgress?.(`node ${name} is gone`)
  }

  async addPod(pod: PodSpec): Promise<void> {
    const node = this.#node(pod.node)
    if (!/^[a-z0-9-]+\/[a-z0-9.-]+$/.test(pod.key)) throw new PicketError('InvalidPod', `pod ${pod.key}: expected NAMESPACE/NAME`)
    for (const address of pod.addresses) {
      if (parseAddress(address) !== address) throw new PicketError('InvalidPod', `pod ${pod.key}: address ${address}: expected an IPv4 or IPv6 address`)
    }
    await this.#make(pod.key, this.#pods, async () => {
      const handle = this.#newHandle(pod.key, `pod-${fileName(pod.key)}`, pod.addresses)
      const attachment = { netns: handle.netns, number: handle.number, veth: vethName(pod.key), addresses: pod.addresses, node: node.place }
      await this.#network.attach(attachment)
      try {
        await handle.open(pod.ports, HOST_SYSCTLS)
      } catch (error) {
        await this.#network.detach(attachment)
        throw error
      }
      this.#pods.set(pod.key, { attachment, handle })
      this.#options.onProgress?.(`pod ${pod.key} is up on ${pod.node}`)
    })
  }

  async removePod(key: string): Promise<void> {
    const pod = this.#pod(key)
    this.#pods.delete(key)
    await pod.handle.close()
    endProcessesIn([pod.attachment.netns])
    await this.#network.detach(pod.attachment)
    this.#options.onProgress?.(`pod ${key} is gone`)
  }

  routeOutside(routes: ReadonlyMap<Address, string>): Promise<void> {
    return this.#network.routeOutside(new Map([...routes].map(([address, name]) => [address, this.#node(name).place])))
  }

  hostInterface(key: string): string {
    return this.#pod(key).attachment.veth
  }

  netnsOf(where: ProbeSource): string {
    return this.#host(where).path
  }

  probe(requests: readonly ProbeRequest[], deadlineMs: number): Promise<readonly ProbeResult[]> {
    return probeAll(requests, deadlineMs, (source) => this.#find(source), (identity) => this.#isCurrent(identity))
  }

  exec(where: ProbeSource, command: readonly string[]): Promise<number> {
    return runInNetns(this.netnsOf(where), command)
  }

  async start(node: string, command: readonly string[], options: Parameters<Testbed['start']>[2]): Promise<LabProcess> {
    const { handle, processes } = this.#node(node)
    const running = startInNetns(handle.path, command, options.logFile, options.env ?? {})
    processes.add(running)
    running.ended.catch(() => undefined).finally(() => processes.delete(running))
    return running
  }

  serve(where: ProbeSource, ports: readonly ServedPort[]): Promise<void> {
    return this.#host(where).serve(ports)
  }

  openFlow(from: ProbeSource, address: Address, protocol: 'TCP' | 'UDP', port: number, { packetsPerSecond, direction = 'echo' }: FlowOptions): Promise<Flow> {
    const host = this.#host(from)
    return WorkerFlow.open(host.worker, this.#nextNumber++, { host: host.number, address, protocol, port, packetsPerSecond, direction })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes.values()].flatMap((node) => [...node.processes].map(stopProcess)))
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
    this.#pods.clear()
    this.#nodes.clear()
    await removeLeftovers(this.#options.prefix)
  }

  /** One at a time for each name, and none where there is one. */
  async #make<T>(name: string, existing: ReadonlyMap<string, unknown>, make: () => Promise<T>): Promise<T> {
    if (existing.has(name) || this.#making.has(name)) throw new PicketError('AlreadyExists', `${name} exists in the lab already`)
    this.#making.add(name)
    try {
      return await make()
    } finally {
      this.#making.delete(name)
    }
  }

  #newHandle(key: string, name: string, addresses: readonly Address[]): HostHandle {
    const number = this.#nextNumber++
    const worker = this.#workers[number % this.#workers.length] as WorkerClient
    return new HostHandle({ key, netns: this.#options.prefix + name, number, addresses, worker })
  }

  #freePosition(): number {
    const taken = new Set([...this.#nodes.values()].map((node) => node.place.position))
    for (let index = 1; index <= MAX_NODES; index++) if (!taken.has(nodePosition(index))) return nodePosition(index)
    throw new PicketError('TooManyNodes', `the lab holds at most ${MAX_NODES} nodes`)
  }

  #isCurrent({ key, instance }: Identity): boolean {
    const handle = key === OUTSIDE_KEY ? this.#outside : (this.#pods.get(key)?.handle ?? this.#nodes.get(key)?.handle)
    return handle?.identity.instance === instance
  }

  #find(where: ProbeSource): HostHandle | null {
    if (where.kind === 'outside') return this.#outside
    return (where.kind === 'node' ? this.#nodes.get(where.name) : this.#pods.get(where.key))?.handle ?? null
  }

  #host(where: ProbeSource): HostHandle {
    const found = this.#find(where)
    if (found !== null) return found
    throw new PicketError('NotFound', `the lab has no ${where.kind} ${where.kind === 'node' ? where.name : where.kind === 'pod' ? where.key : 'host'}`)
  }

  #node(name: string): Node {
    this.#host({ kind: 'node', name })
    return this.#nodes.get(name) as Node
  }

  #pod(key: string): Pod {
    this.#host({ kind: 'pod', key })
    return this.#pods.get(key) as Pod
  }
}

/** `shop/web` -> `shop.web`: a namespace's name has no dots, so nothing else gives the same. Long ones get a hash. */
function fileName(key: string): string {
  const name = key.replace('/', '.')
  return name.length <= 100 ? name : `${name.slice(0, 80)}-${shortHash(key, 16)}`
}
