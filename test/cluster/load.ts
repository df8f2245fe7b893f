// Flows between real pods that go on while something happens to the agents: allowed ones and denied ones, both families.
//
// **Invariant:** an allowed flow has lost nothing and a denied one was never answered, from start() to the end.
import assert from 'node:assert/strict'
import type { Flow } from '../../src/lab/testbed.ts'
import type { Family } from '../../src/model/ip.ts'
import { api } from './api.ts'
import { settled } from './agents.ts'
import type { TestCluster } from './cluster.ts'
import type { RealPods } from './pods.ts'
import { sleep, until } from './processes.ts'

const PORT = 8080
const PER_SECOND = 200
const FAMILIES: readonly Family[] = [4, 6]

interface Named {
  readonly name: string
  readonly flow: Flow
}

export class Load {
  readonly namespace: string
  readonly #cluster: TestCluster
  readonly #pods: RealPods
  #allowed: readonly Named[] = []
  #denied: readonly Named[] = []

  constructor(cluster: TestCluster, pods: RealPods, namespace: string) {
    this.#cluster = cluster
    this.#pods = pods
    this.namespace = namespace
  }

  /** Makes pods and policies, and begins: a server on the first node, on the last one a friend that may call it, and one that may not. */
  async start(): Promise<void> {
    const { namespace } = this
    const [first = '', ...others] = this.#cluster.nodes.map(({ name }) => name)
    const last = others.at(-1) ?? first
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
    const serve = [{ protocol: 'UDP', port: PORT }, { protocol: 'TCP', port: PORT }] as const
    await this.#pods.add([
      { namespace, name: 'server', node: first, labels: { app: 'server' }, serve },
      { namespace, name: 'friend', node: last, labels: { app: 'friend' } },
      { namespace, name: 'other', node: last, labels: { app: 'other' } },
      // Denied where it leaves, not where it arrives.
      { namespace, name: 'jailed', node: last, labels: { app: 'friend', jail: 'yes' } },
    ])
    const made = [
      await api.create(this.#policy('server', { podSelector: { matchLabels: { app: 'server' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }], ports: [{ port: PORT, protocol: 'UDP' }, { port: PORT }] }] })),
      await api.create(this.#policy('jail', { podSelector: { matchLabels: { jail: 'yes' } }, policyTypes: ['Egress'] })),
    ]
    const pods = await api.get('v1', 'Pod', namespace, 'jailed')
    await settled(this.#cluster.nodes, { networkpolicies: made.at(-1)?.metadata.resourceVersion, pods: pods.metadata.resourceVersion })
    const open = async (from: string, family: Family, protocol: 'UDP' | 'TCP'): Promise<Named> => {
      const flow = await this.#pods.openFlow(`${namespace}/${from}`, `${namespace}/server`, family, protocol, PORT, { packetsPerSecond: PER_SECOND })
      return { name: `${from} v${family} ${protocol}`, flow }
    }
    this.#allowed = await Promise.all(FAMILIES.flatMap((family) => [open('friend', family, 'UDP'), open('friend', family, 'TCP')]))
    this.#denied = await Promise.all(FAMILIES.flatMap((family) => [open('other', family, 'UDP'), open('jailed', family, 'UDP')]))
    await until('every allowed flow is answered', 5000, async () => ((await this.#counts(this.#allowed)).every(({ answered }) => answered > 0) ? true : null))
  }

  /** What is right so far. */
  async check(when: string): Promise<void> {
    for (const { name, lost, broken } of await this.#counts(this.#allowed)) assert.deepEqual([name, lost, broken], [name, 0, null], `${when}: an allowed flow lost packets`)
    for (const { name, answered } of await this.#counts(this.#denied)) assert.deepEqual([name, answered], [name, 0], `${when}: a denied flow was answered`)
  }

  /** Ends the flows and checks them; the packets that were judged. */
  async end(): Promise<number> {
    await sleep(700)
    await this.check('at the end')
    const all = await Promise.all([...this.#allowed, ...this.#denied].map(({ flow }) => flow.stop()))
    for (const [index, { name }] of this.#allowed.entries()) assert.deepEqual([name, all[index]?.lost], [name, 0])
    return all.reduce((sum, { sent }) => sum + sent, 0)
  }

  async remove(): Promise<void> {
    await Promise.all([...this.#allowed, ...this.#denied].map(({ flow }) => flow.stop().catch(() => undefined)))
    await api.remove('v1', 'Namespace', null, this.namespace)
  }

  async #counts(flows: readonly Named[]): Promise<readonly { readonly name: string; readonly answered: number; readonly lost: number; readonly broken: string | null }[]> {
    return Promise.all(flows.map(async ({ name, flow }) => {
      const { answered, lost, broken } = await flow.stats()
      return { name, answered, lost, broken }
    }))
  }

  #policy(name: string, spec: unknown): Parameters<typeof api.create>[0] {
    return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: this.namespace, name }, spec }
  }
}
