// What keeps connections from being cut, or from staying cut, as problems that users read.
//
// **Invariant:** each says what happens to connections meanwhile.
import type { Problem } from '../lib/problem.ts'

export function notCut(message: string): Problem {
  return {
    code: 'NotCut',
    severity: 'error',
    object: 'established connections',
    message: `${message}; connections that lost their permission may go on receiving until it succeeds, and it is tried again`,
  }
}

export function noRoom(count: number): Problem {
  return {
    code: 'CutForgotten',
    severity: 'warning',
    object: 'established connections',
    message: `the set of cut connections is full: ${count} that were silent for longest were taken out of it, and may go on should they speak again`,
  }
}
