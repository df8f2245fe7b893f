// What turns planned, kept by revision until the kernel holds it.
//
// **Invariant:** each is given out once, in the order in which it was planned, and not before the kernel holds its revision.
import type { Revision } from '../model/changes.ts'

export class UntilHeld<T> {
  #planned: { readonly revision: Revision; readonly what: T }[] = []

  planned(revision: Revision, what: T): void {
    this.#planned.push({ revision, what })
  }

  /** Takes out what the kernel holds now. */
  held(revision: Revision): readonly T[] {
    const held = this.#planned.filter((one) => one.revision <= revision)
    this.#planned = this.#planned.filter((one) => one.revision > revision)
    return held.map(({ what }) => what)
  }

  /** What it does not hold yet. */
  waiting(): readonly T[] {
    return this.#planned.map(({ what }) => what)
  }
}
