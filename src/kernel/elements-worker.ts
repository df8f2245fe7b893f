// The thread that changes elements of sets by netlink, and reads counters: keys or whole batches in, the kernel's answer out.
//
// One socket for the life of the thread, so that its port tells our own commits from others' (notices.ts). The kernel works
// inside of send(), which is why this is a thread. **Invariant:** each request is answered once, in order; a request of
// which nobody knows whether the kernel did it ends the thread instead.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { tellLoaded } from '../lib/workers.ts'
import { bindTo, numbered, renumber, type Batch, type SetPlace } from '../netlink/element-batch.ts'
import { countersRequest, decodeCounter, type CounterReading } from '../netlink/counters.ts'
import { enterNetns, loadLibc, SyscallError } from '../netlink/libc.ts'
import { controlOf, decodeMessages, type Control, type NetlinkMessage } from '../netlink/messages.ts'
import { decodeNftables, generationRequest, NETLINK_NETFILTER } from '../netlink/nftables.ts'
import { decodeElements, elementsDumpRequest, encodeBatch, encodeRemoval, type ElementsChange, type HeldElement } from '../netlink/set-elements.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { astray, CLIENT_KEY_LENGTH, type ClientSweep } from './client-sweep.ts'
import type { Cover, ElementCommit } from './element-commit.ts'

/** The elements of one set that are to be taken out and told. */
export interface ElementsTake {
  readonly set: string
  readonly keyLength: number
  /** At most so many: those that nothing used for longest. Null: all. */
  readonly quietest: number | null
}

export type ElementsRequest =
  | { readonly kind: 'change'; readonly place: SetPlace; readonly changes: readonly ElementsChange[] }
  | { readonly kind: 'take'; readonly place: SetPlace; readonly takes: readonly ElementsTake[] }
  | { readonly kind: 'sweep'; readonly place: SetPlace; readonly sweep: ClientSweep }
  | { readonly kind: 'count'; readonly place: SetPlace }
  | ({ readonly kind: 'commit' } & ElementCommit)

type Told =
  | { readonly kind: 'done'; readonly keys: readonly Uint8Array<ArrayBuffer>[]; readonly removed: number; readonly counters?: readonly CounterReading[] }
  /**
   * Of `change` and `commit` the kernel holds what it held before; of `take` and `sweep`, which go in portions, those before
   * the refused one are out. `code` is the errno's name.
   */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }

export type ElementsAnswer = { readonly id: number; readonly port: number } & Told

type Failure = Extract<Control, { kind: 'failed' }>

const TIMEOUT_MS = 1_000
const RECEIVE_BUFFER_BYTES = 1024 * 1024
/** 10,000 elements that lead to chains with names of 255 bytes are some 4 MB. */
const SEND_BUFFER_BYTES = 8 * 1024 * 1024
/** Of one batch: the send buffer takes 200 KB. */
const TAKEN_AT_ONCE = 1_500
/** Of one batch; each is four elements of IPv6. */
const SWEPT_AT_ONCE = 1_000
/** A look that finds somebody is followed by another: it may have left out what moved, and clients come back or lose their place meanwhile. */
const SWEEP_TRIES = 5
const COUNT_TRIES = 3
/** EBUSY is what older kernels say of other data. */
const CHANGED_MEANWHILE = ['EEXIST', 'EBUSY', 'ENFILE']

class Refused extends Error {
  readonly code: string
  constructor({ code, text }: Pick<Failure, 'code' | 'text'>) {
    super([code, text].filter((part) => part !== '').join(': '))
    this.code = code
  }
}

class Elements {
  readonly #socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, groups: 0, receiveBufferBytes: RECEIVE_BUFFER_BYTES, sendBufferBytes: SEND_BUFFER_BYTES, timeoutMs: TIMEOUT_MS })
  #sequence = 1

  get port(): number {
    return this.#socket.port
  }

