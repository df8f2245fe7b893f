// One end of a flow: by the interface where that is a local pod's own, else by its address -> what the record says of it.
//
// **Invariant:** where it may have been several, only what is true of all of them is said, and it is marked.
import type { Address } from '../model/ip.ts'
import type { Pod, Protocol } from '../model/objects.ts'
import type { FlowEnd, FlowRecord } from '../flows/record.ts'
import type { AuditHistory, Owner } from './history.ts'
import type { Span } from './moments.ts'
import { workloadOf } from './pod-words.ts'

export type Undecided = FlowRecord['undecided'][number]['why']

export interface FoundEnd {
  readonly end: FlowEnd
  readonly why: Undecided | null
  /** It is known who it was, and not with which labels. */
  readonly areLabelsOpen: boolean
  /** Null: it is none, or not known which. */
  readonly pod: Pod | null
}

export interface EndQuestion {
  readonly address: Address
  /** 0: none. */
  readonly interface: number
  /** Of the destination; null of the source, and where there is no port. */
  readonly at: { readonly protocol: Protocol; readonly port: number } | null
  readonly span: Span
}

const OUTSIDE: FlowEnd = Object.freeze({ kind: 'external', namespace: null, pod: null, uid: null, node: null, workload: null, labels: Object.freeze({}), labels_omitted: 0 })
const NOBODY: FoundEnd = Object.freeze({ end: OUTSIDE, why: null, areLabelsOpen: false, pod: null })

export function endOf(history: AuditHistory, { address, interface: index, at, span }: EndQuestion): FoundEnd {
  if (history.isTooOld(span)) return { ...NOBODY, why: 'unresolved' }
  const behind: readonly Owner[] = history.behind(index, span).map((pod) => ({ kind: 'pod', pod }))
  const owners = behind.length > 0 ? behind : history.ownersOf(address, at, span)
  const [owner, ...others] = owners
  if (owner === undefined) return NOBODY
  if (behind.length === 0 && owners.some(({ kind }) => kind !== 'external') && history.isSomebodys(index)) return { ...NOBODY, why: 'ambiguous' }
  if (others.length === 0) return owner.kind === 'external' ? NOBODY : { ...NOBODY, end: saidOf(owner), pod: owner.kind === 'pod' ? owner.pod : null }
  const ends = owners.map(saidOf)
  const isOne = ends.every(({ kind, uid }) => kind === ends[0]?.kind && uid === ends[0].uid && uid !== null)
  const end = ends.reduce(common)
  const areLabelsOpen = isOne && ends.some(({ labels }) => Object.keys(labels).length !== Object.keys(end.labels).length)
  return { end, why: isOne ? null : 'ambiguous', areLabelsOpen, pod: isOne && owner.kind === 'pod' ? owner.pod : null }
}

function saidOf(owner: Owner): FlowEnd {
  switch (owner.kind) {
    case 'pod': {
      const { namespace, name, uid, node, labels } = owner.pod
      return { kind: 'pod', namespace, pod: name, uid, node, workload: workloadOf(owner.pod), labels: Object.fromEntries(labels), labels_omitted: 0 }
    }
    case 'node':
      return { ...OUTSIDE, kind: 'node', pod: owner.node.name, uid: owner.node.uid, node: owner.node.name }
    case 'service':
      return { ...OUTSIDE, kind: 'service', namespace: owner.service.namespace, uid: owner.service.uid }
    case 'external':
      return OUTSIDE
  }
}

/** `external` where even the kind is open. */
function common(a: FlowEnd, b: FlowEnd): FlowEnd {
  const isSameWork = a.workload?.kind === b.workload?.kind && a.workload?.name === b.workload?.name
  return {
    kind: a.kind === b.kind ? a.kind : 'external',
    namespace: a.namespace === b.namespace ? a.namespace : null,
    pod: a.pod === b.pod ? a.pod : null,
    uid: a.uid === b.uid ? a.uid : null,
    node: a.node === b.node ? a.node : null,
    workload: isSameWork ? a.workload : null,
    labels: Object.fromEntries(Object.entries(a.labels).filter(([key, value]) => Object.hasOwn(b.labels, key) && b.labels[key] === value)),
    labels_omitted: 0,
  }
}
