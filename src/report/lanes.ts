// Who is written first of those that may be: what was just edited, then other transitions, then counts; each in order of arrival.
//
// **Invariant:** every lane moves: each fourth turn begins with the second one, each eighth with the last.
import type { Need } from './desired.ts'

export type Lane = 'edited' | 'transitions' | 'counts'

const USUAL: readonly Lane[] = ['edited', 'transitions', 'counts']
const FOURTH: readonly Lane[] = ['transitions', 'edited', 'counts']
const EIGHTH: readonly Lane[] = ['counts', 'transitions', 'edited']

export function laneOf(kind: Exclude<Need['kind'], 'nothing'>, urgent: boolean): Lane {
  if (kind === 'counts') return 'counts'
  return urgent ? 'edited' : 'transitions'
}

export class Lanes {
  readonly #keys: Readonly<Record<Lane, Set<string>>> = { edited: new Set(), transitions: new Set(), counts: new Set() }
  #turn = 0

  get size(): number {
    return this.#keys.edited.size + this.#keys.transitions.size + this.#keys.counts.size
  }

  has(key: string, lane: Lane): boolean {
    return this.#keys[lane].has(key)
  }

  /** Behind those that are there; it stands in no other lane. */
  add(key: string, lane: Lane): void {
    this.#keys[lane].add(key)
  }

  remove(key: string): void {
    for (const lane of USUAL) this.#keys[lane].delete(key)
  }

  /** Whose turn it is; null for nobody. */
  take(): string | null {
    this.#turn += 1
    const order = this.#turn % 8 === 0 ? EIGHTH : this.#turn % 4 === 0 ? FOURTH : USUAL
    for (const lane of order) {
      for (const key of this.#keys[lane]) {
        this.#keys[lane].delete(key)
        return key
      }
    }
    return null
  }
}