  /** Throws Refused; whatever else it throws leaves the kernel's state unknown. */
  change(place: SetPlace, changes: readonly ElementsChange[]): void {
    this.#commit(encodeBatch(place, changes, this.#sequence))
  }

  /** As change(); refused too where what it builds on is not so, where others committed meanwhile, and where it is too large. */
  commit({ batch, count, covers }: ElementCommit): void {
    if (covers.length > 0) bindTo(batch, this.#generation())
    for (const cover of covers) this.#look(cover)
    this.#commit(numbered({ bytes: batch, count }, this.#sequence))
  }

  #commit({ bytes, first, last }: Batch): void {
    this.#sequence = last + 2
    this.#send(bytes)
    let failure: Failure | null = null
    this.#receive((message, control) => {
      if (message.sequence < first || message.sequence > last) return false
      if (control?.kind === 'failed') failure ??= control
      // The answer to the batch itself stands for all of it.
      return message.sequence === last || message.sequence === first
    })
    if (failure !== null) throw new Refused(failure)
  }

  /** The kernel takes all of it or nothing. */
  #send(bytes: Uint8Array): void {
    try {
      this.#socket.send(bytes)
    } catch (error) {
      if (!(error instanceof SyscallError) || (error.code !== 'EMSGSIZE' && error.code !== 'ENOBUFS')) throw error
      throw new Refused({ code: error.code, text: `a batch of ${bytes.length} bytes cannot be sent` })
    }
  }

  #generation(): number {
    const sequence = this.#sequence++
    this.#socket.send(generationRequest(sequence))
    let generation: number | null = null
    this.#receive((message, control) => {
      if (message.sequence !== sequence) return false
      if (control?.kind === 'failed') throw new Refused(control)
      const told = decodeNftables(message)
      if (told?.kind === 'end') generation = told.generation
      return true
    })
    // 0 would be any.
    if (generation === null || generation === 0) throw new Refused({ code: 'ENODATA', text: 'the kernel does not say of which generation the ruleset is' })
    return generation
  }

  /** Throws Refused where the key is covered by another interval than it may be, or by none where one has to. */
  #look({ request, starts, mayBeFree }: Cover): void {
    const sequence = this.#sequence++
    renumber(request, sequence)
    this.#socket.send(request)
    let fits = false
    this.#receive((message, control) => {
      if (message.sequence !== sequence) return false
      if (control?.kind === 'failed' && control.code !== 'ENOENT') throw new Refused(control)
      if (control !== null) fits = control.kind === 'failed' && mayBeFree
      else fits = beginsAtOneOf(starts, message)
      return true
    })
    if (!fits) throw new Refused({ code: 'EEXIST', text: 'intervals would overlap, or one is not there' })
  }

  take(place: SetPlace, { set, keyLength, quietest }: ElementsTake): Uint8Array<ArrayBuffer> {
    const held = this.#dump(place, set, keyLength)
    if (held.length === 0) return new Uint8Array()
    const chosen = quietest === null ? held : held.sort((a, b) => (a.expiresIn ?? Infinity) - (b.expiresIn ?? Infinity)).slice(0, quietest)
    const keys = new Uint8Array(chosen.length * keyLength)
    chosen.forEach(({ key }, i) => keys.set(key, i * keyLength))
    if (quietest === null) this.change(place, [{ verb: 'flush', set, keys: new Uint8Array(), keyLength }])
    else {
      for (let at = 0; at < keys.length; at += TAKEN_AT_ONCE * keyLength) {
        this.change(place, [{ verb: 'remove', set, keys: keys.subarray(at, at + TAKEN_AT_ONCE * keyLength), keyLength }])
      }
    }
    return keys
  }

  /** How many entries are gone. */
  sweep(place: SetPlace, sweep: ClientSweep): number {
    let removed = 0
    for (let tries = 1; ; tries++) {
      const ports = sweep.ports === null ? [] : this.#dump(place, sweep.ports, CLIENT_KEY_LENGTH)
      const found = astray(sweep, this.#dump(place, sweep.map, CLIENT_KEY_LENGTH), ports)
      if (found.length === 0) return removed
      try {
        for (let at = 0; at < found.length; at += SWEPT_AT_ONCE) {
          const part = found.slice(at, at + SWEPT_AT_ONCE)
          this.#commit(encodeRemoval(place, part.flat(), this.#sequence))
          removed += part.length
        }
      } catch (error) {
        if (!(error instanceof Refused) || !CHANGED_MEANWHILE.includes(error.code) || tries === SWEEP_TRIES) throw error
        continue
      }
      if (tries === SWEEP_TRIES) return removed
    }
  }

  /** Asked anew where counters came or went meanwhile: a dump may leave others out then. */
  count(place: SetPlace): readonly CounterReading[] {
    for (let tries = 1; ; tries++) {
      const before = this.#generation()
      const sequence = this.#sequence++
      this.#socket.send(countersRequest(place, sequence))
      const counters: CounterReading[] = []
      this.#receive((message, control) => {
        if (message.sequence !== sequence) return false
        if (control?.kind === 'failed') throw new Refused(control)
        const counter = decodeCounter(message)
        if (counter !== null) counters.push(counter)
        return control?.kind === 'done'
      })
      if (tries === COUNT_TRIES || this.#generation() === before) return counters
    }
  }

  /** What changes while it is read may be left out. */
  #dump(place: SetPlace, set: string, keyLength: number): HeldElement[] {
    const sequence = this.#sequence++
    this.#socket.send(elementsDumpRequest(place, set, sequence))
    const held: HeldElement[] = []
    this.#receive((message, control) => {
      if (message.sequence !== sequence) return false
      if (control?.kind === 'failed') throw new Refused(control)
      // The bytes are valid until the next receive.
      for (const { key, data, expiresIn } of decodeElements(message, keyLength) ?? []) held.push({ key: key.slice(), data: data?.slice() ?? null, expiresIn })
      return control?.kind === 'done'
    })
    return held
  }

  /** Until `take` says that it was the last message. */
  #receive(take: (message: NetlinkMessage, control: Control | null) => boolean): void {
    for (;;) {
      const received = this.#socket.receive(true)
      if (received.kind !== 'datagram') throw new Error(received.kind === 'lost' ? received.reason : `the kernel said nothing for ${TIMEOUT_MS} ms`)
      for (const message of decodeMessages(received.bytes)) if (take(message, controlOf(message))) return
    }
  }
}

