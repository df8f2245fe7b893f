// Which of many things is due next: each key has one time, which may be changed.
//
// A binary heap; an entry whose key has another time by now is passed over when its turn comes.
// **Invariant:** setting, removing and taking cost the logarithm of what is held, and what is passed over is never more than that.

interface Entry {
  readonly at: number
  readonly key: string
}

export class Timetable {
  readonly #times = new Map<string, number>()
  #heap: Entry[] = []

  get size(): number {
    return this.#times.size
  }

  /** With those that are passed over. */
  get held(): number {
    return this.#heap.length
  }

  set(key: string, at: number): void {
    if (this.#times.get(key) === at) return
    this.#times.set(key, at)
    this.#push({ at, key })
    if (this.#heap.length > 2 * this.#times.size + 64) this.#sweep()
  }

  remove(key: string): void {
    this.#times.delete(key)
  }

  /** The earliest time; Infinity for none. */
  next(): number {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined) return Infinity
      if (this.#times.get(first.key) === first.at) return first.at
      this.#pop()
    }
  }

  /** The key that is due first, if it is by `now`; it is no longer in the table. */
  take(now: number): string | null {
    if (this.next() > now) return null
    const { key } = this.#heap[0] as Entry
    this.#pop()
    this.#times.delete(key)
    return key
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let i = heap.push(entry) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if ((heap[parent] as Entry).at <= entry.at) break
      heap[i] = heap[parent] as Entry
      i = parent
    }
    heap[i] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let i = 0
    for (;;) {
      const left = 2 * i + 1
      if (left >= heap.length) break
      const child = left + 1 < heap.length && (heap[left + 1] as Entry).at < (heap[left] as Entry).at ? left + 1 : left
      if ((heap[child] as Entry).at >= last.at) break
      heap[i] = heap[child] as Entry
      i = child
    }
    heap[i] = last
  }

  #sweep(): void {
    const times = [...this.#times]
    this.#heap = []
    for (const [key, at] of times) this.#push({ key, at })
  }
}
