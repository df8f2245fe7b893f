// The store: what sources said, netted, becomes rows, and one synchronous turn's snapshot, delta and problems.
//
// apply() drains into, in this order: the last good versions, the claims of addresses, the tables, the selector index. Then the
// steps read the snapshot. **Invariant:** the tables, memberships and problems depend on the events only, never on
// how they fell into turns; a delta says what is another row now, and nothing where before says the same as after.
import type { Problem } from '../lib/problem.ts'
import type { Change, Changes, Revision } from '../model/changes.ts'
import type { HostInterface, Namespace, Node, Pod, PodUid, PolicyUid, Uid } from '../model/objects.ts'
import type { Owner } from '../model/owner.ts'
import type { Policy } from '../model/policy.ts'
import { serviceKey, type EndpointSlice, type Service } from '../model/service.ts'
import { PodSelectorIndex } from '../selectors/selector-index.ts'
import { AddressClaims } from './claims.ts'
import { sameRow } from './equality.ts'
import type { Batch } from './inbox.ts'
import { LastGood } from './last-good.ts'
import { ProblemBook } from './problem-book.ts'
import { Quarantine, type Named } from './quarantine.ts'
import type { Snapshot, SnapshotDelta, TableView, WorkCount } from './snapshot.ts'
import { Table } from './table.ts'

export interface Turn {
  readonly snapshot: Snapshot
  readonly delta: SnapshotDelta
  /** Came, went; keyed by problemKey. */
  readonly problems: Changes<string, Problem>
  /** Whose quarantine ended because the object was edited, deleted or made again. */
  readonly released: readonly Owner[]
  /** Rows that apply() visited. What the steps read is counted by the store's `rowsTouched`. */
  readonly rowsTouched: number
}

