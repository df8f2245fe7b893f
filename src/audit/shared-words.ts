// What the two sides of the reader share: how far each of them is, readable even when the other one stalls or is gone.
//
// The thread leaves its receive every now and then at the latest: it looks here, and for messages only where there are some.
// **Invariant:** each word is written by one side only, save the descriptor, which whoever takes it closes.

const [STOP, CREDITED, FLUSHES, TAKEN, DESCRIPTOR, MESSAGES] = [0, 1, 2, 3, 4, 5]

export class SharedWords {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array

  /** Of the other side's `buffer`, or of one of its own. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(24)) {
    this.buffer = buffer
    this.#words = new Int32Array(buffer)
  }

  stop(): void {
    Atomics.store(this.#words, STOP, 1)
  }

  stopped(): boolean {
    return Atomics.load(this.#words, STOP) !== 0
  }

  /** One more post of the thread is through. */
  credit(): void {
    Atomics.add(this.#words, CREDITED, 1)
  }

  credited(): number {
    return Atomics.load(this.#words, CREDITED)
  }

  /** Returns the number of this flush. */
  askForFlush(): number {
    return Atomics.add(this.#words, FLUSHES, 1) + 1
  }

  flushesAsked(): number {
    return Atomics.load(this.#words, FLUSHES)
  }

  /** A message was sent to the thread. */
  sent(): void {
    Atomics.add(this.#words, MESSAGES, 1)
  }

  /** Messages that were sent so far. */
  messages(): number {
    return Atomics.load(this.#words, MESSAGES)
  }

  /** Packets that the thread has taken or knows to be lost; counts around at 2^32. */
  setTaken(taken: number): void {
    Atomics.store(this.#words, TAKEN, taken | 0)
  }

  taken(): number {
    return Atomics.load(this.#words, TAKEN) >>> 0
  }

  setDescriptor(descriptor: number): void {
    Atomics.store(this.#words, DESCRIPTOR, descriptor + 1)
  }

  /** The thread's socket, for the one who asks first; null where it is closed. */
  takeDescriptor(): number | null {
    const descriptor = Atomics.exchange(this.#words, DESCRIPTOR, 0)
    return descriptor === 0 ? null : descriptor - 1
  }
}
