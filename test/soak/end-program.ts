// One end of the soak's traffic, in the network namespace that it is started in: a program of its own.
//
// The first line on stdin says what to serve and what to send; `stop` ends the sending. Four times a second a line on
// stdout tells what was sent and what came, as lists of numbers (Told).
// **Invariant:** times are milliseconds since 1970; an arrival is told with the time of its sending, which it carries, and
// with a moment before which it was not there.
import dgram from 'node:dgram'
import net from 'node:net'
import readline from 'node:readline'

export interface EndOrders {
  /** Of this program, among those that had its place: numbers of packets begin anew with each. */
  readonly life: number
  readonly ports: readonly number[]
  readonly flows: readonly { readonly id: number; readonly kind: string; readonly source: string; readonly destination: string; readonly sourcePort: number; readonly port: number }[]
  /** Between two datagrams of a flow. */
  readonly intervalMs: number
}

export interface Told {
  /** [flow, number, sent at] */
  sent: number[]
  /** [flow, number, sent at, came at] */
  came: number[]
  answered: number[]
  answers: number[]
  /** [flow, connection, sent at, not before, came at] */
  messages: number[]
  echoes: number[]
  connections: { flow: number; connection: number; what: 'begun' | 'connected' | 'ended' | 'failed'; at: number; error?: string }[]
}

const TELL_MS = 250
const TICK_MS = 10
const QUESTION_MS = 300
const ANSWER_MS = 60
/** A server answers for so long after a question. */
const ANSWERS_FOR_MS = 1_000
const MESSAGE_MS = 100
const SIZE = 24
const QUESTION = 1
const ANSWER = 2

function nothing(): Told {
  return { sent: [], came: [], answered: [], answers: [], messages: [], echoes: [], connections: [] }
}
let told = nothing()
let stopped = false
const stopping: (() => void)[] = []

/** When the sockets were last known to be read empty: what is read now was not there before the tick before the last. */
const ticks = [Date.now(), Date.now()]
setInterval(() => ticks.splice(0, 2, ticks[1] as number, Date.now()), TICK_MS)
const notBefore = (): number => ticks[0] as number

function packet(flow: number, number: number, kind: number): Buffer {
  const bytes = Buffer.alloc(SIZE)
  bytes.writeUInt32BE(flow, 0)
  bytes.writeUInt32BE(number, 4)
  bytes.writeUInt32BE(kind, 8)
  bytes.writeDoubleBE(Date.now(), 16)
  return bytes
}

function read(bytes: Buffer): { readonly flow: number; readonly number: number; readonly kind: number; readonly at: number } {
  return { flow: bytes.readUInt32BE(0), number: bytes.readUInt32BE(4), kind: bytes.readUInt32BE(8), at: bytes.readDoubleBE(16) }
}

/** No look-up of names: what is sent leaves at once. */
function udp(isSix: boolean): dgram.Socket {
  const lookup = (host: string, _: unknown, done: (error: null, address: string, family: number) => void): void => done(null, host, isSix ? 6 : 4)
  const socket = dgram.createSocket({ type: isSix ? 'udp6' : 'udp4', ipv6Only: isSix, lookup: lookup as never })
  // What the network answers (unreachable) stops nothing.
  socket.on('error', () => undefined)
  return socket
}

function serveUdp(port: number, isSix: boolean, life: number): void {
  const socket = udp(isSix)
  const asking = new Map<number, { until: number; port: number; address: string; number: number }>()
  socket.on('message', (bytes, from) => {
    if (bytes.length !== SIZE) return
    const { flow, number, kind, at } = read(bytes)
    told.came.push(flow, number, at, Date.now())
    if (kind === QUESTION) asking.set(flow, { until: Date.now() + ANSWERS_FOR_MS, port: from.port, address: from.address, number: asking.get(flow)?.number ?? life * 1_000_000 })
  })
  socket.bind(port, isSix ? '::' : '0.0.0.0')
  setInterval(() => {
    for (const [flow, one] of asking) {
      if (one.until < Date.now()) continue
      const number = one.number++
      const bytes = packet(flow, number, ANSWER)
      socket.send(bytes, one.port, one.address, (error) => error === null && told.answered.push(flow, number, bytes.readDoubleBE(16)))
    }
  }, ANSWER_MS)
}

