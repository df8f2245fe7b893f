// A cluster that follows a folder of manifests: what is edited there takes effect, and questions about it are answered.
//
// DIR -> control-plane.ts -> cluster.ts; asked by daemon.ts. **Invariant:** DIR is only read; one thing is done at a
// time, and every question is answered for the folder as it is when the question is asked.
import { familyOf, parseAddress } from '../model/ip.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import { Cluster, type ClusterOptions } from './cluster.ts'
import { ControlPlane, type Decided } from './control-plane.ts'
import type { LabState, ProbeAnswer } from './daemon-protocol.ts'
import { planMatrix, questionsBetween, serves, type MatrixCell, type Somebody } from './matrix.ts'
import { parsePort, type Port, portText } from './probe-name.ts'
import { askRound, reaches } from './round.ts'
import { ANYBODY, isNodePort, SERVICE_FLAGS, serviceKeyOf, serviceTarget } from './service-targets.ts'
import { SourceFolder, watchFolder } from './source-folder.ts'
import type { ProbeResult } from './testbed.ts'

export interface PlaygroundOptions extends ClusterOptions {
  /** The user's folder. */
  readonly dir: string
}

export class Playground {
  readonly #dir: string
  readonly #source: SourceFolder
  readonly #cluster: Cluster
  readonly #controlPlane: ControlPlane
  #decided: Decided | null = null
  #queue: Promise<unknown> = Promise.resolve()
  /** `n1 80/tcp`: what pods on a node's own network made it serve. */
  readonly #servedByHosts = new Set<string>()
  #stopWatching: () => Promise<void> = async () => {}

  private constructor(dir: string, source: SourceFolder, cluster: Cluster) {
    this.#dir = dir
    this.#source = source
    this.#cluster = cluster
    this.#controlPlane = new ControlPlane(cluster.nodes, Date.now)
  }

