// Problems of pods that come and go as pods start and end are held back until they last: nothing is written of a moment.
//
// The interface of a pod that ends goes before the API says so, and on a bridge the port of one that starts comes after.
// **Invariant:** what is not a pod's is let through at once; a pod that is ending is let through never.
import { problemKey, type Problem } from '../lib/problem.ts'

const LASTING_MS = 3_000

export class Lasting {
  #since = new Map<string, number>()

  /** `isEnding`: by `namespace/name`. `againMs`: when another one will have lasted; null for none. */
  filter(problems: readonly Problem[], isEnding: (pod: string) => boolean, now: number): { readonly problems: readonly Problem[]; readonly againMs: number | null } {
    const since = new Map<string, number>()
    let againMs: number | null = null
    const lasting = problems.filter((problem) => {
      const pod = problem.code === 'NotEnforced' && problem.object.startsWith('Pod ') ? problem.object.slice('Pod '.length) : null
      if (pod === null) return true
      const began = this.#since.get(problemKey(problem)) ?? now
      since.set(problemKey(problem), began)
      if (isEnding(pod)) return false
      const left = began + LASTING_MS - now
      if (left > 0) againMs = Math.min(againMs ?? Infinity, left)
      return left <= 0
    })
    this.#since = since
    return { problems: lasting, againMs }
  }
}
