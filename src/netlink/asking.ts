// One question to the kernel after the other over a netlink socket: a request out, its messages in.
//
// For few and small questions, where nobody minds that the thread waits.
// **Invariant:** an answer belongs to its request, is complete, and is the asker's own copy; a refusal throws.
import { controlOf, decodeMessages, type NetlinkMessage } from './messages.ts'
import { NetlinkSocket } from './socket.ts'

/** The kernel said no: `code` is the errno's name. */
export class KernelRefusal extends Error {
  readonly code: string
  constructor(code: string, text: string) {
    super([code, text].filter((part) => part !== '').join(': '))
    this.name = 'KernelRefusal'
    this.code = code
  }
}

const RECEIVE_BUFFER_BYTES = 256 * 1024

export class NetlinkAsking {
  readonly #socket: NetlinkSocket
  #sequence = 0

  /** `timeoutMs`: rtnetlink waits for a lock that others may hold for long. Throws SyscallError. */
  constructor(protocol: number, timeoutMs: number) {
    this.#socket = new NetlinkSocket({ protocol, groups: 0, receiveBufferBytes: RECEIVE_BUFFER_BYTES, timeoutMs })
  }

  /** The request has to ask for an acknowledgement. Throws KernelRefusal, and an Error where there is no answer. */
  ask(encode: (sequence: number) => Uint8Array): readonly NetlinkMessage[] {
    const sequence = (this.#sequence = (this.#sequence + 1) >>> 0)
    this.#socket.send(encode(sequence))
    const answer: NetlinkMessage[] = []
    for (;;) {
      const received = this.#socket.receive(true)
      if (received.kind !== 'datagram') throw new Error(received.kind === 'lost' ? received.reason : 'the kernel did not answer')
      for (const message of decodeMessages(received.bytes)) {
        if (message.sequence !== sequence) continue
        const control = controlOf(message)
        if (control?.kind === 'failed') throw new KernelRefusal(control.code, control.text)
        if (control?.kind === 'acknowledged' || control?.kind === 'done') return answer
        if (control === null) answer.push({ ...message, payload: message.payload.slice() })
      }
    }
  }

  close(): void {
    this.#socket.close()
  }
}
