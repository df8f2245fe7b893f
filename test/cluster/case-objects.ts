// A case's world as objects of the cluster: what differs from the last one is written through the API.
//
// World -> namespaces, pods and policies there; ipBlocks of the case's addresses become ipBlocks of those that the pods
// got. **Invariant:** after become() the cluster has what the world has, and the versions that it returns are the last written.
import { contains, familyOf, parseCidr, toBits, type Address, type Family } from '../../src/model/ip.ts'
import type { PolicyCase } from '../../src/lab/case-types.ts'
import type { World, WorldPod } from '../../src/lab/case-world.ts'
import { api, type KubeObject } from './api.ts'
import { POD_RANGES, type NodePlace } from './layout.ts'
import { until } from './processes.ts'
import type { PodWish, RealPods } from './pods.ts'

interface IpBlock {
  readonly cidr: string
  readonly except?: readonly string[]
}

const POLICY = ['networking.k8s.io/v1', 'NetworkPolicy'] as const

export class CaseObjects {
  readonly #pods: RealPods
  readonly #nodes: readonly NodePlace[]
  #marks = 0
  /** Text of what was written last, by kind and key. */
  readonly #written = { namespaces: new Map<string, string>(), pods: new Map<string, string>(), policies: new Map<string, string>() }

  constructor(pods: RealPods, nodes: readonly NodePlace[]) {
    this.#pods = pods
    this.#nodes = nodes
  }

