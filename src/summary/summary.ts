// What the cluster is and what its nodes say -> the status of each NetworkPolicy, and whether each node reports.
//
// One step takes a turn of the store, and what was said of versions, nodes and liveness since the last; it tells which policies may
// have another status, which statusOf then makes. A changed pod costs the selectors that it is in, a node's report the policies with
// pods there, an edit the nodes of its policy: none of them the whole cluster.
// **Invariant:** any split of the events ends in the same statuses (but for times); a policy whose status is another one is told,
// peers' numbers alone aside.
import type { PolicyEnforcementStatus } from '../crd/policy-enforcement.ts'
import type { Condition } from '../crd/shared.ts'
import { problemKey, type Problem } from '../lib/problem.ts'
import { by } from '../lib/sorting.ts'
import type { Changes } from '../model/changes.ts'
import type { Address } from '../model/ip.ts'
import type { PodUid, PolicyUid } from '../model/objects.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import { PolicyBook, type Entry } from './book.ts'
import { acceptedOf, reportingOf, saidOf, timed, type Liveness, type Time } from './conditions.ts'
import { dnsPodsOf, leadsTo, type DnsPod, type DnsService } from './dns.ts'
import { firstSeen, type PolicyVersion } from './first-seen.ts'
import { judgeNode, latencyOf, type NodeReport } from './node-report.ts'
import type { AddressMoves } from './service-blocks.ts'
import { statusOf } from './status.ts'
import { warningsOf } from './warn.ts'

/** Of the first step: everything, so it waits until every source is synced; what is missing then counts as missing. */
export interface SummaryInput {
  /** One turn of the operator's store. */
  readonly snapshot: Snapshot
  readonly delta: SnapshotDelta
  readonly problems: Changes<string, Problem>
  /** What the API said of policies' metadata in the same events that the turn is of, of those too that cannot be read. */
  readonly versions: ReadonlyMap<PolicyUid, PolicyVersion>
  /** NodeEnforcements that are others since the last step, by name; null: gone. */
  readonly reports: ReadonlyMap<string, NodeReport | null>
  /**
   * Nodes that became alive or silent since the last step; null: the Node is gone. One of which nothing is said is silent. Whoever mistrusts what it
   * sees (half the nodes silent at once, an outage of its own) holds this back, and not the writes: times are those of this step.
   */
  readonly liveness: ReadonlyMap<string, Liveness | null>
  /** All that there are now; none where a cache on the nodes answers pods. */
  readonly dns: readonly DnsService[]
  /** The status that is there, of this operator or one before; asked for when a policy or a generation is new. */
  readonly written: (namespace: string, name: string) => PolicyEnforcementStatus | null
  readonly now: Time
}

export interface SummaryDelta {
  /** Policies whose status may be another one. */
  readonly changed: ReadonlySet<PolicyUid>
  readonly gone: ReadonlySet<PolicyUid>
  /** The operator's condition on the NodeEnforcements of these nodes, where it has to be written. */
  readonly reporting: ReadonlyMap<string, Condition>
  /** Names of NodeEnforcements whose Node is gone, or was made anew: to be deleted, once the API server itself says that it is so. */
  readonly orphans: ReadonlySet<string>
}

export class Summary {
  readonly #book = new PolicyBook()
  readonly #reports = new Map<string, NodeReport>()
  readonly #liveness = new Map<string, Liveness>()
  readonly #problems = new Map<string, Map<string, Problem>>()
  #services: readonly DnsService[] = []
  #dnsPods: readonly DnsPod[] = []
  /** Of one step: policies to look at again, those of another generation, and nodes to judge for one policy. */
  #dirty = new Set<Entry>()
  #renewed = new Set<Entry>()
  #unjudged = new Map<Entry, Set<string>>()