/** Whole messages of a connection, in whatever pieces they come. */
function eachMessage(socket: net.Socket, take: (bytes: Buffer) => void): void {
  let rest = Buffer.alloc(0)
  socket.on('data', (part: Buffer) => {
    rest = Buffer.concat([rest, part])
    for (; rest.length >= SIZE; rest = rest.subarray(SIZE)) take(rest.subarray(0, SIZE))
  })
}

function serveTcp(port: number): void {
  const server = net.createServer((socket) => {
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    eachMessage(socket, (bytes) => {
      const { flow, number, at } = read(bytes)
      told.messages.push(flow, number, at, notBefore(), Date.now())
      socket.write(bytes)
    })
  })
  server.listen(port, '::')
}

function sendDatagrams(flow: EndOrders['flows'][number], life: number, intervalMs: number): void {
  const socket = udp(flow.source.includes(':'))
  const kind = flow.kind === 'stream' ? QUESTION : 0
  let next = life * 1_000_000
  socket.on('message', (bytes) => {
    if (bytes.length !== SIZE) return
    const { number, at } = read(bytes)
    told.answers.push(flow.id, number, at, Date.now())
  })
  socket.bind(flow.sourcePort, flow.source, () => {
    const send = (): void => {
      if (stopped) return
      const number = next++
      const bytes = packet(flow.id, number, kind)
      socket.send(bytes, flow.port, flow.destination, (error) => error === null && told.sent.push(flow.id, number, bytes.readDoubleBE(16)))
    }
    const every = kind === QUESTION ? QUESTION_MS : intervalMs
    // Not all at once.
    setTimeout(() => setInterval(send, every), Math.random() * every)
  })
}

async function sendConnections(flow: EndOrders['flows'][number], life: number): Promise<void> {
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
  for (let connection = life * 1_000_000; !stopped; connection++) {
    const tell = (what: Told['connections'][number]['what'], error?: string): void =>
      void told.connections.push({ flow: flow.id, connection, what, at: Date.now(), ...(error === undefined ? {} : { error }) })
    const socket = net.connect({ host: flow.destination, port: flow.port, localAddress: flow.source })
    socket.setNoDelay(true)
    tell('begun')
    const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    let failed = false
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failed = true
      tell('failed', error.code ?? error.message)
    })
    let timer: NodeJS.Timeout | undefined
    socket.on('connect', () => {
      tell('connected')
      timer = setInterval(() => socket.writableLength < 10 * SIZE && socket.write(packet(flow.id, connection, 0)), MESSAGE_MS)
    })
    eachMessage(socket, (bytes) => told.echoes.push(flow.id, connection, read(bytes).at, notBefore(), Date.now()))
    const ending = new Promise<void>((resolve) => stopping.push(resolve))
    await Promise.race([gone, ending, wait(2_000 + Math.random() * 5_000)])
    clearInterval(timer)
    if (!failed) tell('ended')
    socket.destroy()
    await wait(100 + Math.random() * 200)
  }
}

function begin({ life, ports, flows, intervalMs }: EndOrders): void {
  for (const port of ports) {
    serveUdp(port, false, life)
    serveUdp(port, true, life)
    serveTcp(port)
  }
  for (const flow of flows) {
    if (flow.kind === 'tcp') void sendConnections(flow, life)
    else sendDatagrams(flow, life, intervalMs)
  }
  setInterval(() => {
    process.stdout.write(`${JSON.stringify(told)}\n`)
    told = nothing()
  }, TELL_MS)
}

function stop(): void {
  stopped = true
  for (const one of stopping) one()
}

if (import.meta.main) {
  const lines = readline.createInterface({ input: process.stdin })
  lines.once('line', (orders) => {
    begin(JSON.parse(orders) as EndOrders)
    lines.on('line', stop)
  })
  lines.once('close', () => process.exit(0))
}
