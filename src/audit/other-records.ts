// Records that are of no packet: what was lost, and what the agent has to say of itself.
//
// **Invariant:** keys stand in the order of flows/record.ts; what the message holds is printable.
import { SCHEMA, type AgentRecord, type LostRecord, type LostStage } from '../flows/record.ts'
import { printable } from '../lib/show.ts'
import { timeOf } from './records.ts'

const LONGEST_MESSAGE = 1000

/** Times: milliseconds since 1970. `name`: which sink or client; null where there is one only. */
export function lostRecord(node: string, lost: { readonly stage: LostStage; readonly name: string | null; readonly count: number; readonly first: number; readonly last: number }, now: number): LostRecord {
  const { stage, name, count, first, last } = lost
  return { schema: SCHEMA, type: 'lost', time: timeOf(now), node, stage, name, count, first: timeOf(first), last: timeOf(last) }
}

export function agentRecord(node: string, event: AgentRecord['event'], message: string, now: number): AgentRecord {
  return { schema: SCHEMA, type: 'agent', time: timeOf(now), node, event, message: printable(message, LONGEST_MESSAGE) }
}
