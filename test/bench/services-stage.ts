// Where bench `services` plays: an API server with its etcd, and stations: a node with one client pod and one network of endpoints.
//
//   client (10.245.0.N) -- node: a proxy's table, or none -- endpoints (all of 10.244.0.0/16 answers)
//
// No kubelets, no controllers: nothing acts on the objects but the proxies. Names are made in cluster/layout.ts under a name of the
// bench's own. **Invariant:** a test cluster beside it is not touched, and nothing of it is left.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import readline from 'node:readline'
import { PicketError } from '../../src/lib/errors.ts'
import { api, ask } from '../cluster/api.ts'
import { startControlPlane } from '../cluster/control-plane.ts'
import { CONTROL, netnsPath, nodePlace, PREFIX, SERVICE_RANGES, STATE, type NodePlace } from '../cluster/layout.ts'
import { makeNetwork } from '../cluster/network.ts'
import { mustRun, until } from '../cluster/processes.ts'
import { ensurePrograms, type Programs } from '../cluster/programs.ts'
import { isLeft, tearDown } from '../cluster/teardown.ts'
import { changingObjects, clientAddress, clientPod, DEAD, ENDPOINTS, NAMESPACE, serviceName, serviceObjects, type Stored } from './services-objects.ts'

const GATEWAY = '169.254.1.1'
/** Of TCP segments: small ones, so that what a packet costs shows. */
const SEGMENT = 500

