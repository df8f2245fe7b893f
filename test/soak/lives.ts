// When each end was there: what is sent to or from an end that is being replaced may get lost.
//
// **Invariant:** an end is there from the moment that its node's agent holds it, until just before it is ended.

export class Lives {
  readonly #absences = new Map<string, { readonly from: number; to: number }[]>()

  gone(end: string, at: number): void {
    const list = this.#absences.get(end) ?? []
    list.push({ from: at, to: Infinity })
    this.#absences.set(end, list)
  }

  there(end: string, at: number): void {
    const last = this.#absences.get(end)?.at(-1)
    if (last !== undefined) last.to = at
  }

  /** All the time from `from` to `to`. */
  isThere(end: string, from: number, to: number): boolean {
    return !(this.#absences.get(end) ?? []).some((absence) => absence.from <= to && from <= absence.to)
  }
}
