// Codes for the lengths of endpoint lists that are in use: the mark has room for few, and a list may be of any length.
//
// **Invariant:** one length has one code while any list has it; the code is the length itself where it fits and is free.
import type { SizeCode } from './plan.ts'

export class SizeCodes {
  readonly #most: number
  readonly #bySize = new Map<number, { readonly code: SizeCode; users: number }>()
  readonly #taken = new Set<SizeCode>()

  /** Codes are 1 to `most`. */
  constructor(most: number) {
    this.#most = most
  }

  /** Null where no code is left. */
  take(size: number): SizeCode | null {
    const known = this.#bySize.get(size)
    if (known !== undefined) {
      known.users += 1
      return known.code
    }
    const code = size <= this.#most && !this.#taken.has(size) ? size : this.#free()
    if (code === null) return null
    this.#bySize.set(size, { code, users: 1 })
    this.#taken.add(code)
    return code
  }

  /** Whether its code is free now. */
  giveBack(size: number): boolean {
    const known = this.#bySize.get(size)
    if (known === undefined) return false
    known.users -= 1
    if (known.users > 0) return false
    this.#bySize.delete(size)
    this.#taken.delete(known.code)
    return true
  }

  /** From the top, so that small lengths find their own code free. */
  #free(): SizeCode | null {
    for (let code = this.#most; code >= 1; code--) if (!this.#taken.has(code)) return code
    return null
  }
}
