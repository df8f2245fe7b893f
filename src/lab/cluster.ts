// A cluster in network namespaces: a testbed, an agent a node, the folder that they watch, and one way to change it.
//
// Wanted pods and files -> namespaces, then manifests, then every agent's word that the kernel holds them.
// **Invariant:** `converge` is the only way in; when it resolves, what was wanted is what every node's kernel enforces.
import fs from 'node:fs'
import { familyOf, type Address, type Family } from '../model/ip.ts'
import { PicketError } from '../lib/errors.ts'
import { folderDigest } from '../manifests/digest.ts'
import { AgentsFolder } from './agents-folder.ts'
import { Agents } from './agents.ts'
import { openTestbed } from './open-testbed.ts'
import { ownCommand, type LabPlaces } from './places.ts'
import type { Prober } from './round.ts'
import type { LabNode, PodAttachment, PodSpec, Testbed } from './testbed.ts'

export interface RunningPod extends PodSpec {
  readonly uid: string
}

export interface Wanted {
  /** Pods that have a network namespace, by key. */
  readonly pods: ReadonlyMap<string, RunningPod>
  /** What the agents' folder holds: path within it -> text. */
  readonly files: ReadonlyMap<string, string>
  /** Where the outside host sends what is for an address that no host has: name of a node. */
  readonly routes?: ReadonlyMap<Address, string>
}

export interface ClusterOptions {
  readonly places: LabPlaces
  /** 1 to 16. */
  readonly nodes: number
  /** How pods are attached to their node; `veth` unless told. */
  readonly attachment?: PodAttachment
  readonly onProgress: (text: string) => void
  /** The command line of `picket`; this program's own unless told. */
  readonly command?: readonly string[]
  /** Settings of every agent, as flags. */
  readonly agentFlags?: readonly string[]
}

/** How many pods are made at a time: each starts a thread and runs some `ip` commands. */
const POD_BATCH = 4

export class Cluster {
  readonly testbed: Testbed
  readonly agents: Agents
  readonly #folder: AgentsFolder
  readonly #places: LabPlaces
  #pods = new Map<string, RunningPod>()

  private constructor(testbed: Testbed, places: LabPlaces, command: readonly string[], flags: readonly string[]) {
    this.testbed = testbed
    this.#places = places
    this.#folder = new AgentsFolder(places.manifests)
    this.agents = new Agents(testbed, places, command, flags)
  }

  /** Nodes are called n1, n2, ...; agents are started, and have said nothing yet. */
  static async open({ places, nodes, attachment = 'veth', onProgress, command = ownCommand(), agentFlags = [] }: ClusterOptions): Promise<Cluster> {
    if (process.getuid?.() !== 0) throw new PicketError('NotRoot', 'the lab makes network namespaces, which takes root: run it with sudo')
    const testbed = await openTestbed({ prefix: places.prefix, attachment, onProgress })
    const cluster = new Cluster(testbed, places, command, agentFlags)
    try {
      for (let index = 1; index <= nodes; index++) await testbed.addNode(`n${index}`)
      for (const node of testbed.nodes) await cluster.agents.start(node.name)
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  get nodes(): readonly LabNode[] {
    return this.testbed.nodes
  }

  get pods(): ReadonlyMap<string, RunningPod> {
    return this.#pods
  }

  /**
   * Makes and removes pods, writes the files, and waits until every agent enforces them. The result is how long that
   * took from the moment the files were there, in ms. Throws a PicketError if an agent does not (30 s).
   */
  async converge(wanted: Wanted): Promise<number> {
    this.#refuseHostAddresses(wanted.pods)
    for (const [key, pod] of this.#pods) {
      const next = wanted.pods.get(key)
      if (next !== undefined && sameRun(pod, next)) continue
      await this.testbed.removePod(key)
      this.#pods.delete(key)
    }
    const missing = [...wanted.pods].filter(([key]) => !this.#pods.has(key))
    for (let first = 0; first < missing.length; first += POD_BATCH) {
      await Promise.all(missing.slice(first, first + POD_BATCH).map(([, pod]) => this.testbed.addPod(pod)))
    }
    this.#pods = new Map(wanted.pods)
    await this.testbed.routeOutside(wanted.routes ?? new Map())
    this.#folder.write(wanted.files)
    const started = performance.now()
    await this.agents.enforced(await folderDigest(this.#folder.dir))
    return Math.round(performance.now() - started)
  }

  #refuseHostAddresses(pods: ReadonlyMap<string, RunningPod>): void {
    const { nodes, outside } = this.testbed
    const named = [...nodes.map(({ name, addresses }) => ({ name: `node ${name}`, addresses })), { name: 'the outside host', addresses: outside.addresses }]
    const hosts = new Map(named.flatMap(({ name, addresses }) => addresses.map((one) => [one, name])))
    for (const { key, addresses } of pods.values()) {
      const taken = addresses.find((one) => hosts.has(one))
      if (taken !== undefined) throw new PicketError('AddressTaken', `pod ${key}: its address ${taken} is that of ${hosts.get(taken)} in the lab; expected one outside of the lab's own network`)
    }
  }

  /** The lab's side of a round of probes. */
  get prober(): Prober {
    const { testbed } = this
    return {
      probe: (requests, deadlineMs) => testbed.probe(requests, deadlineMs),
      nodeAddress: (name, family) => this.nodeAddress(name, family),
      hostPorts: testbed.hostPorts,
    }
  }

  nodeAddress(name: string, family: Family): Address | null {
    const node = this.testbed.nodes.find((one) => one.name === name)
    return node?.addresses.find((one) => familyOf(one) === family) ?? null
  }

  /** Ends agents, removes namespaces, sockets and folders. */
  async close(): Promise<void> {
    await this.testbed.close()
    fs.rmSync(this.#places.folder, { recursive: true, force: true })
    fs.rmSync(this.#places.socket, { force: true })
  }
}

/** Whether a running pod can stay: the same object, on the same node, with the same addresses and servers. */
function sameRun(a: RunningPod, b: RunningPod): boolean {
  const facts = ({ uid, node, addresses, ports }: RunningPod): string => JSON.stringify([uid, node, addresses, ports.map((one) => [one.protocol, one.port])])
  return facts(a) === facts(b)
}
