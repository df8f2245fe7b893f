// A folder of manifests as explain takes it: as an agent reads it; where pods have no addresses, completed as the lab does it.
//
// What people write has no status: nodes, addresses and EndpointSlices are a cluster's to give. The lab's control plane gives them.
// **Invariant:** what the folder says is kept, and what was made up is told.
import { fromManifest, openSource } from '../agent/source.ts'
import { ControlPlane } from '../lab/control-plane.ts'
import { SourceFolder } from '../lab/source-folder.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { Catalog } from '../manifests/catalog.ts'
import { readDocuments } from '../manifests/documents.ts'
import { readObjects } from '../manifests/objects.ts'
import type { RowOf, SourceEvent } from '../model/changes.ts'
import { isPeer } from '../model/policy.ts'

export interface Folder {
  readonly events: readonly SourceEvent[]
  /** Of files; those of objects come with their rows. */
  readonly problems: readonly Problem[]
  /** What the answer rests on besides the folder, for people. */
  readonly notes: readonly string[]
}

/** As an agent reads it. */
export async function readFolder(directory: string, clock: Clock): Promise<Folder> {
  const events: SourceEvent[] = []
  let problems: readonly Problem[] = []
  const source = await openSource({ source: { kind: 'manifests', directory }, serviceProxy: 'picket' }, clock, {
    onEvents: (more) => events.push(...more),
    onProblems: (now) => {
      problems = now
    },
    onCovers: () => undefined,
  })
  await source.close()
  return { events, problems, notes: [] }
}

export async function readCompletedFolder(directory: string, clock: Clock): Promise<Folder> {
  const folder = await readFolder(directory, clock)
  const lacking = rowsOf(folder.events, 'pod').filter((pod) => isPeer(pod) && pod.addresses.length === 0)
  if (lacking.length === 0) return folder
  const decided = new ControlPlane(nodesOf(folder.events), () => 0).decide(await new SourceFolder(directory).read())
  const catalog = new Catalog()
  for (const [file, text] of decided.wanted.files) catalog.setFile(file, readObjects(file, await readDocuments(text)))
  const { events, problems } = catalog.settle()
  const who = lacking.length === 1 ? '1 pod of the folder has no address: it' : `${lacking.length} pods of the folder have no addresses: they`
  return { events: events.flatMap((event) => fromManifest(event)), problems, notes: [`${who} got made-up ones, and an ipBlock is judged by these; Services without EndpointSlices got some by their selectors`] }
}

/** Those that the folder names; where it names none, two. */
function nodesOf(events: readonly SourceEvent[]): ConstructorParameters<typeof ControlPlane>[0] {
  const nodes = new Map(rowsOf(events, 'node').map(({ name, addresses }) => [name, addresses]))
  for (const { node } of rowsOf(events, 'pod')) if (node !== null && !nodes.has(node)) nodes.set(node, [])
  if (nodes.size === 0) for (const name of ['node1', 'node2']) nodes.set(name, [])
  return [...nodes].map(([name, addresses]) => ({ name, netns: '', addresses }))
}

function rowsOf<K extends 'pod' | 'node'>(events: readonly SourceEvent[], kind: K): readonly RowOf[K][] {
  return events.flatMap((event) => (event.kind === kind && event.verb === 'upsert' && event.decoded.kind === 'good' ? [event.decoded.row as RowOf[K]] : []))
}