export function milliseconds(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** A process of services-load.ts, which answers one line for each line that it is given. */
class LoadProcess {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(netns: string, mode: 'accept' | 'sink' | 'client') {
    const script = path.join(import.meta.dirname, 'services-load.ts')
    const child = spawn('nsenter', [`--net=${netnsPath(netns)}`, process.execPath, script, mode], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    this.#lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    const next = await this.#lines.next()
    if (next.done === true) throw new PicketError('BenchFailed', 'a load process ended')
    return next.value
  }

  async ask(what: string): Promise<number> {
    this.#child.stdin?.write(`${what}\n`)
    return Number(await this.line())
  }

  end(): void {
    this.#child.kill('SIGKILL')
  }
}

export class Station {
  readonly place: NodePlace
  readonly #loads: readonly LoadProcess[]

  private constructor(place: NodePlace, loads: readonly LoadProcess[]) {
    this.place = place
    this.#loads = loads
  }

  static async open(place: NodePlace): Promise<Station> {
    const { client, endpoints } = await attach(place)
    const loads = [new LoadProcess(client, 'client'), new LoadProcess(endpoints, 'accept'), new LoadProcess(endpoints, 'sink')]
    for (const one of loads) await one.line()
    return new Station(place, loads)
  }

  /** Over `ms`: connections a second, or bits a second. */
  measure(what: 'connections' | 'bytes', ms: number, address: string, port: number): Promise<number> {
    return this.#client.ask(`${what} ${ms} ${address} ${port}`)
  }

  /** When the address began to answer, or to refuse, by the clock of milliseconds(). Throws where it did not within `ms`. */
  async when(state: 'open' | 'closed', ms: number, address: string, port: number): Promise<number> {
    const at = await this.#client.ask(`${state} ${ms} ${address} ${port}`)
    if (Number.isNaN(at)) throw new PicketError('BenchFailed', `${this.place.name}: ${address}:${port} is not ${state} after ${ms / 1000} s`)
    return at
  }

  end(): void {
    for (const one of this.#loads) one.end()
  }

  get #client(): LoadProcess {
    return this.#loads[0] as LoadProcess
  }
}

async function ip(netns: string, ...lines: readonly string[]): Promise<void> {
  await mustRun({ netns }, ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

async function attach({ netns, number }: NodePlace): Promise<{ readonly client: string; readonly endpoints: string }> {
  const [client, endpoints] = [`${netns}-client`, `${netns}-ends`]
  const [here, there] = [`10.246.${number}.1`, `10.246.${number}.2`]
  for (const one of [client, endpoints]) {
    await mustRun(null, ['ip', 'netns', 'add', one])
    await ip(one, 'link set lo up')
    await mustRun({ netns: one }, ['sysctl', '-q', '-w', 'net.core.somaxconn=65535', 'net.ipv4.ip_local_port_range=1024 65535', 'net.ipv4.tcp_max_syn_backlog=65535'])
  }
  // As a CNI plugin attaches a pod: a host route to a veth.
  await ip(netns, `link add client type veth peer name eth0 netns ${netnsPath(client)}`, 'link set client up', `addr add ${GATEWAY}/32 dev client`, `route add ${clientAddress(number)}/32 dev client`)
  await ip(client, 'link set eth0 up gso_max_segs 1', `addr add ${clientAddress(number)}/32 dev eth0`, `route add ${GATEWAY}/32 dev eth0`, `route add default via ${GATEWAY} advmss ${SEGMENT}`)
  await ip(netns, `link add ends type veth peer name eth0 netns ${netnsPath(endpoints)}`, 'link set ends up', `addr add ${here}/30 dev ends`, `route add ${ENDPOINTS} via ${there}`, `route add ${SERVICE_RANGES[4]} via ${there}`)
  await ip(endpoints, 'link set eth0 up', `addr add ${there}/30 dev eth0`, `route add default via ${here} advmss ${SEGMENT}`, `route add local ${ENDPOINTS} dev lo`, `route add local ${SERVICE_RANGES[4]} dev lo`)
  // Who is not translated, or to where nothing serves, learns it at once.
  const refused = `table ip refused { chain input { type filter hook input priority 0; ip daddr { ${DEAD}, ${SERVICE_RANGES[4]} } meta l4proto tcp reject with tcp reset; }; }`
  await mustRun({ netns: endpoints }, ['nft', '-f', '-'], { input: refused })
  return { client, endpoints }
}

export class Stage {
  readonly programs: Programs
  /** Paths of kubeconfigs. */
  readonly proxyKubeconfig: string
  readonly stations: readonly Station[]
  #services = 0

  private constructor(programs: Programs, proxyKubeconfig: string, stations: readonly Station[]) {
    this.programs = programs
    this.proxyKubeconfig = proxyKubeconfig
    this.stations = stations
  }

  /** Runs `play` on a stage, and removes that, whatever happens. */
  static async with<T>(stations: number, note: (text: string) => void, play: (stage: Stage) => Promise<T>): Promise<T> {
    if (PREFIX !== 'pbench') throw new PicketError('BenchFailed', `the namespaces would be called ${PREFIX}-*, expected pbench-*: start it with "npm run bench -- services"`)
    if (isLeft()) throw new PicketError('BenchThere', `another run of the bench is there, or what one left in ${STATE}; end it with "PICKET_CLUSTER_NAME=bench npm run cluster -- down"`)
    const programs = await ensurePrograms(note)
    const open: Station[] = []
    // One signal is enough to end it; the second would leave things behind.
    const stop = (signal: NodeJS.Signals): void => {
      note(`${signal}: ending`)
      void tearDown().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
    try {
      mkdirSync(STATE, { recursive: true, mode: 0o755 })
      const places = Array.from({ length: stations }, (_, index) => nodePlace(index + 1))
      await makeNetwork(places)
      const control = await startControlPlane(programs, places, false)
      for (const place of places) open.push(await Station.open(place))
      const stage = new Stage(programs, control.kubeconfigOf('proxy'), open)
      await stage.#fillFixed()
      return await play(stage)
    } finally {
      for (const one of open) one.end()
      await tearDown()
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop)
    }
  }

  station(index: number): Station {
    const station = this.stations[index]
    if (station === undefined) throw new Error(`there is no station ${index}`)
    return station
  }

  /** So many Services, the one that changes besides. */
  async fill(services: number): Promise<void> {
    const first = this.#services
    if (services <= first) return
    await this.#put([...(first === 0 ? changingObjects() : []), ...serviceObjects(first, services)])
    this.#services = services
    const last = serviceName(services - 1)
    for (const path of [`/api/v1/namespaces/${NAMESPACE}/services/${last}`, `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices/${last}-x7k2p`]) {
      // With version 0 it answers from what it has in memory, as to the proxies.
      await until(`the API server has ${path}`, 120_000, async () => ((await ask('GET', `${path}?resourceVersion=0`)).status === 200 ? true : null))
    }
  }

  async #fillFixed(): Promise<void> {
    await until('the API answers', 30_000, async () => ((await ask('GET', '/version').catch(() => null))?.status === 200 ? true : null))
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
    for (const { place } of this.stations) {
      await api.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: place.name } })
      const addresses = [place.addresses[4], place.addresses[6]].map((address) => ({ type: 'InternalIP', address }))
      await api.patch('v1', 'Node', null, place.name, { status: { addresses } }, '/status')
    }
    await this.#put(this.stations.map(({ place }) => clientPod(place.name, clientAddress(place.number), place.number)))
  }

  async #put(objects: readonly Stored[]): Promise<void> {
    const input = objects.map((one) => `${JSON.stringify(one)}\n`).join('')
    await mustRun({ netns: CONTROL }, [process.execPath, path.join(import.meta.dirname, 'etcd-put.ts')], { input, timeout: 300_000 })
  }
}
