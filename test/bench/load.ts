// The load of bench `packets`, as its own process inside a network namespace.
//
//   load.ts server HOST                  listens on 8080: counts what comes, closes what only connects
//   load.ts bytes HOST MS                one connection that sends as fast as it can; prints bits a second
//   load.ts connections HOST MS          short connections, 32 at a time; prints connections a second
//
// **Invariant:** bounded in time; prints one number and ends.
import net from 'node:net'

const PORT = 8080
const AT_ONCE = 32
const [mode, host = '', time = '0'] = process.argv.slice(2)
const ms = Number(time)

function server(): void {
  net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', () => undefined)
    socket.on('end', () => socket.end())
  }).listen(PORT, host, 1024, () => process.stdout.write('listening\n'))
}

function bytes(): void {
  const chunk = Buffer.alloc(1 << 20)
  const socket = net.connect(PORT, host)
  socket.once('error', fail)
  socket.once('connect', () => {
    const start = performance.now()
    const more = (): void => {
      while (performance.now() - start < ms) if (!socket.write(chunk)) return void socket.once('drain', more)
      const sent = socket.bytesWritten - socket.writableLength
      process.stdout.write(`${(sent * 8000) / (performance.now() - start)}\n`)
      socket.destroy()
    }
    more()
  })
}

function connections(): void {
  const start = performance.now()
  let made = 0
  // Connections that are still on their way when the time is over do not count, and are not waited for.
  setTimeout(() => {
    process.stdout.write(`${(made * 1000) / (performance.now() - start)}\n`, () => process.exit(0))
  }, ms)
  const next = (): void => {
    const socket = net.connect(PORT, host)
    socket.once('error', fail)
    socket.once('connect', () => {
      made++
      socket.resetAndDestroy()
      next()
    })
  }
  for (let i = 0; i < AT_ONCE; i++) next()
}

function fail(error: Error): never {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}

if (mode === 'server') server()
else if (mode === 'bytes') bytes()
else connections()
