// A node for log rules alone: a namespace that forwards, with a table that the compiler made, and one with the pods' ends of its veths.
//
// No agent: what is logged is what the table says. Packets are frames of any making, sent from a pod's end.
// **Invariant:** nothing outside of the two namespaces is touched; close() ends them.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { NflogPacket } from './read-nflog.ts'
import type { FrameFlow } from './send-frames.ts'

const [READER, SENDER] = ['read-nflog.ts', 'send-frames.ts'].map((name) => fileURLToPath(new URL(name, import.meta.url))) as [string, string]

export interface LogPod {
  /** Of the host's end: `v-pod-1`. */
  readonly link: string
  readonly addresses: readonly string[]
}

export class LogNode {
  readonly #node: ChildProcess
  readonly #pods: ChildProcess
  readonly #indexes = new Map<string, number>()
  #reader: ChildProcess | null = null
  /** What the reader has told, oldest first. */
  readonly logged: NflogPacket[] = []

  private constructor(node: ChildProcess, pods: ChildProcess) {
    this.#node = node
    this.#pods = pods
  }

  static async open(pods: readonly LogPod[]): Promise<LogNode> {
    const holder = async (): Promise<ChildProcess> => {
      const child = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && echo up && exec sleep infinity'], { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(child.stdout as NodeJS.ReadableStream, 'data')
      return child
    }
    const node = new LogNode(await holder(), await holder())
    for (const [name, value] of [['net/ipv4/ip_forward', 1], ['net/ipv6/conf/all/forwarding', 1], ['net/ipv4/conf/all/rp_filter', 0], ['net/ipv4/conf/default/rp_filter', 0]] as const) node.run(`echo ${value} > /proc/sys/${name}`)
    node.#wire(pods)
    return node
  }

  #wire(pods: readonly LogPod[]): void {
    const links = pods.map(({ link }, i) => `link add ${link} address ${macOf(i, 'host')} type veth peer name p-${link} address ${macOf(i, 'pod')} netns ${this.#pods.pid}`)
    const rest = pods.flatMap(({ link, addresses }, i) => [
      `link set ${link} up`,
      ...addresses.flatMap((address) => [`route add ${address} dev ${link}`, `neigh add ${address} lladdr ${macOf(i, 'pod')} dev ${link} nud permanent`]),
    ])
    this.run('ip -batch -', [...links, ...rest].join('\n'))
    this.#inPods('ip -batch -', pods.map(({ link }) => `link set p-${link} up`).join('\n'))
    for (const [index, { link }] of pods.entries()) this.#indexes.set(link, index)
  }

  /** Of the node's namespace. */
  get path(): string {
    return `/proc/${this.#node.pid}/ns/net`
  }

  /** What it says; throws where it fails. */
  run(command: string, input = ''): string {
    return runIn(this.#node, command, input)
  }

  #inPods(command: string, input = ''): string {
    return runIn(this.#pods, command, input)
  }

  nft(text: string): string {
    return this.run('nft -f -', text)
  }

  /** Packets of each named counter of the table. */
  counters(): ReadonlyMap<string, number> {
    const listed = [...this.run('nft list counters table inet picket').matchAll(/counter (\S+) \{[^}]*?packets (\d+)/g)]
    return new Map(listed.map(([, name = '', packets]) => [name, Number(packets)]))
  }

  /** From here on. */
  async listen(group: number): Promise<void> {
    const reader = spawn('nsenter', [`--net=/proc/${this.#node.pid}/ns/net`, '--', process.execPath, READER, String(group)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#reader = reader
    let rest = ''
    await new Promise<void>((resolve, reject) => {
      reader.once('exit', (code) => reject(new Error(`the reader of NFLOG ended with ${code}`)))
      reader.stdout.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) {
          if (line === 'ready') resolve()
          else if (line.includes('"lost"')) throw new Error(line)
          else this.logged.push(JSON.parse(line) as NflogPacket)
        }
      })
    })
  }

  /** Sends from pods' ends, and waits until the log is told. `packet`: from the IP header on. */
  async send(flows: readonly { readonly from: string; readonly packet: Buffer; readonly rate: number }[], seconds: number): Promise<readonly number[]> {
    const listed = JSON.parse(this.#inPods('ip -j link show')) as readonly { readonly ifname: string; readonly ifindex: number }[]
    const indexes = new Map(listed.map(({ ifname, ifindex }) => [ifname, ifindex]))
    const frames = flows.map(({ from, packet, rate }): FrameFlow => {
      const pod = this.#indexes.get(from) ?? 0
      const type = (packet[0] ?? 0) >> 4 === 6 ? '86dd' : '0800'
      const frame = `${macOf(pod, 'host')}${macOf(pod, 'pod')}`.replaceAll(':', '') + type + packet.toString('hex')
      return { index: indexes.get(`p-${from}`) ?? 0, frame, rate }
    })
    const sender = spawn('nsenter', [`--net=/proc/${this.#pods.pid}/ns/net`, '--', process.execPath, SENDER], { stdio: ['pipe', 'pipe', 'inherit'] })
    sender.stdin.end(JSON.stringify({ seconds, flows: frames }))
    let said = ''
    sender.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    await once(sender, 'close')
    for (let before = -1; before !== this.logged.length; ) {
      before = this.logged.length
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    return JSON.parse(said) as readonly number[]
  }

  async close(): Promise<void> {
    for (const child of [this.#reader, this.#node, this.#pods]) {
      if (child === null || child.exitCode !== null || child.signalCode !== null) continue
      child.removeAllListeners('exit').kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

function runIn(child: ChildProcess, command: string, input: string): string {
  const { status, stdout, stderr } = spawnSync('nsenter', [`--net=/proc/${child.pid}/ns/net`, '--', 'sh', '-c', command], { encoding: 'utf8', input })
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
  return stdout
}

function macOf(pod: number, end: 'host' | 'pod'): string {
  return `02:00:00:${end === 'host' ? '01' : '02'}:${(pod >> 8).toString(16).padStart(2, '0')}:${(pod & 255).toString(16).padStart(2, '0')}`
}
