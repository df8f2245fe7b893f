// One rtnetlink subscription: dumps of everything, then notifications in bursts, and dumps again whenever some were lost.
//
// The blocking half of the interface source; rtnetlink-worker.ts runs it in a thread. It looks at headers only: what
// the messages say is decoded where they are folded.
// **Invariant:** whoever folds the posts in order ends with the kernel's state: a loss, or a dump that was not of one
// moment, is always followed by a complete dump. Every wait ends within the socket's timeout.
import type { Clock } from '../lib/clock.ts'
import { joined } from '../netlink/attributes.ts'
import { controlOf, decodeMessages, NLM_F_DUMP_INTR } from '../netlink/messages.ts'
import type { DumpName } from '../netlink/route.ts'
import { dumpRequest, DUMPS } from '../netlink/route.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import type { WorkerControl } from '../lib/worker-control.ts'

export type StreamPost =
  /** The bytes of netlink messages: a complete dump, and the notifications that came while it ran. */
  | { readonly kind: 'resync'; readonly reason: string; readonly dump: Uint8Array<ArrayBuffer>; readonly during: Uint8Array<ArrayBuffer> }
  /** The notifications of one burst. */
  | { readonly kind: 'events'; readonly events: Uint8Array<ArrayBuffer> }

/** A burst ends with a pause of this length, or after the longest time, or at the size. */
const PAUSE_MS = 1
const LONGEST_BURST_MS = 5
const LARGEST_BURST_BYTES = 512 * 1024
/** The kernel answers in milliseconds; a dump that says nothing for this long has been lost. */
const SILENCE_MS = 5_000
const LONGEST_RETRY_MS = 200
const LONGEST_RESYNC_MS = 10_000
/** Of a dump that had no room (netlink_dump), or not yet: tried again. */
const PASSING = ['ENOBUFS', 'ENOMEM', 'EBUSY', 'EINTR', 'EAGAIN']
/** Of a kernel without IPv6, which has none of it. */
const UNKNOWN_FAMILY = ['EAFNOSUPPORT', 'EOPNOTSUPP', 'EPROTONOSUPPORT']
const LARGEST_BUFFER_BYTES = 64 * 1024 * 1024

export class RtnetlinkStream {
  readonly #socket: NetlinkSocket
  readonly #control: WorkerControl
  readonly #clock: Clock
  readonly #post: (post: StreamPost) => void
  #bufferBytes: number
  #sequence = 0

  /** `bufferBytes`: the socket's present receive buffer; it is doubled with each loss, up to 64 MB. */
  constructor(socket: NetlinkSocket, bufferBytes: number, control: WorkerControl, clock: Clock, post: (post: StreamPost) => void) {
    this.#socket = socket
    this.#bufferBytes = bufferBytes
    this.#control = control
    this.#clock = clock
    this.#post = post
  }

  /** Until it is stopped. Throws where the kernel does not answer as it must. */
  run(): void {
    let reason: string | null = 'start'
    while (!this.#control.stopped()) {
      if (reason !== null) this.#resync(reason)
      reason = this.#follow()
      if (reason === null && this.#control.resyncAsked()) reason = 'asked for'
    }
  }

  /** Dumps until one is complete, and posts it. Throws where none is for too long. */
  #resync(reason: string): void {
    const began = this.#clock.now()
    for (let pause = 5; !this.#control.stopped(); pause = Math.min(pause * 2, LONGEST_RETRY_MS)) {
      this.#drain()
      const dump: Uint8Array[] = []
      const during: Uint8Array[] = []
      let flaw: string | null = null
      for (const name of DUMPS) flaw ??= this.#dump(name, dump, during)
      if (flaw === null) {
        this.#post({ kind: 'resync', reason, dump: joined(dump), during: joined(during) })
        return
      }
      if (this.#clock.now() - began > LONGEST_RESYNC_MS) throw new Error(`no complete dump within ${LONGEST_RESYNC_MS} ms, last because ${flaw}`)
      this.#control.sleep(pause)
    }
  }

  /**
   * Down to the empty queue: after a loss the kernel drops without a further word until then (NETLINK_S_CONGESTED).
   * What is thrown away here is older than the dump that follows.
   */
  #drain(): void {
    while (!this.#control.stopped()) {
      const received = this.#socket.receive(false)
      if (received.kind === 'nothing') return
      if (received.kind === 'lost') this.#growBuffer()
    }
  }