  /** Makes the namespaces and pods that every case begins with. */
  async start(one: PolicyCase): Promise<void> {
    for (const [name, labels] of one.namespaces) {
      await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: Object.fromEntries(labels) } })
    }
    // On every node some of every namespace.
    await this.#pods.add(one.pods.map((pod, index) => this.#wish({ ...pod, ports: pod.ports ?? [] }, index)))
  }

  #wish({ namespace, name, labels, ports }: Pick<WorldPod, 'namespace' | 'name' | 'labels' | 'ports'>, index: number): PodWish {
    const serve = ports.filter(({ protocol }) => protocol !== 'SCTP').map(({ protocol, port }) => ({ protocol, port }))
    return { namespace, name, labels: Object.fromEntries(labels), node: (this.#nodes[index % this.#nodes.length] as NodePlace).name, ports, serve }
  }

  async end(): Promise<void> {
    await Promise.all([...this.#written.namespaces.keys()].map((name) => api.remove('v1', 'Namespace', null, name)))
    await until('the namespaces of the cases are gone', 60_000, async () => {
      const left = await Promise.all([...this.#written.namespaces.keys()].map((name) => api.find('v1', 'Namespace', null, name)))
      return left.every((one) => one === null) ? true : null
    })
  }

  /** The world with the addresses that the pods have in fact. */
  inReality(world: World): World {
    return { ...world, pods: new Map([...world.pods].map(([key, pod]) => [key, { ...pod, addresses: this.#pods.get(key).addresses }])) }
  }

  async become(world: World): Promise<Readonly<Record<string, string | undefined>>> {
    const versions: Record<string, string | undefined> = {}
    await this.#removeOthers(world, versions)
    for (const [name, { labels }] of world.namespaces) {
      await this.#write('namespaces', name, Object.fromEntries(labels), async () => {
        const exists = this.#written.namespaces.has(name) || (await api.find('v1', 'Namespace', null, name)) !== null
        const made = exists ? await this.#setLabels('Namespace', null, name, labels) : await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: Object.fromEntries(labels) } })
        versions['namespaces'] = made.metadata.resourceVersion
      })
    }
    for (const [key, pod] of world.pods) {
      const { namespace, name, labels } = pod
      await this.#write('pods', key, Object.fromEntries(labels), async () => {
        if (!this.#pods.has(key)) await this.#pods.add([this.#wish(pod, this.#pods.size)])
        versions['pods'] = (await this.#setLabels('Pod', namespace, name, labels)).metadata.resourceVersion
      })
    }
    for (const [key, { namespace, manifest }] of world.policies) {
      const metadata = { ...(manifest['metadata'] as KubeObject['metadata']), namespace }
      const policy = { apiVersion: POLICY[0], kind: POLICY[1], metadata, spec: this.#translate(world, manifest['spec']) } as KubeObject
      const exists = this.#written.policies.has(key)
      await this.#write('policies', key, policy, async () => {
        versions['networkpolicies'] = (await (exists ? api.replace(policy) : api.create(policy))).metadata.resourceVersion
      })
    }
    return versions
  }

  /** An answer to a deletion has no version of its own: something of that kind that is written afterwards has a later one. */
  async #removeOthers(world: World, versions: Record<string, string | undefined>): Promise<void> {
    const gone = (kind: 'namespaces' | 'pods' | 'policies'): readonly string[] => [...this.#written[kind].keys()].filter((key) => !world[kind].has(key))
    const [policies, pods, namespaces] = [gone('policies'), gone('pods'), gone('namespaces')]
    for (const key of policies) {
      const [namespace = '', name = ''] = key.split('/')
      await api.remove(...POLICY, namespace, name)
      this.#written.policies.delete(key)
    }
    await this.#pods.remove(pods)
    for (const key of pods) this.#written.pods.delete(key)
    for (const name of namespaces) {
      await api.remove('v1', 'Namespace', null, name)
      this.#written.namespaces.delete(name)
      await until(`namespace ${name} is gone`, 60_000, async () => ((await api.find('v1', 'Namespace', null, name)) === null ? true : null))
    }
    const marked = { metadata: { annotations: { mark: String(this.#marks++) } } }
    if (policies.length > 0) versions['networkpolicies'] = await this.#mark()
    if (pods.length + namespaces.length > 0) versions['namespaces'] = (await api.patch('v1', 'Namespace', null, 'default', marked)).metadata.resourceVersion
    if (pods.length > 0) {
      const [key = ''] = [...this.#written.pods.keys()]
      const [namespace = '', name = ''] = key.split('/')
      versions['pods'] = (await api.patch('v1', 'Pod', namespace, name, marked)).metadata.resourceVersion
    }
  }

  /** A policy that selects nothing, written and gone again: a version behind every deletion before it. */
  async #mark(): Promise<string | undefined> {
    const metadata = { namespace: 'default', name: 'mark' }
    const made = await api.create({ apiVersion: POLICY[0], kind: POLICY[1], metadata, spec: { podSelector: { matchLabels: { no: 'body' } } } })
    await api.remove(...POLICY, 'default', 'mark')
    return made.metadata.resourceVersion
  }

  async #write(kind: 'namespaces' | 'pods' | 'policies', key: string, content: unknown, write: () => Promise<void>): Promise<void> {
    const text = JSON.stringify(content)
    if (this.#written[kind].get(key) === text) return
    await write()
    this.#written[kind].set(key, text)
  }

  /** Labels that are no longer there are taken away. */
  async #setLabels(kind: string, namespace: string | null, name: string, labels: ReadonlyMap<string, string>): Promise<KubeObject> {
    const { metadata } = await api.get('v1', kind, namespace, name)
    const gone = Object.keys(metadata.labels ?? {}).filter((label) => !labels.has(label) && label !== 'kubernetes.io/metadata.name')
    return api.patch('v1', kind, namespace, name, { metadata: { labels: { ...Object.fromEntries(gone.map((label) => [label, null])), ...Object.fromEntries(labels) } } })
  }

  /** Every list of peers with its ipBlocks told in the pods' addresses. */
  #translate(world: World, value: unknown): unknown {
    if (Array.isArray(value)) {
      return value.flatMap((item) => {
        const block = (item as { readonly ipBlock?: IpBlock } | null)?.ipBlock
        return block === undefined ? [this.#translate(world, item)] : this.#blocks(world, block).map((ipBlock) => ({ ipBlock }))
      })
    }
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, this.#translate(world, field)]))
  }

  /** Of one that holds no pod, or everything, nothing changes. */
  #blocks(world: World, block: IpBlock): readonly IpBlock[] {
    const cidr = parseCidr(block.cidr)
    if (cidr === null || cidr.text.endsWith('/0')) return [block]
    const inside = (pod: WorldPod, text: string): boolean => {
      const range = parseCidr(text)
      return pod.addresses.some((one) => range !== null && familyOf(one) === range.family && contains(range, toBits(one)))
    }
    const meant = [...world.pods].filter(([, pod]) => inside(pod, block.cidr) && !(block.except ?? []).some((one) => inside(pod, one))).map(([key]) => key)
    // An empty list of peers would mean everybody.
    if (meant.length === 0) return [block]
    const one = (key: string): string => hostCidr(this.#pods.addressOf(key, cidr.family), cidr.family)
    if (block.except === undefined) return meant.map((key) => ({ cidr: one(key) }))
    const others = [...world.pods.keys()].filter((key) => !meant.includes(key))
    return [{ cidr: POD_RANGES[cidr.family], except: others.map(one) }]
  }
}

function hostCidr(address: Address, family: Family): string {
  return `${address}/${family === 4 ? 32 : 128}`
}
