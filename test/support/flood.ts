// UDP packets at a steady rate from the network namespace that it is started in: a program of its own.
//
//   node flood.ts RATE PORT ADDRESS...    sends as many a second to each address; a line on stdin ends it, and is
//                                         answered with how many went to each
//
// **Invariant:** short bursts only, so that no queue on the way overflows; it lags rather than catches up.
import readline from 'node:readline'
import { AF_INET, AF_INET6, SOCK_DGRAM, sendto, socket } from '../../src/netlink/libc.ts'
import { addressBytes } from '../kernel/packet-bytes.ts'

const LONGEST_BURST = 150
const DATA = Buffer.from('flood')
const [rate = '', port = '', ...addresses] = process.argv.slice(2)

const targets = addresses.map((text) => {
  const six = text.includes(':')
  const address = Buffer.alloc(six ? 28 : 16)
  address.writeUInt16LE(six ? AF_INET6 : AF_INET, 0)
  address.writeUInt16BE(Number(port), 2)
  addressBytes(text).copy(address, six ? 8 : 4)
  return { fd: socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0), address }
})

let sent = 0
let last = performance.now()
const timer = setInterval(() => {
  const now = performance.now()
  const burst = Math.min(LONGEST_BURST, Math.floor(((now - last) * Number(rate)) / 1000))
  if (burst === 0) return
  last = now
  for (const { fd, address } of targets) for (let i = 0; i < burst; i++) sendto(fd, DATA, address)
  sent += burst
}, 1)

readline.createInterface({ input: process.stdin }).once('line', () => {
  clearInterval(timer)
  process.stdout.write(`${sent}\n`, () => process.exit(0))
})
