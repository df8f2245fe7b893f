// The policies that are summarised, and what each of them holds: selectors, ipBlocks, its pods by node, its way to the DNS.
//
// **Invariant:** a policy's places and DNS pods are the members of its podSelector now; what two policies hold in common is held once,
// and let go with the last of them.
import type { Condition } from '../crd/shared.ts'
import { keyOf } from '../lib/names.ts'
import type { Changes } from '../model/changes.ts'
import type { Pod, PodUid, PolicyUid } from '../model/objects.ts'
import type { Policy } from '../model/policy.ts'
import type { SelectorId } from '../model/selector.ts'
import type { SelectorIndex } from '../selectors/index.ts'
import { DnsReach } from './dns.ts'
import type { PolicyVersion } from './first-seen.ts'
import { HostPods } from './host-pods.ts'
import { partsOf, selectorsIn, type Block, type PolicyParts } from './parts.ts'
import { Places } from './places.ts'
import { ServiceBlocks } from './service-blocks.ts'
import { WatchedSelectors } from './watched.ts'

export interface Entry {
  policy: Policy
  parts: PolicyParts
  version: PolicyVersion
  places: Places
  conditions: readonly Condition[]
}

export class PolicyBook {
  readonly watched = new WatchedSelectors()
  readonly hosts = new HostPods()
  readonly blocks = new ServiceBlocks()
  readonly dns = new DnsReach()
  readonly #entries = new Map<PolicyUid, Entry>()
  readonly #bySelected = new Map<SelectorId, Set<Entry>>()
  readonly #byName = new Map<string, Set<Entry>>()
  readonly #byNode = new Map<string, Set<Entry>>()

  get(uid: PolicyUid): Entry | undefined {
    return this.#entries.get(uid)
  }

  /** Of several with one name, all: the old one's deletion may be seen after its successor. */
  named(namespace: string, name: string): Iterable<Entry> {
    return this.#byName.get(keyOf({ namespace, name })) ?? []
  }

  /** The policies with pods on a node. */
  on(node: string): ReadonlySet<Entry> {
    return this.#byNode.get(node) ?? NONE
  }

  open(policy: Policy, version: PolicyVersion, index: SelectorIndex): Entry {
    const entry: Entry = { policy, parts: partsOf(policy), version, places: new Places(), conditions: [] }
    this.#entries.set(policy.uid, entry)
    add(this.#byName, keyOf(policy), entry)
    this.#hold(entry, index)
    this.#enter(entry)
    return entry
  }

  close(entry: Entry, index: SelectorIndex): void {
    this.#entries.delete(entry.policy.uid)
    remove(this.#byName, keyOf(entry.policy), entry)
    this.#exit(entry)
    this.#letGo(entry.policy.uid, entry.parts, NOTHING_KEPT, index)
  }

  /** Another row of the same policy. */
  replace(entry: Entry, policy: Policy, index: SelectorIndex): void {
    const before = entry.parts
    this.#exit(entry)
    entry.policy = policy
    entry.parts = partsOf(policy)
    // What stays is not let go in between: its members would be counted anew.
    this.#hold(entry, index)
    this.#letGo(policy.uid, before, entry.parts, index)
    this.#enter(entry)
  }

  /** Pods that selectors gained, lost or know another row of; what is called for each policy and node: whether the node is new or gone there. */
  move(moved: ReadonlyMap<SelectorId, Changes<PodUid, Pod>>, onMove: (entry: Entry, node: string | null, isAnother: boolean) => void): void {
    for (const [id, changes] of moved) {
      for (const entry of this.#bySelected.get(id) ?? []) {
        for (const [uid, { before, after }] of changes) {
          if (before === null) this.dns.join(entry.policy.uid, uid)
          if (after === null) this.dns.leave(entry.policy.uid, uid)
          if (before !== null && after !== null && before.node === after.node) continue
          onMove(entry, null, false)
          for (const [node, by] of [[before?.node, -1], [after?.node, 1]] as const) {
            if (node !== null && node !== undefined) onMove(entry, node, this.#place(entry, node, by))
          }
        }
      }
    }
  }

  #place(entry: Entry, node: string, by: 1 | -1): boolean {
    if (!entry.places.move(node, by)) return false
    if (by === 1) add(this.#byNode, node, entry)
    else remove(this.#byNode, node, entry)
    return true
  }

  #enter(entry: Entry): void {
    const { policy, parts } = entry
    add(this.#bySelected, parts.selected.id, entry)
    if (policy.isolates.egress) this.dns.open(policy.uid)
    for (const [uid, pod] of this.watched.members(parts.selected.id)) {
      this.dns.join(policy.uid, uid)
      if (pod.node !== null) this.#place(entry, pod.node, 1)
    }
  }

  #exit(entry: Entry): void {
    remove(this.#bySelected, entry.parts.selected.id, entry)
    this.dns.close(entry.policy.uid)
    for (const node of entry.places.clear()) remove(this.#byNode, node, entry)
  }

  #hold({ policy, parts }: Entry, index: SelectorIndex): void {
    this.watched.hold(policy.uid, selectorsIn(parts), parts.namedPorts, index)
    this.hosts.hold(policy.uid, parts.selected)
    this.blocks.hold(policy.uid, blocksIn(parts))
  }

  #letGo(uid: PolicyUid, parts: PolicyParts, kept: PolicyParts | null, index: SelectorIndex): void {
    const selectors = kept === null ? [] : selectorsIn(kept).map(({ id }) => id)
    const named = new Set((kept?.namedPorts ?? []).flatMap((use) => use.selectors.map(({ id }) => `${use.name}/${use.protocol} ${id}`)))
    const uses = parts.namedPorts.map((use) => ({ ...use, selectors: use.selectors.filter(({ id }) => !named.has(`${use.name}/${use.protocol} ${id}`)) }))
    this.watched.release(uid, selectorsIn(parts).filter(({ id }) => !selectors.includes(id)), uses, index)
    // Counted there: one hold each.
    this.hosts.release(uid, parts.selected, kept?.selected.id === parts.selected.id)
    const blocks = new Set((kept === null ? [] : blocksIn(kept)).map(blockText))
    this.blocks.release(uid, blocksIn(parts).filter((block) => !blocks.has(blockText(block))))
  }
}

const NONE: ReadonlySet<Entry> = new Set()
const NOTHING_KEPT = null

function blocksIn({ ingress, egress }: PolicyParts): readonly Block[] {
  return [...ingress.blocks, ...egress.blocks]
}

function blockText({ cidr, except }: Block): string {
  return [cidr, ...except].map(({ text }) => text).join(' ')
}

function add(to: Map<string, Set<Entry>>, key: string, entry: Entry): void {
  const entries = to.get(key)
  if (entries === undefined) to.set(key, new Set([entry]))
  else entries.add(entry)
}

function remove(from: Map<string, Set<Entry>>, key: string, entry: Entry): void {
  const entries = from.get(key)
  entries?.delete(entry)
  if (entries?.size === 0) from.delete(key)
}
