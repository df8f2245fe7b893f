// Reads one NFLOG group of the network namespace that it is started in, and writes a line of JSON for each packet: `read-nflog.ts GROUP`.
//
// The tests' own, so that what the log rules do is not judged by the product's reader. It says `ready` first.
// **Invariant:** it ends by itself when its standard input does; what the kernel lost is a line of its own.
import { attribute, readAttributes, readU32 } from '../../src/netlink/attributes.ts'
import { decodeMessages, encodeMessage, NLM_F_ACK, NLM_F_REQUEST } from '../../src/netlink/messages.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'

export interface NflogPacket {
  readonly prefix: string
  readonly mark: number
  readonly family: 4 | 6
  readonly in: number
  readonly out: number
  /** What was copied, in hexadecimal. */
  readonly packet: string
}

const [PACKET, CONFIG] = [0x400, 0x401]
const [CFG_CMD, CFG_MODE, CFG_TIMEOUT, CFG_QTHRESH] = [1, 2, 4, 5]
const [MARK, INDEV, OUTDEV, PAYLOAD, PREFIX] = [2, 4, 5, 9, 10]

const group = Number(process.argv[2])
const socket = new NetlinkSocket({ protocol: 12, groups: 0, receiveBufferBytes: 32 << 20, timeoutMs: 50 })
const header = Buffer.from([0, 0, group >> 8, group & 255])
const big = (value: number): Uint8Array => Buffer.from([value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255])
const config = (...attributes: readonly Uint8Array[]): void => socket.send(encodeMessage({ type: CONFIG, flags: NLM_F_REQUEST | NLM_F_ACK, sequence: 1, port: 0 }, [header, ...attributes]))
config(attribute(CFG_CMD, Buffer.from([1])))
config(attribute(CFG_MODE, Buffer.from([0, 0, 0, 128, 2, 0])), attribute(CFG_TIMEOUT, big(5)), attribute(CFG_QTHRESH, big(64)))

const swapped = (value: number): number => Buffer.from([value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24]).readUInt32BE()
const number = (bytes: Uint8Array | undefined): number => (bytes === undefined ? 0 : swapped(readU32(bytes, 0, 'NFLOG')))

let ended = false
process.stdin.on('end', () => (ended = true)).resume()

function lineOf(payload: Uint8Array): string {
  const attributes = readAttributes(payload, 4, 'NFLOG')
  const packet = Buffer.from(attributes.get(PAYLOAD) ?? [])
  const prefix = Buffer.from(attributes.get(PREFIX) ?? []).toString('utf8').replace(/\0.*$/s, '')
  const one: NflogPacket = { prefix, mark: number(attributes.get(MARK)), family: (packet[0] ?? 0) >> 4 === 6 ? 6 : 4, in: number(attributes.get(INDEV)), out: number(attributes.get(OUTDEV)), packet: packet.toString('hex') }
  return JSON.stringify(one)
}

function turn(): void {
  const lines: string[] = []
  for (let more = 0; more < 1000; more++) {
    const received = socket.receive(lines.length === 0 && more === 0)
    if (received.kind === 'nothing') break
    if (received.kind === 'lost') {
      lines.push(JSON.stringify({ lost: received.reason }))
      continue
    }
    for (const { type, payload } of decodeMessages(received.bytes)) {
      if (type === PACKET) lines.push(lineOf(payload))
      else if (type === 2 && readU32(payload, 0, 'error') !== 0) throw new Error(`NFLOG: errno ${-Buffer.from(payload).readInt32LE(0)}`)
    }
  }
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`)
  if (ended) process.exit(0)
  setImmediate(turn)
}
process.stdout.write('ready\n')
turn()
