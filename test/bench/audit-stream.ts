// A bulk stream over TCP, started in a pod's namespace: `audit-stream.ts server PORT`, `audit-stream.ts client ADDRESS PORT MS`.
//
// **Invariant:** the client says how many bytes it got in MS milliseconds, behind a warm-up, and ends; the server ends with its input.
import net from 'node:net'

const [role = '', ...rest] = process.argv.slice(2)
const WARM_UP_MS = 500

if (role === 'server') {
  const chunk = Buffer.alloc(64 * 1024)
  net
    .createServer((socket) => {
      socket.on('error', () => undefined)
      const more = (): void => {
        while (socket.write(chunk));
      }
      socket.on('drain', more)
      more()
    })
    .listen(Number(rest[0]), () => process.stdout.write('listening\n'))
  process.stdin.on('end', () => process.exit(0)).resume()
} else {
  const [address = '', port = '0', ms = '0'] = rest
  let bytes = 0
  const socket = net.connect(Number(port), address, () => {
    setTimeout(() => {
      const [before, start] = [bytes, performance.now()]
      setTimeout(() => {
        process.stdout.write(JSON.stringify({ bytes: bytes - before, ms: performance.now() - start }))
        process.exit(0)
      }, Number(ms))
    }, WARM_UP_MS)
  })
  socket.on('data', (data) => (bytes += data.length))
  socket.on('error', (error) => {
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  })
}
