// Real pods of the test cluster, with the lab's servers and probers inside: its threads enter the pods' network namespaces.
//
// The container itself only waits; what is sent and served is the lab's, so that a round of a thousand probes takes a
// second. **Invariant:** a pod is used only after kubelet said that it runs and which addresses it has.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { PicketError } from '../../src/lib/errors.ts'
import { familyOf, type Address, type Family } from '../../src/model/ip.ts'
import { HostHandle, type HostOptions } from '../../src/lab/host-handle.ts'
import { WorkerFlow } from '../../src/lab/flow-handle.ts'
import type { ServedPort } from '../../src/lab/messages.ts'
import { probeAll } from '../../src/lab/probing.ts'
import type { Prober } from '../../src/lab/round.ts'
import type { Flow, FlowOptions, ProbeSource } from '../../src/lab/testbed.ts'
import { WorkerClient } from '../../src/lab/worker-client.ts'
import { api, type KubeObject } from './api.ts'
import { POD_IMAGE } from './images.ts'
import { REST, netnsPath, type NodePlace } from './layout.ts'
import { cgroupFolder, containerCgroup, until } from './processes.ts'

/** A host whose namespace has no name of its own. */
class PlacedHandle extends HostHandle {
  readonly #place: string

  constructor(place: string, options: Omit<HostOptions, 'netns'>) {
    super({ ...options, netns: options.key })
    this.#place = place
  }

  override get path(): string {
    return this.#place
  }
}

export interface PodWish {
  readonly namespace: string
  readonly name: string
  readonly labels?: Readonly<Record<string, string>>
  readonly node?: string
  /** Container ports that the object names. */
  readonly ports?: readonly { readonly name: string | null; readonly protocol: string; readonly port: number }[]
  /** What the lab serves there. */
  readonly serve?: readonly ServedPort[]
  /** Fields of the container beside these, and of the spec. */
  readonly container?: Readonly<Record<string, unknown>>
  readonly spec?: Readonly<Record<string, unknown>>
}

export interface RealPod {
  readonly key: string
  readonly uid: string
  readonly node: string
  readonly addresses: readonly Address[]
  /** Path of its network namespace. */
  readonly netns: string
}

export const HOST_PORTS: readonly ServedPort[] = [{ protocol: 'TCP', port: 7001 }, { protocol: 'UDP', port: 7001 }]

interface PodStatus {
  readonly phase?: string
  readonly podIPs?: readonly { readonly ip: string }[]
  readonly containerStatuses?: readonly { readonly containerID?: string; readonly ready?: boolean; readonly restartCount?: number; readonly state?: { readonly running?: unknown } }[]
}

export function statusOf(pod: KubeObject): PodStatus {
  return pod['status'] as PodStatus
}

export function podObject({ namespace, name, labels = {}, node, ports = [], container = {}, spec = {} }: PodWish): KubeObject {
  const named = ports.map((one) => ({ ...(one.name === null ? {} : { name: one.name }), containerPort: one.port, protocol: one.protocol }))
  return {
    apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, labels },
    spec: {
      ...(node === undefined ? {} : { nodeName: node }), terminationGracePeriodSeconds: 0, automountServiceAccountToken: false, tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'main', image: POD_IMAGE, imagePullPolicy: 'Never', ...(named.length === 0 ? {} : { ports: named }), ...container }], ...spec,
    },
  }
}

/** The process of a running container, as the machine counts processes. */
export function pidOf(pod: KubeObject): number {
  const id = statusOf(pod).containerStatuses?.[0]?.containerID?.replace('containerd://', '')
  if (id === undefined) throw new PicketError('ClusterFailed', `pod ${pod.metadata.name}: it has no container`)
  const [pid] = readFileSync(path.join(path.dirname(cgroupFolder()), containerCgroup(id), 'cgroup.procs'), 'utf8').split('\n')
  return Number(pid)
}

/** Pods of a new namespace are refused until a controller has made its service account, which takes longer after an outage of the API server. */
function createPod(pod: KubeObject): Promise<KubeObject> {
  return until(`pod ${pod.metadata.namespace}/${pod.metadata.name} is taken`, 60_000, () => api.create(pod).catch((error: Error) => {
    if (/error looking up service account/.test(error.message)) return null
    throw error
  }))
}

export class RealPods {
  readonly #workers: readonly WorkerClient[]
  readonly #pods = new Map<string, { readonly pod: RealPod; readonly handle: HostHandle }>()
  readonly #hosts = new Map<string, HostHandle>()
  readonly #nodes: readonly NodePlace[]
  #number = 1

  private constructor(nodes: readonly NodePlace[]) {
    this.#nodes = nodes
    this.#workers = [1, 2].map(() => new WorkerClient(netnsPath(REST)))
  }

