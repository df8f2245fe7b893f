// A small cluster for one test file: nodes and pods in namespaces, a real agent process on each node, real packets.
//
// A test puts objects, settles (every agent says that the kernel holds them) and checks who reaches whom. Every check is
// a round of src/lab/round.ts: controls that no policy denies go out with it, so that silence means denied.
// **Invariant:** whatever is made has this file's own prefix, and close() removes it.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { AgentsFolder } from '../../src/lab/agents-folder.ts'
import { openTestbed } from '../../src/lab/open-testbed.ts'
import { placesOf, type LabPlaces } from '../../src/lab/places.ts'
import { endLeftovers } from '../../src/lab/remains.ts'
import { askRound, reaches, type Prober } from '../../src/lab/round.ts'
import type { Flow, PodAttachment, ProbeSource, Testbed } from '../../src/lab/testbed.ts'
import { shortHash } from '../../src/lib/hash.ts'
import { familyOf, type Address, type Family } from '../../src/model/ip.ts'
import { folderDigest } from '../../src/manifests/digest.ts'
import { RealAgents } from './real-agents.ts'
import { namespaceObject, nodeObject, podObject, type PlainObject, type RealPod } from './real-objects.ts'
import { questionsOf, type Asked, type Place } from './real-questions.ts'

export interface RealClusterOptions {
  /** Called n1, n2, ... */
  readonly nodes?: number
  /** Name -> labels. */
  readonly namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly pods: readonly RealPod[]
  /** Of every agent. */
  readonly flags?: readonly string[]
  readonly outsideAddresses?: readonly Address[]
  /** How pods are attached to their node; `veth` unless told. */
  readonly attachment?: PodAttachment
  /** Whether agents are started; on unless told. */
  readonly agents?: boolean
  /** Whether pods' probes to their own node are controls; off where policy applies to them. */
  readonly nodeControls?: boolean
}

export interface Expected {
  /** As in real-questions.ts. */
  readonly allowed?: readonly string[]
  readonly denied?: readonly string[]
}

const SETTLE_MS = 30_000

export class RealCluster {
  readonly testbed: Testbed
  readonly places: LabPlaces
  readonly agents: RealAgents
  readonly attachment: PodAttachment
  readonly #folder: AgentsFolder
  readonly #nodeControls: boolean
  readonly #pods = new Map<string, RealPod>()
  /** Id -> object; each is a file of the agents' folder. */
  readonly #objects = new Map<string, unknown>()
  /** Further files of the agents' folder: path within it -> text. */
  readonly files = new Map<string, string>()

  private constructor(testbed: Testbed, places: LabPlaces, { attachment, nodeControls }: { readonly attachment: PodAttachment; readonly nodeControls: boolean }) {
    this.testbed = testbed
    this.attachment = attachment
    this.places = places
    this.#folder = new AgentsFolder(places.manifests)
    this.agents = new RealAgents(testbed, places)
    this.#nodeControls = nodeControls
  }

