// A whole cluster, up and down: network, control plane, nodes, DNS; images into its nodes; kubectl against it.
//
// **Invariant:** up() ends with every node Ready and DNS answering, or throws and leaves nothing behind.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PicketError } from '../../src/lib/errors.ts'
import { dnsManifests } from './addons.ts'
import { startControlPlane } from './control-plane.ts'
import { ensureImages, importImage } from './images.ts'
import { CONTROL, FILES, STATE, nodePlace, type ClusterOptions, type NodePlace } from './layout.ts'
import { makeNetwork, routePods } from './network.ts'
import { startKubelet, startNode, writeCniConfig, type RunningNode } from './node.ts'
import { logOf, mustRun, onPath, runIn, until, type Ended } from './processes.ts'
import { ensurePrograms, type Programs } from './programs.ts'
import { step, type Say } from './progress.ts'
import { isLeft, tearDown } from './teardown.ts'

export interface UpOptions extends ClusterOptions {
  /** Replaces a cluster that is there. */
  readonly replace?: boolean
}

export class TestCluster {
  readonly programs: Programs
  readonly options: ClusterOptions
  readonly nodes: readonly NodePlace[]

  constructor(programs: Programs, options: ClusterOptions) {
    this.programs = programs
    this.options = options
    this.nodes = Array.from({ length: options.nodes }, (_, index) => nodePlace(index + 1))
  }

  /** Runs kubectl to its end, whatever that is; with the input given to it, if any. */
  kubectl(args: readonly string[], options: { readonly input?: string; readonly timeout?: number } = {}): Promise<Ended> {
    return runIn({ netns: CONTROL }, this.kubectlCommand(args), options)
  }

  /** The same, and throws what it said where it failed. */
  mustKubectl(args: readonly string[], options: { readonly input?: string; readonly timeout?: number } = {}): Promise<string> {
    return mustRun({ netns: CONTROL }, this.kubectlCommand(args), options)
  }

  kubectlCommand(args: readonly string[]): readonly string[] {
    return [this.programs.of('kubectl'), '--kubeconfig', FILES.kubeconfig, ...args]
  }

  async loadImage(archive: string): Promise<void> {
    await Promise.all(this.nodes.map((node) => importImage({ holder: holderOf(node) }, archive)))
  }

  /** The room of a node's programs. */
  roomOf(name: string): { readonly holder: number } {
    const node = this.nodes.find((one) => one.name === name)
    if (node === undefined) throw new PicketError('ClusterFailed', `there is no ${name}; expected one of ${this.nodes.map((one) => one.name).join(', ')}`)
    return { holder: holderOf(node) }
  }
}

/** The cluster that is up. Throws where there is none. */
export async function openCluster(say: Say): Promise<TestCluster> {
  if (!existsSync(FILES.options)) throw new PicketError('NoCluster', 'no cluster is up here; start one with "npm run cluster -- up"')
  return new TestCluster(await ensurePrograms(say), JSON.parse(readFileSync(FILES.options, 'utf8')) as ClusterOptions)
}

export async function up({ replace = false, ...options }: UpOptions, say: Say): Promise<TestCluster> {
  if (isLeft()) {
    if (!replace) throw new PicketError('ClusterThere', 'a cluster is there, or what one left; end it with "npm run cluster -- down", or say "up --replace"')
    await down(say)
  }
  for (const program of ['containerd', 'runc', 'nsenter', 'unshare', 'ip', 'nft']) {
    if (!onPath(program)) throw new PicketError('ClusterFailed', `${program} is missing here; on Debian: apt-get install containerd runc containernetworking-plugins util-linux iproute2 nftables`)
  }
  const programs = await ensurePrograms(say)
  const images = await ensureImages(programs)
  try {
    return await start(new TestCluster(programs, options), images, say)
  } catch (error) {
    await keepLogs(say)
    await tearDown()
    throw error
  }
}

async function start(cluster: TestCluster, images: readonly string[], say: Say): Promise<TestCluster> {
  const { programs, options, nodes } = cluster
  mkdirSync(STATE, { recursive: true, mode: 0o755 })
  await step(say, `network of ${nodes.length} nodes`, () => makeNetwork(nodes))
  const starting = step(say, 'containerd and images on every node', () => Promise.all(nodes.map((place) => prepare(place, images))))
  // Whoever fails first is told; the other one must not fail unseen.
  starting.catch(() => undefined)
  const control = await step(say, 'control plane', () => startControlPlane(programs, nodes))
  const running = await starting
  for (const node of running) startKubelet(node, { programs, kubeProxy: options.kubeProxy, control })
  await step(say, 'nodes are Ready', async () => {
    for (const node of running) await attach(cluster, node)
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'node', '--all', '--timeout=60s'], { timeout: 90_000 })
  })
  await step(say, 'DNS', async () => {
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(dnsManifests()) })
    await cluster.mustKubectl(['-n', 'kube-system', 'rollout', 'status', 'deployment/coredns', '--timeout=90s'], { timeout: 120_000 })
  })
  writeFileSync(FILES.options, JSON.stringify(options))
  return cluster
}

async function prepare(place: NodePlace, images: readonly string[]): Promise<RunningNode> {
  const node = await startNode(place)
  writeFileSync(path.join(node.place.folder, 'holder'), String('holder' in node.room ? node.room.holder : ''))
  for (const image of images) await importImage(node.room, image)
  return node
}

/** The controller manager gives every node its ranges of pod addresses; then the node's pods can be attached. */
async function attach(cluster: TestCluster, node: RunningNode): Promise<void> {
  const { name } = node.place
  const cidrs = await until(`${name} has ranges of pod addresses`, 60_000, async () => {
    const { status, stdout } = await cluster.kubectl(['get', 'node', name, '-o', 'json'])
    if (status !== 0) return null
    const { podCIDRs } = (JSON.parse(stdout) as { readonly spec: { readonly podCIDRs?: readonly string[] } }).spec
    return podCIDRs?.length === 2 ? podCIDRs : null
  }, () => logOf(`${name}-kubelet`))
  await routePods(node.place, cidrs, cluster.nodes)
  await writeCniConfig(node, cluster.options.attachment, cidrs)
}

export async function down(say: Say): Promise<void> {
  await step(say, 'ending processes, removing namespaces, mounts and files', tearDown)
}

function holderOf(node: NodePlace): number {
  return Number(readFileSync(path.join(node.folder, 'holder'), 'utf8'))
}

/** What a start that failed leaves for people: the end of each log. */
async function keepLogs(say: Say): Promise<void> {
  if (!existsSync(FILES.logs)) return
  for (const name of readdirSync(FILES.logs)) say(`--- ${name}\n${logOf(name.replace(/\.log$/, ''), 6)}`)
}
