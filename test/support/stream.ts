// One end of a one-way stream, in the network namespace that it is started in: a program of its own.
//
//   node stream.ts serve udp|tcp PORT                       streams to whoever asked once, until it is ended
//   node stream.ts receive udp|tcp ADDRESS PORT [FROM]      asks once; each line on stdin is answered with what came;
//                                                         SIGUSR2 makes it send again
//
// **Invariant:** after its first words the client sends nothing but acknowledgements, so that only the reply direction
// has packets worth cutting.
import dgram from 'node:dgram'
import net from 'node:net'
import readline from 'node:readline'

const INTERVAL_MS = 2
const [role, kind, ...rest] = process.argv.slice(2)
let messages = 0
let lastAt = 0
const heard = (): void => {
  messages++
  lastAt = Date.now()
}

function serveUdp(port: number, family: 'udp4' | 'udp6'): void {
  const socket = dgram.createSocket({ type: family, ipv6Only: family === 'udp6' })
  const clients = new Map<string, { port: number; address: string }>()
  socket.on('message', (_, from) => clients.set(`${from.address} ${from.port}`, from))
  // What the network answers (unreachable) does not stop it.
  socket.on('error', () => undefined)
  socket.bind(port)
  setInterval(() => {
    for (const to of clients.values()) socket.send('x', to.port, to.address, () => undefined)
  }, INTERVAL_MS)
}

function serveTcp(port: number): void {
  net
    .createServer((socket) => {
      const timer = setInterval(() => socket.write('x'.repeat(100)), INTERVAL_MS)
      socket.on('error', () => undefined)
      socket.on('close', () => clearInterval(timer))
    })
    .listen(port, '::')
}

if (role === 'serve') {
  const port = Number(rest[0])
  if (kind === 'tcp') serveTcp(port)
  else for (const family of ['udp4', 'udp6'] as const) serveUdp(port, family)
  process.stdout.write('ready\n')
} else {
  const [address = '', port = '', from = '0'] = rest
  if (kind === 'tcp') {
    const socket = net.connect({ host: address, port: Number(port), localPort: Number(from) }).on('data', heard)
    socket.on('error', () => undefined)
    process.on('SIGUSR2', () => socket.write('again'))
  } else {
    const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4')
    socket.on('message', heard)
    socket.bind(Number(from), () => socket.send('go', Number(port), address))
    process.on('SIGUSR2', () => socket.send('again', Number(port), address))
  }
  readline.createInterface({ input: process.stdin }).on('line', () => process.stdout.write(`${JSON.stringify({ messages, lastAt })}\n`))
}
