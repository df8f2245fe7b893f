// Takes an NFLOG group for a socket, and says in whose hands it is where the kernel refuses.
//
// The kernel answers EPERM both where another program has the group and where the right is missing; its list tells which.
// **Invariant:** it returns with the group taken, or throws a Refusal that says what to do.
import { readFileSync } from 'node:fs'
import { controlOf, messagesIn } from '../netlink/messages.ts'
import { bindRequest } from '../netlink/nflog.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'

const COPY_BYTES = 128
const THRESHOLD = 64
const TIMEOUT_HUNDREDTHS = 5
/** So long the kernel holds a packet back at most. */
export const DATAGRAM_WAIT_MS = TIMEOUT_HUNDREDTHS * 10
/** Room for 64 packets with prefixes of 127 bytes; with what the kernel adds it stays below 32 KB, which it allocates whole. */
const DATAGRAM_BYTES = 28 * 1024
/** Of the calling thread, which may be in another namespace than its process. */
const LIST = '/proc/thread-self/net/netfilter/nfnetlink_log'
const MOST_DATAGRAMS = 1_000
const SEQUENCE = 1

/** `code` is what operators look for. */
export class Refusal extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.name = 'Refusal'
    this.code = code
  }
}

export function bindGroup(socket: NetlinkSocket, group: number): void {
  socket.send(bindRequest(SEQUENCE, { group, copyBytes: COPY_BYTES, threshold: THRESHOLD, timeout: TIMEOUT_HUNDREDTHS, bufferBytes: DATAGRAM_BYTES }))
  const code = answer(socket)
  if (code === null) return
  const holder = code === 'EPERM' || code === 'EBUSY' || code === 'EEXIST' ? holderOf(group) : null
  if (holder !== null) {
    throw new Refusal('AuditGroupTaken', `NFLOG group ${group} is read by another program (${holder}): nothing of what is denied or allowed reaches the audit stream; stop that program, or set auditGroup to a group that nobody reads`)
  }
  const hint = code === 'EPERM' ? 'the agent needs CAP_NET_ADMIN' : 'load the module nfnetlink_log'
  throw new Refusal('AuditReaderFailed', `cannot read NFLOG group ${group}: the kernel says ${code}; ${hint}`)
}

/** Null: done. Packets come only behind the answer, as it is queued before the group can be logged to by others. */
function answer(socket: NetlinkSocket): string | null {
  for (let i = 0; i < MOST_DATAGRAMS; i++) {
    const received = socket.receive(true)
    if (received.kind === 'nothing') break
    if (received.kind !== 'datagram') continue
    for (const message of messagesIn(received.bytes)) {
      const control = message.sequence === SEQUENCE ? controlOf(message) : null
      if (control?.kind === 'acknowledged') return null
      if (control?.kind === 'failed') return control.code
    }
  }
  return 'nothing'
}

/** Columns: group, netlink port, and numbers. Null where nobody has it. */
function holderOf(group: number): string | null {
  let list: string
  try {
    list = readFileSync(LIST, 'utf8')
  } catch {
    return null
  }
  for (const line of list.split('\n')) {
    const [number, port] = line.trim().split(/\s+/)
    if (number === String(group)) return `netlink port ${port}, which most often is its process id`
  }
  return null
}