  step(input: SummaryInput): SummaryDelta {
    const { snapshot, delta } = input
    const book = this.#book
    book.move(delta.members, (entry, node, isAnother) => {
      this.#dirty.add(entry)
      if (node !== null && isAnother) this.#judgeLater(entry, node)
    })
    this.#touch(book.watched.update(delta.members))
    this.#touch(book.hosts.update(delta.pods))
    this.#touch(book.blocks.update(movesOf(delta.services, ({ clusterIps }) => clusterIps), joined(movesOf(delta.pods, addressesOf), movesOf(delta.nodes, addressesOf))))
    const gone = this.#takePolicies(input)
    this.#takeVersions(input)
    this.#takeDns(input)
    this.#takeProblems(input.problems)
    const nodes = this.#takeNodes(input)
    for (const [entry, names] of this.#unjudged) for (const node of names) this.#judge(entry, node, this.#validReport(node, snapshot))
    const changed = this.#settle(input.now)
    return { changed, gone, ...this.#nodesDelta(nodes, snapshot, input.now) }
  }

  /** Null for a policy that is not there. Between two steps only. */
  statusOf(uid: PolicyUid): PolicyEnforcementStatus | null {
    const entry = this.#book.get(uid)
    if (entry === undefined) return null
    const { watched, hosts, blocks, dns } = this.#book
    const warnings = warningsOf(entry.parts, uid, { watched, hosts, blocks, dns, hasDns: this.#dnsPods.length > 0 })
    return statusOf({ ...entry, warnings }, watched)
  }

  /** UIDs of the policies of that name, to tell orphans by: several for the moment in which one is made anew. */
  uidsOf(namespace: string, name: string): readonly PolicyUid[] {
    return [...this.#book.named(namespace, name)].map(({ policy }) => policy.uid)
  }

  #touch(uids: Iterable<PolicyUid>): void {
    for (const uid of uids) {
      const entry = this.#book.get(uid)
      if (entry !== undefined) this.#dirty.add(entry)
    }
  }

  #judgeLater(entry: Entry, node: string): void {
    const nodes = this.#unjudged.get(entry)
    if (nodes === undefined) this.#unjudged.set(entry, new Set([node]))
    else nodes.add(node)
  }

  #judgeAll(entry: Entry): void {
    this.#dirty.add(entry)
    for (const node of entry.places.names()) this.#judgeLater(entry, node)
  }

  #takePolicies({ delta, snapshot, versions, written }: SummaryInput): ReadonlySet<PolicyUid> {
    const gone = new Set<PolicyUid>()
    for (const [uid, { after }] of delta.policies) {
      const known = this.#book.get(uid)
      if (after === null) {
        if (known !== undefined) this.#close(known, snapshot)
        gone.add(uid)
      } else if (known === undefined) {
        const said = versions.get(uid) ?? { uid, generation: after.generation, resourceVersion: '' }
        const before = written(after.namespace, after.name)
        const entry = this.#book.open(after, firstSeen(said, null, before), snapshot.selectors)
        entry.conditions = before?.policyRef.uid === uid ? before.conditions : []
        this.#begin(entry, before)
      } else {
        this.#book.replace(known, after, snapshot.selectors)
        this.#judgeAll(known)
      }
    }
    return gone
  }

  #close(entry: Entry, { selectors }: Snapshot): void {
    this.#book.close(entry, selectors)
    this.#dirty.delete(entry)
    this.#unjudged.delete(entry)
  }

