// How a thread that never leaves a blocking receive is spoken to: two words of shared memory.
//
// Made by whoever starts the thread, and handed to it. **Invariant:** both sides only count up; nothing waits for an answer.

const STOP = 0
const RESYNCS = 1

export class WorkerControl {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array
  #resyncsSeen = 0

  /** Of the other side's `buffer`, or of one of its own. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.buffer = buffer
    this.#words = new Int32Array(buffer)
  }

  /** Tells the thread to end; a sleeping one wakes up for it. */
  stop(): void {
    Atomics.store(this.#words, STOP, 1)
    Atomics.notify(this.#words, STOP)
  }

  askForResync(): void {
    Atomics.add(this.#words, RESYNCS, 1)
  }

  stopped(): boolean {
    return Atomics.load(this.#words, STOP) !== 0
  }

  /** True once for whatever was asked since the last call. */
  resyncAsked(): boolean {
    const asked = Atomics.load(this.#words, RESYNCS)
    const isNew = asked !== this.#resyncsSeen
    this.#resyncsSeen = asked
    return isNew
  }

  /** Blocks the calling thread, until it is told to stop at the longest. */
  sleep(milliseconds: number): void {
    Atomics.wait(this.#words, STOP, 0, milliseconds)
  }
}