export class Store {
  readonly #work: WorkCount = { rows: 0 }
  readonly #book = new ProblemBook()
  readonly #selectors = new PodSelectorIndex()
  readonly #quarantine = new Quarantine()
  readonly #read = {
    pod: this.#lastGood<Pod>('pod'),
    namespace: this.#lastGood<Namespace>('namespace'),
    node: this.#lastGood<Node>('node'),
    policy: this.#lastGood<Policy>('policy'),
    service: this.#lastGood<Service>('service'),
    slice: this.#lastGood<EndpointSlice>('slice'),
    interface: this.#lastGood<HostInterface>('interface'),
  }
  readonly #claims = new AddressClaims(
    (uid) => this.#read.pod.get(uid) as Pod,
    this.#work,
    (address, problems) => this.#book.set(`address/${address}`, problems),
  )
  readonly #pods = new Table<Pod, 'node' | 'namespace' | 'node+namespace' | 'address'>(
    {
      node: (pod) => (pod.node === null ? [] : [pod.node]),
      namespace: (pod) => [pod.namespace],
      'node+namespace': (pod) => (pod.node === null ? [] : [`${pod.node}/${pod.namespace}`]),
      address: (pod) => pod.quarantined ?? pod.addresses,
    },
    this.#work,
  )
  readonly #namespaces = new Table<Namespace, 'name'>({ name: (namespace) => [namespace.name] }, this.#work)
  readonly #nodes = new Table<Node, 'name' | 'address'>({ name: (node) => [node.name], address: (node) => node.addresses }, this.#work)
  readonly #policies = new Table<Policy, 'namespace'>({ namespace: (policy) => [policy.namespace] }, this.#work)
  readonly #services = new Table<Service, 'key'>({ key: ({ namespace, name }) => [serviceKey(namespace, name)] }, this.#work)
  readonly #slices = new Table<EndpointSlice, 'service'>(
    { service: ({ namespace, service }) => (service === null ? [] : [serviceKey(namespace, service)]) },
    this.#work,
  )
  readonly #interfaces = new Table<HostInterface, 'name' | 'hostRoute' | 'address' | 'behind'>(
    { name: (link) => [link.name], hostRoute: (link) => link.hostRoutes, address: (link) => link.addresses, behind: (link) => link.behind?.addresses ?? [] },
    this.#work,
  )
  #revision: Revision = 0

  /** Rows visited since the start, by turns and by whoever reads the tables and selectors; a stage's work is a difference of two. */
  get rowsTouched(): number {
    return this.#work.rows + this.#selectors.rowsVisited
  }

  /**
   * Applies a batch. The snapshot is valid until the next call; its revision is a new one where any row changed.
   * `quarantine`, where it is given, replaces the one in force; an edit in the batch ends that of its object.
   */
  apply(batch: Batch, quarantine?: ReadonlySet<Owner>): Turn {
    const touched = this.rowsTouched
    const readPods = this.#read.pod.apply(batch.pod)
    const readPolicies = this.#read.policy.apply(batch.policy)
    const moved = quarantine === undefined ? null : this.#quarantine.set(quarantine)
    const readServices = this.#read.service.apply(batch.service)
    const released = this.#quarantine.release(readPolicies, readPods, readServices)
    const pods = this.#effectivePods(readPods, moved?.pods ?? [])
    const policies = this.#effectivePolicies(readPolicies, moved?.policies ?? [], moved === null && released.length === 0 && this.#quarantine.isEmpty)
    const services = this.#effectiveServices(readServices, moved?.services ?? [])
    const slices = this.#read.slice.apply(batch.slice)
    const namespaces = this.#read.namespace.apply(batch.namespace)
    const nodes = this.#read.node.apply(batch.node)
    const interfaces = this.#read.interface.apply(batch.interface)
    const changes = [pods, namespaces, nodes, policies, services, slices, interfaces]
    if (changes.some(({ size }) => size > 0)) this.#revision += 1
    const revision = this.#revision
    this.#pods.apply(pods, revision)
    this.#namespaces.apply(namespaces, revision)
    this.#nodes.apply(nodes, revision)
    this.#policies.apply(policies, revision)
    this.#services.apply(services, revision)
    this.#slices.apply(slices, revision)
    this.#interfaces.apply(interfaces, revision)
    this.#selectors.updateNamespaces(namespaces)
    this.#selectors.updatePods(pods)
    const members = this.#selectors.takeDelta()
    return {
      snapshot: this.#snapshot(revision),
      delta: { revision, pods, namespaces, nodes, policies, services, slices, interfaces, members },
      problems: this.#book.take(),
      released,
      rowsTouched: this.rowsTouched - touched,
    }
  }

  /** The changes of pods as they were read -> the changes of their rows with the addresses that they own. */
  #effectivePods(read: Changes<PodUid, Pod>, moved: readonly Named[]): Changes<PodUid, Pod> {
    const effective = (uid: PodUid): Pod | null => {
      const pod = this.#read.pod.get(uid)
      return pod === null ? null : this.#quarantine.pod(this.#claims.effective(pod))
    }
    return changesOf([...this.#claims.apply(read), ...uidsOf(moved, this.#pods)], this.#pods, effective)
  }

  #effectivePolicies(read: Changes<PolicyUid, Policy>, moved: readonly Named[], asTheyAre: boolean): Changes<PolicyUid, Policy> {
    if (asTheyAre) return read
    const effective = (uid: PolicyUid): Policy | null => {
      const policy = this.#read.policy.get(uid)
      return policy === null ? null : this.#quarantine.policy(policy)
    }
    return changesOf([...read.keys(), ...uidsOf(moved, this.#policies)], this.#policies, effective)
  }

  #effectiveServices(read: Changes<Uid, Service>, moved: readonly Named[]): Changes<Uid, Service> {
    const effective = (uid: Uid): Service | null => {
      const service = this.#read.service.get(uid)
      return service === null ? null : this.#quarantine.service(service)
    }
    const named = moved.flatMap(({ namespace, name }) => [...this.#services.where('key', serviceKey(namespace, name))].map(({ uid }) => uid))
    return changesOf([...read.keys(), ...named], this.#services, effective)
  }

  #snapshot(revision: Revision): Snapshot {
    return {
      revision,
      pods: this.#pods,
      namespaces: this.#namespaces,
      nodes: this.#nodes,
      policies: this.#policies,
      services: this.#services,
      slices: this.#slices,
      interfaces: this.#interfaces,
      selectors: this.#selectors,
    }
  }

  #lastGood<Row extends object>(kind: string): LastGood<Row> {
    return new LastGood<Row>(this.#work, (key, problems) => this.#book.set(`${kind}/${key}`, problems))
  }
}

function changesOf<Row extends object>(uids: Iterable<string>, table: { get(key: string): Row | undefined }, effective: (uid: string) => Row | null): Changes<string, Row> {
  const changes = new Map<string, Change<Row>>()
  for (const uid of uids) {
    const before = table.get(uid) ?? null
    const after = effective(uid)
    if (!sameRow(before, after)) changes.set(uid, { before, after })
  }
  return changes
}

/** Of the rows with those names: quarantine goes by names, rows by UID. */
function* uidsOf(named: readonly Named[], table: TableView<string, Named & { readonly uid: string }, 'namespace'>): Iterable<string> {
  for (const { namespace, name } of named) for (const row of table.where('namespace', namespace)) if (row.name === name) yield row.uid
}
