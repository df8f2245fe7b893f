// Before the first turn: the numbers and indexes that an earlier agent of this node gave to lists of endpoints, from the kernel.
//
// **Invariant:** where the table cannot be read numbers are made anew; sessions are balanced again then, and nothing else is lost.
import type { Kernel } from '../kernel/kernel.ts'
import { readLists } from '../ruleset/service-memory.ts'
import type { MarkLayout } from '../ruleset/marks.ts'
import { TABLE } from '../ruleset/skeleton.ts'
import type { Turns } from './turn.ts'

/** To be called before the first turn. `mark` null: Services are somebody else's. */
export async function rememberLists(kernel: Kernel, turns: Turns, mark: MarkLayout | null): Promise<void> {
  if (mark === null || turns.nat.services === null) return
  const read = await kernel.readBack(TABLE)
  if (read.kind === 'table') turns.nat.services.remember(readLists(read.state, mark))
}
