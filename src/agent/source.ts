// Where the cluster's objects come from, by the config: a folder of manifests or the API server, as events for the inbox.
//
// The first stage of the flow, behind one face. **Invariant:** rows and problems are the same for both, and every kind that
// is not the kernel's own is synced by whichever is open.
import type { AgentConfig } from '../settings.ts'
import { decodeObject, objectKindOf, type DecodedObject, type ObjectKind } from '../decode/decode.ts'
import type { ClusterState } from '../kube/source.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import type { ManifestEvent } from '../manifests/catalog.ts'
import { watchManifests, type Covers } from '../manifests/watch.ts'
import type { SourceEvent } from '../model/changes.ts'

export interface SourceListener {
  readonly onEvents: (events: readonly SourceEvent[]) => void
  /** All problems of now, but for those of objects, which come with their rows. */
  readonly onProblems: (problems: readonly Problem[]) => void
  /** Of a folder, after the events: what was read. */
  readonly onCovers: (covers: Covers) => void
}

export interface ObjectSource {
  /** Null of a folder. */
  cluster(): ClusterState | null
  /** What is waited for before everything is synced. */
  missing(): string
  close(): Promise<void>
}

const KINDS: readonly ObjectKind[] = ['namespace', 'node', 'pod', 'policy', 'service', 'slice']
/** Of the Service NAT. Where that is somebody else's they are not read, and count as synced with none. */
const OF_SERVICES: readonly ObjectKind[] = ['service', 'slice']

/** Throws a PicketError where the source cannot work, before anything is started. A folder is looked at when it is opened. */
export async function checkSource({ source }: AgentConfig, clock: Clock): Promise<void> {
  if (source.kind === 'manifests') return
  const { checkAccess } = await import('../kube/source.ts')
  await checkAccess(source, clock)
}

export async function openSource({ source, serviceProxy }: Pick<AgentConfig, 'source' | 'serviceProxy'>, clock: Clock, listener: SourceListener): Promise<ObjectSource> {
  const unread = serviceProxy === 'picket' ? [] : OF_SERVICES
  if (source.kind === 'manifests') return openManifests(source.directory, unread, listener)
  // Loaded only where it is used: the Kubernetes client is large.
  const [{ watchCluster }, { RESOURCES }] = await Promise.all([import('../kube/source.ts'), import('../kube/resources.ts')])
  const resources = RESOURCES.filter(({ rows }) => !unread.includes(rows))
  if (unread.length > 0) listener.onEvents(unread.map((kind) => ({ verb: 'synced', kind })))
  const cluster = await watchCluster({ access: source, clock, resources, onEvents: listener.onEvents, onProblems: listener.onProblems })
  const unsynced = (): readonly string[] => cluster.state().resources.filter(({ synced }) => !synced).map(({ resource }) => resource)
  return {
    cluster: () => cluster.state(),
    missing: () => `waiting for the API server: ${unsynced().join(', ')} not read yet`,
    close: () => cluster.close(),
  }
}

async function openManifests(directory: string, unread: readonly ObjectKind[], listener: SourceListener): Promise<ObjectSource> {
  const watch = await watchManifests(directory, {
    onBatch: ({ events, problems, covers }) => {
      listener.onEvents(events.flatMap((event) => fromManifest(event, unread)))
      listener.onProblems(problems)
      listener.onCovers(covers)
    },
  })
  return { cluster: () => null, missing: () => 'waiting for the first complete reading of the sources', close: () => watch.close() }
}

export function fromManifest(event: ManifestEvent, unread: readonly ObjectKind[] = []): readonly SourceEvent[] {
  if (event.verb === 'synced') return KINDS.map((kind) => ({ verb: 'synced', kind }))
  if (event.verb === 'delete') {
    const kind = objectKindOf(event.kind)
    return kind === null || unread.includes(kind) ? [] : [{ verb: 'delete', kind, key: event.uid }]
  }
  const { kind, value, uid, source, order } = event.object
  const decoded = decodeObject(kind, value, uid, source)
  return decoded === null || unread.includes(decoded.kind) ? [] : [{ verb: 'upsert', key: uid, kind: decoded.kind, decoded: ordered(decoded, order) } as SourceEvent]
}

/** Manifests seldom say when an object was created; the order in which they came tells who owns an address (rule 94). */
function ordered({ decoded }: DecodedObject, order: number): DecodedObject['decoded'] {
  if (decoded.kind === 'bad' || !('createdAt' in decoded.row) || 'generation' in decoded.row || decoded.row.createdAt !== 0) return decoded
  return { ...decoded, row: Object.freeze({ ...decoded.row, createdAt: order }) } as DecodedObject['decoded']
}
