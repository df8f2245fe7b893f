// Problems that come and go by themselves are held back until they last: nothing is written of a moment.
//
// The interface of a pod that ends goes before the API says so, and on a bridge the port of one that starts comes after; an answer of
// the kernel that is lost is made up for by the next reading. **Invariant:** everything else is let through at once; of a pod that is
// ending nothing is.
import type { Problem } from '../lib/problem.ts'

const LASTING_MS = 3_000

export class Lasting {
  #since = new Map<string, number>()

  /** `isEnding`: by `namespace/name`. `againMs`: when another one will have lasted; null for none. */
  filter(problems: readonly Problem[], isEnding: (pod: string) => boolean, now: number): { readonly problems: readonly Problem[]; readonly againMs: number | null } {
    const since = new Map<string, number>()
    let againMs: number | null = null
    const lasting = problems.filter((problem) => {
      const { code, object } = problem
      const pod = code === 'NotEnforced' && object.startsWith('Pod ') ? object.slice('Pod '.length) : null
      if (pod === null && code !== 'KernelUnknown') return true
      const key = `${code} ${object}`
      const began = this.#since.get(key) ?? now
      since.set(key, began)
      if (pod !== null && isEnding(pod)) return false
      const left = began + LASTING_MS - now
      if (left > 0) againMs = Math.min(againMs ?? Infinity, left)
      return left <= 0
    })
    this.#since = since
    return { problems: lasting, againMs }
  }
}
