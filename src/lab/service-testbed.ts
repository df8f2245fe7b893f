// The hosts of a scenario in network namespaces of their own, with real servers, and its node's agent among them.
//
// ServiceWorld -> namespaces; probes between them. **Invariant:** either the whole world stands, or nothing of it is left; it owns the
// namespaces whose names begin with its prefix, and nothing else.
import { HostHandle } from './host-handle.ts'
import { IpBatch, type IpLine } from './ip-batch.ts'
import { bridgedAttachLines, bridgedPodLines, peerLines, podBridgeLines, portVethLines } from './layout-bridge.ts'
import { type Attachment, attachLines, podLines, portLines, type UnderlayHost, underlayLines, uplinkLines, vethLines, vethName } from './layout.ts'
import { netnsPath, removeLeftovers } from './leftovers.ts'
import { requireBridgeNetfilter, WORKERS } from './open-testbed.ts'
import { probeAll } from './probing.ts'
import { startInNetns, stopProcess } from './processes.ts'
import { POSITIONS, SCENARIO_BRIDGE_SYSCTLS, SCENARIO_SYSCTLS, scenarioHostLines, UNDERLAY_ROLES, type UnderlayRole } from './service-layout.ts'
import type { ServiceWorld, WorldHost } from './service-world.ts'
import type { LabProcess, PodAttachment, ProbeRequest, ProbeResult, Testbed } from './testbed.ts'
import { WorkerClient } from './worker-client.ts'

export class ServiceTestbed implements Pick<Testbed, 'start' | 'probe' | 'close'> {
  readonly #prefix: string
  readonly #world: ServiceWorld
  readonly #workers: WorkerClient[] = []
  readonly #handles = new Map<string, HostHandle>()
  readonly #processes = new Set<LabProcess>()
  readonly #underlay: string
  readonly #bridged: boolean

  private constructor(prefix: string, world: ServiceWorld, attachment: PodAttachment) {
    this.#prefix = prefix
    this.#bridged = attachment === 'bridge'
    this.#world = world
    this.#underlay = `${prefix}underlay`
  }

  /** Removes what a killed run of the prefix left. Throws a PicketError. */
  static async open(prefix: string, world: ServiceWorld, attachment: PodAttachment): Promise<ServiceTestbed> {
    if (attachment === 'bridge') requireBridgeNetfilter()
    await removeLeftovers(prefix)
    const testbed = new ServiceTestbed(prefix, world, attachment)
    try {
      await testbed.#make()
      return testbed
    } catch (error) {
      await testbed.close()
      throw error
    }
  }

  async #make(): Promise<void> {
    const { hosts } = this.#world
    const made = new IpBatch(null)
    const add = (name: string): IpLine => ({ kind: 'run', text: `netns add ${name}` })
    await made.run([add(this.#underlay)])
    for (let index = 0; index < WORKERS; index++) this.#workers.push(new WorkerClient(netnsPath(this.#underlay)))
    const handles = hosts.map((host, index) => ({ host, handle: this.#newHandle(host, index) }))
    await made.run(handles.map(({ handle }) => add(handle.netns)))
    const inUnderlay = new IpBatch(this.#underlay)
    await inUnderlay.run(underlayLines())
    const joined = handles.filter(({ host }) => host.role !== 'pod')
    await Promise.all(joined.map(async ({ host, handle }) => {
      const role = host.role as UnderlayRole
      const place: UnderlayHost = { position: POSITIONS[role], netns: handle.netns }
      await inUnderlay.run([...uplinkLines(place, this.#underlay), ...portLines(place)])
      await handle.ip.run([...scenarioHostLines(role, host.addresses, hosts), ...(this.#bridged && role === 'node' ? podBridgeLines(place) : [])])
      // Settings of links to come are among them: the node before its pods.
      await this.#open(host, handle)
    }))
    const node = joined.find(({ host }) => host.role === 'node') as (typeof joined)[number]
    const place: UnderlayHost = { position: POSITIONS.node, netns: node.handle.netns, addresses: node.host.addresses }
    const pods = handles.filter(({ host }) => host.role === 'pod').map(({ host, handle }) => {
      const pod: Attachment = { netns: handle.netns, number: handle.number, veth: vethName(host.key), addresses: host.addresses, node: place }
      return { host, handle, pod }
    })
    await Promise.all(pods.map(async ({ host, handle, pod }) => {
      await inUnderlay.run(this.#bridged ? portVethLines(pod) : vethLines(pod))
      await Promise.all([handle.ip.run(this.#bridged ? bridgedPodLines(pod) : podLines(pod)), node.handle.ip.run(this.#bridged ? bridgedAttachLines(pod) : attachLines(pod))])
      await this.#open(host, handle)
    }))
    if (!this.#bridged) return
    await Promise.all(pods.map(({ handle, pod }) => handle.ip.run(pods.flatMap(({ pod: other }) => (other === pod ? [] : peerLines(pod, other.addresses))))))
  }

  #newHandle(host: WorldHost, index: number): HostHandle {
    const name = UNDERLAY_ROLES.some((role) => role === host.role) ? host.role : `pod-${index}`
    const worker = this.#workers[index % WORKERS] as WorkerClient
    const handle = new HostHandle({ key: host.key, netns: this.#prefix + name, number: index + 1, addresses: host.addresses, worker })
    this.#handles.set(host.key, handle)
    return handle
  }

  #open({ role, ports }: WorldHost, handle: HostHandle): Promise<void> {
    return handle.open(ports, this.#bridged && role === 'node' ? [...SCENARIO_SYSCTLS.node, ...SCENARIO_BRIDGE_SYSCTLS] : SCENARIO_SYSCTLS[role])
  }

  /** In the namespace of the node, whatever its name. */
  async start(_: string, command: readonly string[], options: Parameters<Testbed['start']>[2]): Promise<LabProcess> {
    const [node] = this.#world.hosts
    const { path } = this.#handles.get((node as WorldHost).key) as HostHandle
    const running = startInNetns(path, command, options.logFile, options.env ?? {})
    this.#processes.add(running)
    running.ended.catch(() => undefined).finally(() => this.#processes.delete(running))
    return running
  }

  /** Sources are hosts by their keys, as pods. */
  probe(requests: readonly ProbeRequest[], deadlineMs: number): Promise<readonly ProbeResult[]> {
    return probeAll(requests, deadlineMs, (source) => (source.kind === 'pod' ? (this.#handles.get(source.key) ?? null) : null), () => true)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#processes].map(stopProcess))
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
    await removeLeftovers(this.#prefix)
  }
}
