// The pods of a node, as the API names them, against its interfaces: whom nothing leads to that Picket could enforce at.
//
// **Invariant:** the plan decides as it does on the node; what only it can know there (what is behind a bridge's port) is not
// asked, and a pod that has changed since it was listed is left out.
import { decodeObject } from '../decode/decode.ts'
import { getObject } from '../kube/objects.ts'
import type { Transport } from '../kube/transport.ts'
import type { HostInterface, Node, Pod } from '../model/objects.ts'
import type { SourceEvent } from '../model/changes.ts'
import { compile, type Compiled } from './compiled.ts'
import { error, named, type Finding } from './finding.ts'

/** As many are asked about again: that they are many says enough. */
const MOST_ASKED = 20

/** Nothing where all are attached. */
export async function unattached(transport: Transport, node: string, cluster: Compiled, links: readonly HostInterface[], signal: AbortSignal): Promise<readonly Finding[]> {
  const pods = unled(node, cluster, links).slice(0, MOST_ASKED)
  const still = await Promise.all(pods.map((pod) => isAsItWas(transport, pod, signal)))
  const lost = pods.filter((_, i) => still[i]).map(({ namespace, name }) => `${namespace}/${name}`)
  if (lost.length === 0) return []
  return [error('attachment', `no interface with a route and no bridge leads to ${named(lost)} (macvlan, ipvlan, SR-IOV, eBPF?)`, 'policies would not hold for them: attach pods by a veth with routes, or a bridge')]
}

function unled(node: string, cluster: Compiled, links: readonly HostInterface[]): readonly Pod[] {
  const { pods, nodes } = cluster.snapshot
  const here = [...pods.where('node', node)]
  const events = [
    ...[...nodes.where('name', node)].map((row) => upsert('node', row.uid, row)),
    ...here.map((row) => upsert('pod', row.uid, row)),
    ...links.map((row) => upsert('interface', String(row.index), row)),
  ]
  const lost = new Set(compile(events, node).problems.flatMap(({ code, object }) => (code === 'NotEnforced' ? [object] : [])))
  return here.filter(({ namespace, name }) => lost.has(`Pod ${namespace}/${name}`))
}

/** It was listed before its node was looked at. */
async function isAsItWas(transport: Transport, pod: Pod, signal: AbortSignal): Promise<boolean> {
  const path = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`
  // Where it cannot be asked about, what was listed stands.
  const raw = await getObject(transport, { plural: 'pods', group: '', path }, signal).catch(() => undefined)
  if (raw === undefined) return true
  const read = raw === null ? undefined : decodeObject('Pod', raw, pod.uid)
  if (read?.kind !== 'pod' || read.decoded.kind !== 'good') return false
  const { finished, terminating, addresses } = read.decoded.row
  return !finished && !terminating && addresses.join() === pod.addresses.join()
}

function upsert(kind: 'node' | 'pod' | 'interface', key: string, row: Node | Pod | HostInterface): SourceEvent {
  return { verb: 'upsert', kind, key, decoded: { kind: 'good', row, problems: [] } } as SourceEvent
}