  /** With agents: settled. */
  static async open(options: RealClusterOptions): Promise<RealCluster> {
    const places = ownPlaces()
    const attachment = options.attachment ?? 'veth'
    const testbed = await openTestbed({ prefix: places.prefix, attachment, outsideAddresses: options.outsideAddresses ?? [] })
    const cluster = new RealCluster(testbed, places, { attachment, nodeControls: options.nodeControls ?? true })
    try {
      const names = Array.from({ length: options.nodes ?? 2 }, (_, index) => `n${index + 1}`)
      for (const name of names) await testbed.addNode(name)
      cluster.put(...testbed.nodes.map((node) => nodeObject(node.name, node.addresses)))
      cluster.put(...Object.entries(options.namespaces).map(([name, labels]) => namespaceObject(name, labels)))
      await cluster.addPods(...options.pods)
      if (options.agents ?? true) {
        for (const name of names) await cluster.agents.start(name, options.flags ?? [])
        await cluster.settle()
        await cluster.pinned()
      } else await cluster.write()
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  /** Starts pods and puts their objects; nothing is settled yet. */
  async addPods(...pods: readonly RealPod[]): Promise<void> {
    await Promise.all(pods.map((pod) => this.runPod(pod)))
    this.put(...pods.map((pod) => podObject(pod)))
  }

  /** Starts a pod that no object tells of. */
  async runPod(pod: RealPod): Promise<void> {
    await this.testbed.addPod(pod)
    this.#pods.set(pod.key, pod)
  }

  /** Ends a pod; its object stays. */
  async endPod(key: string): Promise<void> {
    await this.testbed.removePod(key)
    this.#pods.delete(key)
  }

  /** Adds objects, or replaces those of the same kind, namespace and name. */
  put(...objects: readonly PlainObject[]): void {
    for (const object of objects) this.#objects.set(idOf(object), object)
  }

  /** `Pod shop/web`, `Namespace shop`, `NetworkPolicy shop/deny`. */
  drop(...ids: readonly string[]): void {
    for (const id of ids) assert.ok(this.#objects.delete(id), `there is no ${id}`)
  }

  has(id: string): boolean {
    return this.#objects.has(id)
  }

  /** Replaces all policies by these, and settles. Anything may stand here, as in a file. */
  async policies(...policies: readonly (PlainObject | Readonly<Record<string, unknown>>)[]): Promise<void> {
    for (const id of [...this.#objects.keys()]) if (id.startsWith('NetworkPolicy ')) this.#objects.delete(id)
    for (const policy of policies) this.put(policy as PlainObject)
    await this.settle()
  }

  /** Writes the objects into the agents' folder; the digest to wait for. */
  async write(): Promise<string> {
    const files = [...this.#objects].map(([id, object]) => [fileName(id), `${JSON.stringify(object)}\n`] as const)
    this.#folder.write(new Map([...files, ...this.files]))
    return folderDigest(this.#folder.dir)
  }

  /** Writes, and waits until every agent that runs holds it. */
  async settle(timeoutMs = SETTLE_MS): Promise<void> {
    await this.agents.hold(await this.write(), timeoutMs)
  }

  /** One round of probes, controls included; fails with every line that is not as expected. */
  async check({ allowed = [], denied = [] }: Expected): Promise<void> {
    const ask = (lines: readonly string[], expected: boolean): readonly (Asked & { readonly expected: boolean })[] =>
      lines.flatMap((line) => questionsOf(line, (name) => this.#place(name)).map((one) => ({ ...one, expected })))
    const questions = [...ask(allowed, true), ...ask(denied, false)]
    const round = await askRound(this.#prober, questions)
    assert.equal(round.kind, 'measured', round.kind === 'unusable' ? round.reason : '')
    if (round.kind !== 'measured') return
    const wrong = questions.flatMap((question, index) => {
      const result = round.results[index]
      const right = question.expected ? reaches(result, question.to) : result?.kind === 'silent'
      return right ? [] : [`${question.text}: expected ${question.expected ? 'an answer' : 'silence'}, got ${JSON.stringify(result)}`]
    })
    assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${questions.length} are not as expected`)
  }

  get #prober(): Prober {
    return {
      probe: (requests, deadlineMs) => this.testbed.probe(requests, deadlineMs),
      nodeAddress: (name, family) => this.nodeAddress(name, family),
      hostPorts: this.#nodeControls ? this.testbed.hostPorts : [],
    }
  }

  nodeAddress(name: string, family: Family): Address {
    return this.addressOf(name, family)
  }

  /** The first address of that family of a pod, a node or outside. */
  addressOf(name: string, family: Family): Address {
    const found = this.#place(name).addresses.find((one) => familyOf(one) === family)
    assert.ok(found !== undefined, `${name} has no IPv${family} address`)
    return found
  }

  /** A pod's key, a node's name, or `outside`. */
  source(name: string): ProbeSource {
    return this.#place(name).source
  }

  #place(name: string): Place {
    const pod = this.#pods.get(name)
    if (pod !== undefined) return { source: { kind: 'pod', key: name }, key: name, node: pod.node, addresses: pod.addresses }
    if (name === 'outside') return { source: { kind: 'outside' }, key: name, node: null, addresses: this.testbed.outside.addresses }
    const node = this.testbed.nodes.find((one) => one.name === name)
    if (node === undefined) throw new Error(`${name}: no such pod or node`)
    return { source: { kind: 'node', name }, key: name, node: null, addresses: node.addresses }
  }

  /** 100 messages a second; see testbed.ts. `family` of the address of `to`. */
  flow(from: string, to: string, protocol: 'TCP' | 'UDP', family: Family, port = 8080): Promise<Flow> {
    return this.testbed.openFlow(this.source(from), this.addressOf(to, family), protocol, port, { packetsPerSecond: 100 })
  }

  /** Whether the command ends with status 0, in the network namespace of a pod, a node or outside. */
  succeeds(where: string, command: readonly string[]): boolean {
    return spawnSync('nsenter', [`--net=${this.testbed.netnsOf(this.source(where))}`, '--', ...command], { stdio: 'ignore' }).status === 0
  }

  /** Runs a command in the network namespace of a pod, a node, outside, or of a path; its output. Fails where it does, unless told. */
  run(where: string, command: readonly string[], { input = '', mayFail = false } = {}): string {
    const netns = where.startsWith('/') ? where : this.testbed.netnsOf(this.source(where))
    const { status, stdout, stderr, error } = spawnSync('nsenter', [`--net=${netns}`, '--', ...command], { input, encoding: 'utf8', maxBuffer: 2 ** 28 })
    assert.equal(error, undefined)
    if (!mayFail) assert.equal(status, 0, `${command.slice(0, 8).join(' ')}: ${stderr}`)
    return stdout
  }

  nft(where: string, text: string): void {
    this.run(where, ['nft', '-f', '-'], { input: text })
  }

  /** The node's ruleset as text; of one table (`inet picket`) where it is named, empty where there is none. */
  listing(node: string, table?: string): string {
    return this.run(node, table === undefined ? ['nft', 'list', 'ruleset'] : ['nft', 'list', 'table', ...table.split(' ')], { mayFail: table !== undefined })
  }

  /** For what no manifest tells: resolves when the node's table is like that, within 5 seconds. */
  async until(node: string, holds: (listing: string) => boolean, table = 'inet picket'): Promise<void> {
    for (const end = Date.now() + 5_000; !holds(this.listing(node, table)); ) {
      assert.ok(Date.now() < end, `the table of ${node} does not become what it should:\n${this.listing(node, table).slice(0, 4_000)}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** On a bridge: each of these pods, or of all that run, sends as itself only. No manifest tells when a port is found. */
  async pinned(...pods: readonly RealPod[]): Promise<void> {
    if (this.attachment !== 'bridge') return
    for (const { node, addresses } of pods.length > 0 ? pods : this.#pods.values()) {
      await this.until(node, (listing) => addresses.every((one) => listing.includes(`" . ${one}`)), 'bridge picket')
    }
  }

  /** How many packets with a source that is not their sender's were dropped: by the inet table, or on a bridge by the second one. */
  spoofed(node: string): number {
    const family = this.attachment === 'bridge' ? 'bridge' : 'inet'
    const match = /packets (\d+)/.exec(this.run(node, ['nft', 'list', 'counter', family, 'picket', 'spoofed']))
    assert.ok(match !== null)
    return Number(match[1])
  }

  async close(): Promise<void> {
    await this.testbed.close()
    await endLeftovers(this.places)
  }
}

/** In a folder of this process's own; the names of namespaces too. */
function ownPlaces(): LabPlaces {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-real-'))
  return {
    ...placesOf(`k${process.pid}`),
    folder,
    manifests: path.join(folder, 'manifests'),
    agentLog: (node) => path.join(folder, `agent-${node}.log`),
    agentSocket: (node) => path.join(folder, `agent-${node}.sock`),
  }
}

function idOf({ kind, metadata }: PlainObject): string {
  return `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`
}

/** Readable where it is short enough for a file's name. */
function fileName(id: string): string {
  const name = id.replaceAll(/[^A-Za-z0-9.-]/g, '_')
  return name.length > 200 ? `${name.slice(0, 200)}-${shortHash(id, 16)}.json` : `${name}.json`
}
