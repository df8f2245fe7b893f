// Who is answered right now, while a round of the cutter lasts: those connections are judged first.
//
//   addresses of the pods into under-review -> packets note the connections of their replies in `replied` -> taken out
//   of it every few milliseconds, and told -> at the end both are empty
//
// A long table of conntrack takes the kernel hundreds of milliseconds to tell, and most of what it tells is silent.
// **Invariant:** it only hurries: whatever it does not tell, or fails at, the dump tells.
import { KEY_LENGTH, type FlowKey } from '../kernel/conntrack-flows.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import { replied, underReview } from '../ruleset/names.ts'
import { TABLE } from '../ruleset/skeleton.ts'
import { splitKeys } from './cut-flows.ts'

export interface ReviewOptions {
  readonly kernel: Kernel
  readonly clock: Clock
  /** Of pods, 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[]
  /** Connections as their clients send, whose servers answered since the last call. */
  readonly onReplied: (keys: readonly FlowKey[]) => Promise<void>
}

const PAUSE_MS = 8
const MOST_ADDRESSES = 1_024

export class Review {
  readonly #options: ReviewOptions
  #ended = false
  #running: Promise<void> = Promise.resolve()
  #wake: () => void = () => undefined

  constructor(options: ReviewOptions) {
    this.#options = options
  }

  begin(): void {
    if (this.#options.addresses.length > 0) this.#running = this.#run()
  }

  /** Resolves with nothing left in the sets, but for what a packet that is on its way puts in: that expires. */
  async end(): Promise<void> {
    this.#ended = true
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    const { kernel } = this.#options
    const begun = await kernel.changeElements(TABLE, this.#families().map(({ family, keys }) => ({ verb: 'add' as const, set: underReview(family), keys, keyLength: family === 4 ? 4 : 16 })))
    while (begun.kind === 'acknowledged' && !this.#ended) {
      await this.#pause(PAUSE_MS)
      await this.#look()
    }
    const emptied = FAMILIES.flatMap((family) => [underReview(family), replied(family)])
    await kernel.changeElements(TABLE, emptied.map((set) => ({ verb: 'flush' as const, set, keys: new Uint8Array(), keyLength: 0 })))
  }

  async #look(): Promise<void> {
    const families = this.#families().map(({ family }) => family)
    const taken = await this.#options.kernel.takeElements(TABLE, families.map((family) => ({ set: replied(family), keyLength: KEY_LENGTH[family], quietest: null })))
    const keys = (taken ?? []).flatMap((bytes, i) => splitKeys(bytes, families[i] as Family))
    if (keys.length > 0) await this.#options.onReplied(keys)
  }

  #families(): readonly { readonly family: Family; readonly keys: Uint8Array }[] {
    return FAMILIES.flatMap((family) => {
      const own = this.#options.addresses.filter(({ length }) => length === (family === 4 ? 4 : 16)).slice(0, MOST_ADDRESSES)
      return own.length === 0 ? [] : [{ family, keys: new Uint8Array(Buffer.concat(own)) }]
    })
  }

  async #pause(ms: number): Promise<void> {
    if (this.#ended) return
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }
}