  /** Resolves when the folder's state is enforced on every node. */
  static async open(options: PlaygroundOptions): Promise<Playground> {
    const source = new SourceFolder(options.dir)
    const files = await source.read()
    const cluster = await Cluster.open({ ...options, agentFlags: SERVICE_FLAGS })
    const playground = new Playground(options.dir, source, cluster)
    try {
      options.onProgress(`making pods from ${files.length} ${files.length === 1 ? 'file' : 'files'}, starting agents`)
      await playground.#sync()
      playground.#stopWatching = await watchFolder(options.dir, () => {
        playground.#inTurn(() => playground.#sync()).catch((error: unknown) => console.error(messageOf(error)))
      })
      return playground
    } catch (error) {
      await playground.close()
      throw error
    }
  }

  state(): Promise<LabState> {
    return this.#asked(async (decided) => ({
      folder: this.#dir,
      nodes: this.#cluster.nodes.map(({ name, addresses }) => ({ name, addresses, pods: decided.pods.filter((pod) => pod.node === name).length })),
      pods: decided.pods,
      services: decided.services,
      policies: decided.policies,
      problems: await this.#cluster.agents.problems(),
      notes: decided.notes,
    }))
  }

  /** `port` null: each pod on the first port that it serves. */
  matrix(port: string | null, namespace: string | null): Promise<{ readonly cells: readonly MatrixCell[]; readonly problems: LabState['problems'] }> {
    return this.#asked(async (decided) => {
      const pods = decided.pods.filter(({ key }) => namespace === null || key.startsWith(`${namespace}/`)).map(({ key }) => this.#somebody(key))
      if (pods.length === 0) throw new PicketError('NothingToAsk', namespace === null ? `${this.#dir} has no pods` : `namespace ${namespace} has no pods`)
      const plan = planMatrix([...pods, this.#somebody('outside')], pods, port === null ? null : parsePort(port))
      const round = await askRound(this.#cluster.prober, plan.questions)
      if (round.kind === 'unusable') throw new PicketError('Unusable', `nothing can be said: ${round.reason}`)
      return { cells: plan.cells(round.results), problems: await this.#cluster.agents.problems() }
    })
  }

  probe(from: string, to: string, portArgument: string): Promise<ProbeAnswer> {
    return this.#asked(async () => {
      const port = parsePort(portArgument)
      const source = this.#somebody(from)
      const target = this.#target(to, source, port)
      if (target.ports.length > 0 && !serves(target, port)) {
        throw new PicketError('NotServed', `${to} does not serve ${portText(port)}; it serves ${target.ports.map(portText).join(', ')}`)
      }
      const questions = questionsBetween(source, target, port)
      if (questions.length === 0) throw new PicketError('NoCommonFamily', `${from} and ${to} have no address family in common`)
      const round = await askRound(this.#cluster.prober, questions)
      if (round.kind === 'unusable') throw new PicketError('Unusable', `nothing can be said: ${round.reason}`)
      const probes = questions.map(({ address, to: party }, index) => {
        const result = round.results[index] as ProbeResult
        const reached = party === ANYBODY ? result.kind === 'answered' : reaches(result, party)
        return {
          address,
          result: reached ? ('reaches' as const) : result.kind === 'silent' ? ('denied' as const) : ('rejected' as const),
          by: result.kind === 'answered' ? result.by : null,
          ms: result.kind === 'answered' ? Math.round(result.ms * 100) / 100 : null,
          message: result.kind === 'rejected' ? result.message : result.kind === 'answered' && !reached ? `answered by ${result.by}` : null,
        }
      })
      return { from, to, port: portText(port), reaches: probes.every((one) => one.result === 'reaches'), probes }
    })
  }

  /** Path of the network namespace of a pod, `node:NAME` or `outside`. */
  where(who: string): Promise<{ readonly netns: string }> {
    return this.#asked(async () => ({ netns: this.#cluster.testbed.netnsOf(this.#somebody(who).source) }))
  }

  async close(): Promise<void> {
    await this.#stopWatching()
    await this.#queue.catch(() => {})
    await this.#cluster.close()
  }

  /** Runs `action` after everything before it. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(action, action)
    this.#queue = turn.catch(() => {})
    return turn
  }

  /** Brings the cluster up to the folder, then answers. */
  #asked<T>(answer: (decided: Decided) => Promise<T>): Promise<T> {
    return this.#inTurn(async () => answer(await this.#sync()))
  }

  async #sync(): Promise<Decided> {
    await this.#cluster.agents.restartEnded()
    const decided = this.#controlPlane.decide(await this.#source.read())
    if (decided.changed || this.#decided === null) await this.#cluster.converge(decided.wanted)
    this.#decided = decided
    await this.#serveHostPods(decided)
    return decided
  }

  /** Pods on their node's network serve there, from the first time that they are seen; ports that are taken are left alone. */
  async #serveHostPods({ pods }: Decided): Promise<void> {
    for (const { node, ports } of pods.filter((one) => one.hostNetwork)) {
      for (const port of ports.map(parsePort)) {
        const key = `${node} ${portText(port)}`
        if (this.#servedByHosts.has(key)) continue
        this.#servedByHosts.add(key)
        await this.#cluster.testbed.serve({ kind: 'node', name: node }, [port]).catch((error: unknown) => console.error(`${key}: ${messageOf(error)}`))
      }
    }
  }

  /** A pod by key, `node:NAME` or `outside`. Throws a PicketError that says who there is. */
  #somebody(label: string): Somebody {
    const { testbed } = this.#cluster
    if (label === 'outside') {
      return { label, source: { kind: 'outside' }, party: { key: 'outside', node: null }, addresses: testbed.outside.addresses, ports: testbed.hostPorts }
    }
    const name = label.startsWith('node:') ? label.slice('node:'.length) : null
    const pod = this.#decided?.pods.find((one) => one.key === label)
    const node = testbed.nodes.find((one) => one.name === (name ?? (pod?.hostNetwork === true ? pod.node : null)))
    if (node !== undefined) {
      return { label, source: { kind: 'node', name: node.name }, party: { key: node.name, node: null }, addresses: node.addresses, ports: pod === undefined ? testbed.hostPorts : pod.ports.map(parsePort) }
    }
    if (pod === undefined) {
      const pods = this.#decided?.pods.slice(0, 5).map((one) => one.key) ?? []
      throw new PicketError('Unknown', `${label}: expected NAMESPACE/POD of a running pod, NAMESPACE/svc/NAME (with --to), node:NAME or outside; there are ${[...pods, ...testbed.nodes.map((one) => `node:${one.name}`)].join(', ')}`)
    }
    return { label, source: { kind: 'pod', key: pod.key }, party: { key: pod.key, node: pod.node }, addresses: pod.addresses, ports: pod.ports.map(parsePort) }
  }

  /** Like #somebody, a Service, or an address: of a pod that runs here, or of anybody. */
  #target(to: string, source: Somebody, port: Port): Somebody {
    const address = parseAddress(to)
    const service = serviceKeyOf(to)
    if (service !== null) return serviceTarget(to, service, source, this.#decided?.services ?? [])
    if (address === null) {
      const target = this.#somebody(to)
      return target.source.kind === 'node' && isNodePort(port, this.#decided?.services ?? []) ? { ...target, party: ANYBODY, ports: [port] } : target
    }
    if (!source.addresses.some((one) => familyOf(one) === familyOf(address))) {
      throw new PicketError('NoCommonFamily', `${source.label} has no IPv${familyOf(address)} address to reach ${address} from`)
    }
    const pod = this.#decided?.pods.find((one) => !one.hostNetwork && one.addresses.includes(address))
    if (pod !== undefined) return { ...this.#somebody(pod.key), addresses: [address] }
    return { label: to, source: { kind: 'outside' }, party: ANYBODY, addresses: [address], ports: [] }
  }
}
