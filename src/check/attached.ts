// The pods of a node, as the API names them, against its interfaces: whom nothing leads to that Picket could enforce at.
//
// **Invariant:** the plan decides as it does on the node; what only it can know there (what is behind a bridge's port) is not asked.
import type { HostInterface, Node, Pod } from '../model/objects.ts'
import type { SourceEvent } from '../model/changes.ts'
import { compile, type Compiled } from './compiled.ts'
import { error, named, type Finding } from './finding.ts'

/** Nothing where all are attached. */
export function unattached(node: string, cluster: Compiled, links: readonly HostInterface[]): readonly Finding[] {
  const { pods, nodes } = cluster.snapshot
  const events = [
    ...[...nodes.where('name', node)].map((row) => upsert('node', row.uid, row)),
    ...[...pods.where('node', node)].map((row) => upsert('pod', row.uid, row)),
    ...links.map((row) => upsert('interface', String(row.index), row)),
  ]
  const lost = compile(events, node).problems.flatMap(({ code, object }) => (code === 'NotEnforced' && object.startsWith('Pod ') ? [object.slice('Pod '.length)] : []))
  if (lost.length === 0) return []
  return [error('attachment', `no interface with a route and no bridge leads to ${named(lost)} (macvlan, ipvlan, SR-IOV, eBPF?)`, 'policies would not hold for them: attach pods by a veth with routes, or a bridge')]
}

function upsert(kind: 'node' | 'pod' | 'interface', key: string, row: Node | Pod | HostInterface): SourceEvent {
  return { verb: 'upsert', kind, key, decoded: { kind: 'good', row, problems: [] } } as SourceEvent
}
