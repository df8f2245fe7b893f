// The load of bench `packets`, as its own process inside a network namespace.
//
//   load.ts server HOST     listens on 8080: counts what comes, closes what only connects
//   load.ts client HOST     for each line `bytes MS` or `connections MS` on stdin prints one number:
//                           bits a second over one connection, or short connections a second, 32 at a time
//
// **Invariant:** each measurement is bounded in time; one process does them all, so that it is warm.
import net from 'node:net'
import readline from 'node:readline'

const PORT = 8080
const AT_ONCE = 32
const [mode, host = ''] = process.argv.slice(2)
const CHUNK = Buffer.alloc(1 << 20)

function server(): void {
  net
    .createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', () => undefined)
      socket.on('end', () => socket.end())
    })
    .listen(PORT, host, 1024, () => process.stdout.write('ready\n'))
}

function bytes(ms: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(PORT, host)
    socket.once('error', reject)
    socket.once('connect', () => {
      const start = performance.now()
      const more = (): void => {
        while (performance.now() - start < ms) if (!socket.write(CHUNK)) return void socket.once('drain', more)
        const sent = socket.bytesWritten - socket.writableLength
        const elapsed = performance.now() - start
        socket.once('close', () => resolve((sent * 8000) / elapsed))
        socket.resetAndDestroy()
      }
      more()
    })
  })
}

function connections(ms: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const open = new Set<net.Socket>()
    let made = 0
    const next = (): void => {
      const socket = net.connect(PORT, host)
      open.add(socket)
      socket.once('error', reject)
      socket.once('close', () => open.delete(socket))
      socket.once('connect', () => {
        made++
        socket.resetAndDestroy()
        if (performance.now() - start < ms) next()
      })
    }
    // Connections that are still on their way when the time is over do not count, and are not waited for.
    setTimeout(() => {
      const rate = (made * 1000) / (performance.now() - start)
      for (const socket of open) socket.destroy()
      resolve(rate)
    }, ms)
    for (let i = 0; i < AT_ONCE; i++) next()
  })
}

async function client(): Promise<void> {
  process.stdout.write('ready\n')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [what, ms] = line.split(' ')
    process.stdout.write(`${await (what === 'bytes' ? bytes(Number(ms)) : connections(Number(ms)))}\n`)
  }
}

if (mode === 'server') server()
else await client()