  /** Reads one dump to its end, even where it is useless by then: the kernel starts no other before. Returns its flaw. */
  #dump(name: DumpName, dump: Uint8Array[], during: Uint8Array[]): string | null {
    this.#sequence = (this.#sequence + 1) >>> 0
    this.#socket.send(dumpRequest(name, this.#sequence))
    let flaw: string | null = null
    let heard = this.#clock.now()
    while (!this.#control.stopped()) {
      const received = this.#socket.receive(true)
      if (received.kind === 'lost') {
        this.#growBuffer()
        flaw ??= received.reason
      } else if (received.kind === 'nothing') {
        if (this.#clock.now() - heard > SILENCE_MS) throw new Error(`the kernel did not answer a request for ${name} within ${SILENCE_MS} ms`)
      } else {
        heard = this.#clock.now()
        const part = this.#partOf(name, received.bytes)
        if (part.ours) dump.push(received.bytes.slice())
        else during.push(received.bytes.slice())
        flaw ??= part.flaw
        if (part.ended) return flaw
      }
    }
    return 'stopped'
  }

  /** A datagram is either of our dump or of notifications, never of both. Throws where the kernel refused the request. */
  #partOf(name: DumpName, bytes: Uint8Array): { readonly ours: boolean; readonly ended: boolean; readonly flaw: string | null } {
    const messages = decodeMessages(bytes).filter((m) => m.sequence === this.#sequence && m.port === this.#socket.port)
    let ended = false
    let flaw = messages.some((m) => (m.flags & NLM_F_DUMP_INTR) !== 0) ? `${name} changed while they were read` : null
    for (const message of messages) {
      const control = controlOf(message)
      if (control?.kind === 'done' || control?.kind === 'failed') ended = true
      if (control?.kind !== 'failed' || (name.startsWith('IPv6') && UNKNOWN_FAMILY.includes(control.code))) continue
      const said = [control.code, control.text].filter((t) => t !== '').join(': ')
      if (!PASSING.includes(control.code)) throw new Error(`the kernel refused a request for ${name}: ${said}`)
      flaw ??= `${name} could not be read: ${said}`
    }
    return { ours: messages.length > 0, ended, flaw }
  }

  /** Waits for notifications and posts one burst of them. Returns why a resync is needed; null where none is. */
  #follow(): string | null {
    const first = this.#socket.receive(true)
    if (first.kind === 'nothing') return null
    if (first.kind === 'lost') return this.#lost(first.reason)
    const burst = [first.bytes.slice()]
    const began = this.#clock.now()
    let bytes = first.bytes.length
    let paused = false
    while (bytes < LARGEST_BURST_BYTES && this.#clock.now() - began < LONGEST_BURST_MS) {
      const next = this.#socket.receive(false)
      if (next.kind === 'lost') return this.#lost(next.reason)
      if (next.kind === 'datagram') {
        burst.push(next.bytes.slice())
        bytes += next.bytes.length
        paused = false
      } else if (paused) {
        break
      } else {
        this.#control.sleep(PAUSE_MS)
        paused = true
      }
    }
    this.#post({ kind: 'events', events: joined(burst) })
    return null
  }

  #lost(reason: string): string {
    this.#growBuffer()
    return reason
  }

  #growBuffer(): void {
    if (this.#bufferBytes >= LARGEST_BUFFER_BYTES) return
    this.#bufferBytes *= 2
    this.#socket.setReceiveBuffer(this.#bufferBytes)
  }
}
