// Sends UDP datagrams at a steady rate until it is ended: `flood.ts RATE ADDRESS PORT FROM-PORT [ADDRESS PORT FROM-PORT ...]`.
//
// RATE is in datagrams a second, all targets together, in turn. **Invariant:** it ends by itself after LONGEST_MS.
import dgram from 'node:dgram'
import net from 'node:net'

const LONGEST_MS = 1_200_000
const TICK_MS = 2

const [rate = '0', ...targets] = process.argv.slice(2)
const payload = Buffer.alloc(32, 'x')
const sockets: dgram.Socket[] = []
for (let at = 0; at + 2 < targets.length; at += 3) {
  const [address = '', port = '0', fromPort = '0'] = targets.slice(at, at + 3)
  const socket = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4')
  // A refusal by the receiver is no end: what counts is what the wire carries.
  socket.on('error', () => undefined)
  socket.bind(Number(fromPort), () => socket.connect(Number(port), address, () => sockets.push(socket)))
}

const start = performance.now()
let sent = 0
setInterval(() => {
  const elapsed = performance.now() - start
  if (elapsed > LONGEST_MS) process.exit(0)
  if (sockets.length === 0) return
  // What a pause kept back is not made up for in one burst.
  const due = Math.min(Math.floor((elapsed / 1000) * Number(rate)), sent + Math.ceil((Number(rate) * TICK_MS * 10) / 1000))
  for (; sent < due; sent++) sockets[sent % sockets.length]?.send(payload, () => undefined)
  if (due < Math.floor((elapsed / 1000) * Number(rate)) - Number(rate)) sent = Math.floor((elapsed / 1000) * Number(rate))
}, TICK_MS)