  static async open(nodes: readonly NodePlace[]): Promise<RealPods> {
    const pods = new RealPods(nodes)
    for (const node of nodes) {
      const handle = pods.#handle(netnsPath(node.netns), node.name, [node.addresses[4], node.addresses[6]] as Address[])
      await handle.open(HOST_PORTS, [])
      pods.#hosts.set(node.name, handle)
    }
    return pods
  }

  get size(): number {
    return this.#pods.size
  }

  has(key: string): boolean {
    return this.#pods.has(key)
  }

  get(key: string): RealPod {
    const found = this.#pods.get(key)
    if (found === undefined) throw new PicketError('ClusterFailed', `there is no pod ${key}`)
    return found.pod
  }

  /** Makes the pods, waits until they run, and serves in them. */
  async add(wishes: readonly PodWish[]): Promise<readonly RealPod[]> {
    for (const wish of wishes) await createPod(podObject(wish))
    return Promise.all(wishes.map(async (wish) => {
      const key = `${wish.namespace}/${wish.name}`
      const object = await runningPod(wish.namespace, wish.name)
      const pod: RealPod = {
        key, uid: object.metadata.uid as string, node: (object['spec'] as { readonly nodeName: string }).nodeName,
        addresses: (statusOf(object).podIPs ?? []).map(({ ip }) => ip as Address), netns: `/proc/${pidOf(object)}/ns/net`,
      }
      const handle = this.#handle(pod.netns, key, pod.addresses)
      await handle.open(wish.serve ?? [], [])
      this.#pods.set(key, { pod, handle })
      return pod
    }))
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const [namespace = '', name = ''] = key.split('/')
      await this.#pods.get(key)?.handle.close()
      this.#pods.delete(key)
      await api.remove('v1', 'Pod', namespace, name, 0)
    }
  }

  /** Forgets pods that somebody else removed. */
  async forget(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      await this.#pods.get(key)?.handle.close()
      this.#pods.delete(key)
    }
  }

  get prober(): Prober {
    return {
      probe: (requests, deadlineMs) => probeAll(requests, deadlineMs, (source) => this.#find(source), ({ key, instance }) => this.#current(key, instance)),
      nodeAddress: (name, family) => this.nodeAddress(name, family),
      hostPorts: HOST_PORTS,
    }
  }

  nodeAddress(name: string, family: Family): Address | null {
    return (this.#nodes.find((one) => one.name === name)?.addresses[family] ?? null) as Address | null
  }

  addressOf(key: string, family: Family): Address {
    const found = this.get(key).addresses.find((one) => familyOf(one) === family)
    if (found === undefined) throw new PicketError('ClusterFailed', `pod ${key}: it has no IPv${family} address`)
    return found
  }

  openFlow(from: string, to: string, family: Family, protocol: 'TCP' | 'UDP', port: number, options: FlowOptions): Promise<Flow> {
    return this.openFlowTo(from, this.addressOf(to, family), protocol, port, options)
  }

  openFlowTo(from: string, address: Address, protocol: 'TCP' | 'UDP', port: number, { packetsPerSecond, direction = 'echo' }: FlowOptions): Promise<Flow> {
    const found = this.#pods.get(from)
    if (found === undefined) throw new PicketError('ClusterFailed', `there is no pod ${from}`)
    return WorkerFlow.open(found.handle.worker, this.#number++, { host: found.handle.number, address, protocol, port, packetsPerSecond, direction })
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #handle(place: string, key: string, addresses: readonly Address[]): HostHandle {
    const number = this.#number++
    return new PlacedHandle(place, { key, number, addresses, worker: this.#workers[number % this.#workers.length] as WorkerClient })
  }

  #find(source: ProbeSource): HostHandle | null {
    if (source.kind === 'outside') return null
    return (source.kind === 'node' ? this.#hosts.get(source.name) : this.#pods.get(source.key)?.handle) ?? null
  }

  #current(key: string, instance: string): boolean {
    return (this.#pods.get(key)?.handle ?? this.#hosts.get(key))?.identity.instance === instance
  }
}

/** Waits until it runs and has an address of both families. */
export function runningPod(namespace: string, name: string, timeout = 60_000): Promise<KubeObject> {
  let last = ''
  return until(`pod ${namespace}/${name} runs`, timeout, async () => {
    const pod = await api.get('v1', 'Pod', namespace, name)
    const status = statusOf(pod)
    last = JSON.stringify(status)
    const isRunning = status.phase === 'Running' && status.podIPs?.length === 2 && status.containerStatuses?.[0]?.state?.running !== undefined
    return isRunning ? pod : null
  }, () => last.slice(0, 1500))
}
