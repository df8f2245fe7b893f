// Whether every commit of nf_tables was heard: the kernel numbers them, all tables' together, so one that was not told shows.
//
// A gap shows at the next notification; where none comes, whoever listens asks the kernel how far it is. A commit counts
// before it is told, so that only what is missing at two questions in a row was missed.
// **Invariant:** what is not told is noticed, at the latest by the second question; what is told late is no gap.

export class Generations {
  /** The newest that was told; null while nothing is known. */
  #told: number | null = null
  /** How far the kernel was at the last question, where that was not told by then. */
  #awaited: number | null = null

  /** A commit was told. True: one before it was not. */
  tell(generation: number): boolean {
    const ahead = this.#ahead(generation)
    if (ahead === 0) return false
    this.#told = generation
    return ahead > 1
  }

  /** The kernel says that it is there, and everything that it told until then was read. */
  ask(generation: number): 'heard' | 'awaited' | 'missed' {
    const missed = this.#awaited !== null && this.#ahead(this.#awaited) > 0
    const behind = this.#told !== null && this.#ahead(generation) > 0
    this.#awaited = !missed && behind ? generation : null
    if (missed || this.#told === null) this.#told = generation
    return missed ? 'missed' : behind ? 'awaited' : 'heard'
  }

  /** Something was lost, and is known to be: counting begins anew. */
  forget(): void {
    this.#told = null
    this.#awaited = null
  }

  /** 0 for what is not newer; numbers begin anew behind 32 bits. */
  #ahead(generation: number): number {
    if (this.#told === null) return 1
    const ahead = (generation - this.#told) >>> 0
    return ahead < 0x8000_0000 ? ahead : 0
  }
}
