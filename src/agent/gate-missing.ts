// Whether this node's plan has a pod that is being started, and if not, what is missing, in words.
//
// **Invariant:** null only if the pod's labels and its namespace are known, and every address that it was given leads, by the
// plan of now, through what its plugins made for it and to nobody else.
import type { Address } from '../model/ip.ts'
import type { Pod } from '../model/objects.ts'
import type { Attachment, HostKey } from '../policy/plan.ts'
import type { PolicyPlan } from '../policy/step.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { GateEntry } from './gate-request.ts'

export interface Known {
  readonly nodeName: string
  readonly plan: PolicyPlan
  readonly snapshot: Snapshot
  /** As the source says it; null where it has not told of it. */
  readonly row: Pod | null
}

export function titleOf({ namespace, name }: GateEntry): string {
  return `pod ${namespace}/${name}`
}

/** Why it never will be; null where it may. */
export function hopeless(entry: GateEntry, row: Pod | null): string | null {
  if (row?.finished === true) return `${titleOf(entry)} is finished, as the API server says: it gets no sandbox`
  if (row?.hostNetwork === true) return `${titleOf(entry)} is in the node's own network, as the API server says: no address can be given to it`
  return null
}

export function missingOf(entry: GateEntry, { nodeName, plan, snapshot, row }: Known): string | null {
  if (row === null) return untold(entry, nodeName, snapshot)
  if (!some(snapshot.namespaces.where('name', row.namespace))) return `the API server has not told of namespace ${row.namespace} yet`
  const effective = snapshot.pods.get(row.uid)
  const attachment = plan.locals.get(row.uid)?.attachment
  if (effective === undefined || attachment === undefined) return 'the next turn has not begun yet'
  if (attachment.closed) return "the kernel refuses what is written for it, so that it is closed: see the problems in picket's status"
  for (const address of entry.addresses) {
    if (!effective.addresses.includes(address)) return `its address ${address} counts as another pod's`
    const missing = notLed(address, entry, attachment, plan, snapshot)
    if (missing !== null) return missing
  }
  return null
}

function untold(entry: GateEntry, nodeName: string, snapshot: Snapshot): string {
  const elsewhere = entry.uid === null ? undefined : snapshot.pods.get(entry.uid)?.node
  if (elsewhere === undefined) return 'the API server has not told of it yet'
  if (elsewhere === null) return 'the API server has not told yet that it is bound to this node'
  return `the API server says that it is bound to node ${elsewhere}, and this agent is node ${nodeName}'s: check its --node-name`
}

function notLed(address: Address, entry: GateEntry, attachment: Attachment, plan: PolicyPlan, snapshot: Snapshot): string | null {
  const keys = attachment.by.filter((key) => key.address === address)
  const made = entry.hostInterfaces.filter((name) => some(snapshot.interfaces.where('name', name)))
  const expected = made.length === 0 ? 'an interface of a pod\'s kind' : made.join(' or ')
  if (keys.length === 0) return `nothing on this node leads to its address ${address}: expected a host route to it on ${expected}, or a bridge (macvlan, ipvlan and SR-IOV pods cannot be enforced)`
  const led = keys.filter((key) => key.via === 'address' || made.length === 0 || made.includes(key.interface))
  if (led.length === 0) return `its address ${address} leads to ${keys.map(nameOf).join(', ')} still, and not to ${expected}, which was made for it`
  if (led.every((key) => key.via === 'address' && key.port === null)) return `the port of the bridge behind which its address ${address} is was not found yet`
  const shared = led.find((key) => key.via === 'interface' && plan.behind(key.interface).size > 1)
  return shared === undefined ? null : `another pod is behind ${nameOf(shared)}, too`
}

function nameOf(key: HostKey): string {
  return key.via === 'interface' ? key.interface : `a port of ${key.port?.bridge ?? 'a bridge'}`
}

function some(rows: Iterable<unknown>): boolean {
  for (const _ of rows) return true
  return false
}
