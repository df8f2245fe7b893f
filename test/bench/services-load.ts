// The load of bench `services`, as processes of their own inside network namespaces.
//
//   services-load.ts accept    accepts connections to TARGET_PORT of any address and closes them, for ever
//   services-load.ts sink      takes in what is sent to BYTES_TARGET_PORT of any address
//   services-load.ts client    for each line on stdin prints one number:
//     connections MS ADDRESS PORT    connections a second, one at a time
//     bytes MS ADDRESS PORT          bits a second over one connection
//     open MS ADDRESS PORT           the clock (milliseconds, monotonic) when a connection was first made; NaN: not within MS
//     closed MS ADDRESS PORT         when none was made any more
//
// Connections are made by libc's own calls: in Node's net each costs several times what the kernel takes for it.
// **Invariant:** a connection counts when the other side answered; no call waits longer than its socket's timeout.
import koffi from 'koffi'
import net from 'node:net'
import os from 'node:os'
import readline from 'node:readline'
import { AF_INET, bind, close, setsockopt, socket, SOL_SOCKET, timeval } from '../../src/netlink/libc.ts'
import { BYTES_TARGET_PORT, TARGET_PORT } from './services-objects.ts'

const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000
const SO_REUSEADDR = 2
const SO_LINGER = 13
const SO_SNDTIMEO = 21
const BACKLOG = 65_535
/** A connection that is not answered within these milliseconds was not made. */
const PATIENCE_MS = 100
/** While an answer is looked for whose time counts: a new try then. */
const LOOK_MS = 2
/** Between two tries, so that whoever programs the kernel meanwhile has the processor. */
const PAUSE_MS = 0.4
const CHUNK = Buffer.alloc(1 << 20)
/** Closing resets, so that no socket waits afterwards. */
const RESET = Buffer.from(new Int32Array([1, 0]).buffer)
const POLLOUT = 4
const TIMEOUT = timeval(PATIENCE_MS)

const libc = koffi.load('libc.so.6')
const connectCall = libc.func('int connect(int fd, const void *address, uint32_t length)') as (fd: number, address: Uint8Array, length: number) => number
const listenCall = libc.func('int listen(int fd, int backlog)') as (fd: number, backlog: number) => number
const acceptCall = libc.func('int accept4(int fd, void *address, void *length, int flags)') as (fd: number, address: null, length: null, flags: number) => number
const pollCall = libc.func('int poll(void *fds, uint64_t count, int timeout)') as (fds: Uint8Array, count: number, timeout: number) => number
const sleepCall = libc.func('int usleep(uint32_t microseconds)') as (microseconds: number) => number

function sockaddr(address: string, port: number): Uint8Array {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(AF_INET, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(address.split('.').map(Number), 4)
  return bytes
}

function clock(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

function accept(): never {
  const listener = socket(AF_INET, SOCK_STREAM, 0)
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, new Uint8Array(new Int32Array([1]).buffer))
  bind(listener, sockaddr('0.0.0.0', TARGET_PORT))
  if (listenCall(listener, BACKLOG) !== 0) throw new Error(`listen: errno ${koffi.errno()}`)
  process.stdout.write('ready\n')
  for (;;) {
    const fd = acceptCall(listener, null, null, 0)
    if (fd >= 0) close(fd)
  }
}

function sink(): void {
  const server = net.createServer((one) => one.on('error', () => undefined).on('data', () => undefined))
  server.listen(BYTES_TARGET_PORT, '0.0.0.0', () => process.stdout.write('ready\n'))
}

function connects(to: Uint8Array): boolean {
  const fd = socket(AF_INET, SOCK_STREAM, 0)
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, TIMEOUT)
  setsockopt(fd, SOL_SOCKET, SO_LINGER, RESET)
  const made = connectCall(fd, to, to.length) === 0
  close(fd)
  return made
}

/** The same without much patience: the answer comes at once, or the packet was dropped. */
function connectsNow(to: Uint8Array): boolean {
  const fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)
  setsockopt(fd, SOL_SOCKET, SO_LINGER, RESET)
  let made = connectCall(fd, to, to.length) === 0
  if (!made && koffi.errno() === os.constants.errno.EINPROGRESS) {
    const asked = Buffer.alloc(8)
    asked.writeInt32LE(fd, 0)
    asked.writeInt16LE(POLLOUT, 4)
    pollCall(asked, 1, LOOK_MS)
    // Asked again, it says what became of it.
    made = connectCall(fd, to, to.length) === 0
  }
  close(fd)
  return made
}

function connections(ms: number, to: Uint8Array): number {
  const start = clock()
  let made = 0
  while (clock() - start < ms) if (connects(to)) made += 1
  return (made * 1000) / (clock() - start)
}

function changed(state: 'open' | 'closed', ms: number, to: Uint8Array): number {
  const holds = (): boolean => (state === 'open' ? connectsNow(to) : !connects(to))
  for (const start = clock(); clock() - start < ms; sleepCall(PAUSE_MS * 1000)) if (holds()) return clock()
  return NaN
}

function bytes(ms: number, address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const one = net.connect(port, address)
    one.once('error', reject)
    one.once('connect', () => {
      const start = clock()
      const more = (): void => {
        while (clock() - start < ms) if (!one.write(CHUNK)) return void one.once('drain', more)
        const sent = one.bytesWritten - one.writableLength
        const elapsed = clock() - start
        one.once('close', () => resolve((sent * 8000) / elapsed))
        one.resetAndDestroy()
      }
      more()
    })
  })
}

async function client(): Promise<void> {
  process.stdout.write('ready\n')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [what, time, address = '', port] = line.split(' ')
    const [ms, to] = [Number(time), sockaddr(address, Number(port))]
    const answer = what === 'bytes' ? await bytes(ms, address, Number(port)) : what === 'connections' ? connections(ms, to) : changed(what === 'open' ? 'open' : 'closed', ms, to)
    process.stdout.write(`${answer}\n`)
  }
}

const mode = process.argv[2]
if (mode === 'accept') accept()
else if (mode === 'sink') sink()
else await client()
