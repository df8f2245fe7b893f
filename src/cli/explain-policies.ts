// Policies that are not there yet, as `picket explain --policies` takes them: a folder's, put among the objects that are there.
//
// **Invariant:** what cannot be read of them is an error, never an answer without it; nothing else of the folder counts.
import type { Clock } from '../lib/clock.ts'
import { PicketError } from '../lib/errors.ts'
import { formatProblem } from '../lib/problem.ts'
import type { Decoded, SourceEvent } from '../model/changes.ts'
import type { Uid } from '../model/objects.ts'
import type { Policy } from '../model/policy.ts'
import { readFolder } from './explain-folder.ts'

/** The same objects with the folder's policies: new ones, and others in place of those of the same name. */
export async function readPolicies(directory: string, clock: Clock, before: readonly SourceEvent[]): Promise<readonly SourceEvent[]> {
  const { events, problems } = await readFolder(directory, clock)
  const [fault] = problems.filter(({ severity }) => severity === 'error')
  if (fault !== undefined) throw new PicketError('UnreadablePolicies', `--policies: ${formatProblem(fault)}; correct the file and ask again`)
  const upserts = events.filter((event) => event.verb === 'upsert' && event.kind === 'policy')
  if (upserts.length === 0) throw new PicketError('NoPolicies', `--policies ${directory}: there is no NetworkPolicy in it; expected a folder of YAML or JSON files with some`)
  const known = namesOf(before)
  const replaced = [...namesOf(upserts).keys()].flatMap((name) => known.get(name) ?? [])
  return [...before, ...replaced.map((key): SourceEvent => ({ verb: 'delete', kind: 'policy', key })), ...upserts]
}

/** `shop/web` -> its UID. */
function namesOf(events: readonly SourceEvent[]): ReadonlyMap<string, Uid> {
  const names = new Map<string, Uid>()
  const take = (key: Uid, decoded: Decoded<Policy>): void => {
    const row = decoded.kind === 'good' ? decoded.row : decoded.strict
    if (row !== null) names.set(`${row.namespace}/${row.name}`, key)
  }
  for (const event of events) {
    if (event.kind !== 'policy') continue
    if (event.verb === 'upsert') take(event.key, event.decoded)
    if (event.verb === 'replace') for (const [key, decoded] of event.rows) take(key, decoded)
  }
  return names
}
