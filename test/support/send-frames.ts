// Sends Ethernet frames out of interfaces of the namespace that it is started in, each at its own rate for some seconds.
//
//   echo '{"seconds": 2, "flows": [{"index": 3, "frame": "hex", "rate": 1000}]}' | nsenter --net=PATH node test/support/send-frames.ts
//
// **Invariant:** it says how many frames of each flow the kernel took: `[2000]`; every flow sends at least one.
import { readFileSync } from 'node:fs'
import { SOCK_RAW, close, sendto, socket } from '../../src/netlink/libc.ts'

const AF_PACKET = 17

export interface FrameFlow {
  readonly index: number
  /** In hexadecimal. */
  readonly frame: string
  /** A second. */
  readonly rate: number
}

const { seconds, flows } = JSON.parse(readFileSync(0, 'utf8')) as { readonly seconds: number; readonly flows: readonly FrameFlow[] }
const fd = socket(AF_PACKET, SOCK_RAW, 0)
const ready = flows.map(({ index, frame, rate }) => {
  const address = Buffer.alloc(20)
  address.writeUInt16LE(AF_PACKET, 0)
  address.writeInt32LE(index, 4)
  return { address, bytes: Buffer.from(frame, 'hex'), rate, sent: 0 }
})
const start = performance.now()
for (let elapsed = 0; elapsed < seconds; elapsed = (performance.now() - start) / 1000) {
  for (const flow of ready) {
    // What is behind is made up for in bursts, so that a slow flow between fast ones keeps its rate.
    const due = Math.min(Math.floor(elapsed * flow.rate) + 1, flow.sent + 200)
    for (; flow.sent < due; flow.sent++) {
      try {
        sendto(fd, flow.bytes, flow.address)
      } catch {
        break
      }
    }
  }
  if (ready.every(({ sent, rate }) => sent >= elapsed * rate)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
}
close(fd)
process.stdout.write(JSON.stringify(ready.map(({ sent }) => sent)))