/** Keys of one set are of one length. */
function beginsAtOneOf(starts: readonly Uint8Array[], message: NetlinkMessage): boolean {
  const [first] = starts
  if (first === undefined) return false
  return decodeElements(message, first.length)?.some(({ key }) => starts.some((start) => Buffer.compare(key, start) === 0)) === true
}

function answer(port: MessagePort, elements: Elements, request: ElementsRequest & { readonly id: number }): void {
  const { id } = request
  const tell = (rest: Told): void => port.postMessage({ id, port: elements.port, ...rest } satisfies ElementsAnswer)
  try {
    if (request.kind === 'take') return tell({ kind: 'done', keys: request.takes.map((one) => elements.take(request.place, one)), removed: 0 })
    if (request.kind === 'count') return tell({ kind: 'done', keys: [], removed: 0, counters: elements.count(request.place) })
    if (request.kind === 'sweep') return tell({ kind: 'done', keys: [], removed: elements.sweep(request.place, request.sweep) })
    if (request.kind === 'commit') elements.commit(request)
    else elements.change(request.place, request.changes)
    tell({ kind: 'done', keys: [], removed: 0 })
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    tell({ kind: 'refused', code: error.code, message: messageOf(error) })
  }
}

loadLibc()
tellLoaded()
const port = parentPort
if (port === null) throw new Error('elements-worker is a worker thread')
const { netns } = workerData as { readonly netns?: string }
if (netns !== undefined) enterNetns(netns)
const elements = new Elements()
port.on('message', (request: ElementsRequest & { readonly id: number }) => answer(port, elements, request))