  #takeVersions({ versions, written }: SummaryInput): void {
    for (const [uid, said] of versions) {
      const entry = this.#book.get(uid)
      if (entry === undefined) continue
      const before = entry.version
      const status = written(entry.policy.namespace, entry.policy.name)
      entry.version = firstSeen(said, before, status)
      if (entry.version.generation !== before.generation) this.#begin(entry, status)
      else if (entry.version.resourceVersion !== before.resourceVersion) this.#judgeAll(entry)
    }
  }

  /** A policy or a generation that is new to this operator. */
  #begin(entry: Entry, written: PolicyEnforcementStatus | null): void {
    const isKnown = written?.policyRef.uid === entry.policy.uid && written.policyGeneration === entry.version.generation
    entry.places.forgetTimes(isKnown ? (written.timeToEnforce ?? null) : null)
    if (!isKnown) this.#renewed.add(entry)
    this.#judgeAll(entry)
  }

  #takeDns({ dns, delta, snapshot }: SummaryInput): void {
    const { dns: reach, watched } = this.#book
    const isOther = JSON.stringify(dns.map(textOf)) !== JSON.stringify(this.#services.map(textOf))
    const namespaces = new Set(dns.map(({ namespace }) => namespace))
    const isNear = [...delta.pods.values()].some(({ before, after }) => [before, after].some((pod) => pod !== null && namespaces.has(pod.namespace)))
    const leads = (uid: PolicyUid): void => {
      const entry = this.#book.get(uid)
      if (entry?.policy.isolates.egress === true) reach.lead(uid, leadsTo(entry.policy, this.#dnsPods, watched))
    }
    if (isOther || isNear) {
      const had = this.#dnsPods.length > 0
      this.#services = dns
      this.#dnsPods = dnsPodsOf(dns, (namespace) => snapshot.pods.where('namespace', namespace))
      reach.setEnds(new Set(this.#dnsPods.map(({ pod }) => pod.uid)))
      for (const uid of reach.policies()) leads(uid)
      if (had !== this.#dnsPods.length > 0) this.#touch(reach.policies())
    } else {
      for (const uid of delta.policies.keys()) leads(uid)
      for (const [id, changes] of delta.members) if (this.#dnsPods.some(({ pod }) => changes.has(pod.uid))) for (const uid of watched.users(id)) leads(uid)
    }
    this.#touch(reach.take())
  }

  #takeProblems(problems: Changes<string, Problem>): void {
    for (const { before, after } of problems.values()) {
      for (const problem of [before, after]) {
        const name = problem === null ? null : /^NetworkPolicy ([^/]+)\/(.+)$/.exec(problem.object)
        if (problem === null || name === null) continue
        const held = this.#problems.get(problem.object) ?? new Map<string, Problem>()
        if (problem === after) held.set(problemKey(problem), problem)
        else held.delete(problemKey(problem))
        if (held.size === 0) this.#problems.delete(problem.object)
        else this.#problems.set(problem.object, held)
        for (const entry of this.#book.named(name[1] as string, name[2] as string)) this.#dirty.add(entry)
      }
    }
  }

  /** The nodes of which something was said; every policy with pods there is judged. */
  #takeNodes({ delta, reports, liveness, snapshot }: SummaryInput): ReadonlySet<string> {
    const names = new Set([...delta.nodes.values()].flatMap(({ before, after }) => [before, after].flatMap((node) => node?.name ?? [])))
    for (const [name, report] of reports) {
      names.add(name)
      if (report === null) this.#reports.delete(name)
      else this.#reports.set(name, report)
    }
    for (const [name, said] of liveness) {
      names.add(name)
      if (said === null) this.#liveness.delete(name)
      else this.#liveness.set(name, said)
    }
    for (const name of names) {
      const report = this.#validReport(name, snapshot)
      for (const entry of this.#book.on(name)) this.#judge(entry, name, report)
    }
    return names
  }

  /** Of the Node that is there now; null for none. */
  #validReport(node: string, snapshot: Snapshot): NodeReport | null {
    const report = this.#reports.get(node)
    if (report === undefined) return null
    for (const { uid } of snapshot.nodes.where('name', node)) if (uid === report.owner) return report
    return null
  }

  #judge(entry: Entry, node: string, report: NodeReport | null): void {
    const { policy, version, places } = entry
    const verdict = judgeNode(policy, version, report, this.#liveness.get(node)?.isAlive === true)
    if (places.judge(node, verdict)) this.#dirty.add(entry)
    const latencyMs = report === null ? null : latencyOf(report, version)
    if (latencyMs !== null && places.tell(node, latencyMs)) this.#dirty.add(entry)
  }

  #settle(now: Time): ReadonlySet<PolicyUid> {
    for (const entry of this.#dirty) {
      const { namespace, name } = entry.policy
      const problems = [...(this.#problems.get(`NetworkPolicy ${namespace}/${name}`)?.values() ?? [])]
      entry.conditions = timed(saidOf(acceptedOf(problems), entry.places.nodes), entry.conditions, now, this.#renewed.has(entry) ? ['Programmed'] : [])
    }
    const changed = new Set([...this.#dirty].map(({ policy }) => policy.uid))
    this.#dirty = new Set()
    this.#renewed = new Set()
    this.#unjudged = new Map()
    return changed
  }

  #nodesDelta(names: ReadonlySet<string>, snapshot: Snapshot, now: Time): Pick<SummaryDelta, 'reporting' | 'orphans'> {
    const reporting = new Map<string, Condition>()
    const orphans = new Set<string>()
    for (const name of names) {
      if (!this.#reports.has(name)) continue
      const report = this.#validReport(name, snapshot)
      if (report === null) orphans.add(name)
      const condition = report === null ? null : reportingOf(report, this.#liveness.get(name), now)
      if (condition !== null) reporting.set(name, condition)
    }
    return { reporting, orphans }
  }
}

function textOf({ namespace, selector, targets }: DnsService): unknown {
  return [namespace, [...selector].sort(by(([key]) => key)), targets]
}

function addressesOf({ addresses }: { readonly addresses: readonly Address[] }): readonly Address[] {
  return addresses
}

function movesOf<Row extends { readonly uid: PodUid }>(changes: Changes<string, Row>, addresses: (row: Row) => readonly Address[]): AddressMoves {
  const all = [...changes.values()]
  return { gone: all.flatMap(({ before }) => (before === null ? [] : addresses(before))), come: all.flatMap(({ after }) => (after === null ? [] : addresses(after))) }
}

function joined(one: AddressMoves, other: AddressMoves): AddressMoves {
  return { gone: [...one.gone, ...other.gone], come: [...one.come, ...other.come] }
}
