// One step of the policy plan: what changed in the cluster -> what changes in what this node enforces.
//
// Only what the delta touches is visited: local pods that changed or that a changed policy selects, profiles of changed
// policies, members of selectors. Compiling from nothing is a step from the empty plan.
// **Invariant:** any split of the events ends in the same plan (interfaces of terminating pods aside: decisions/0011); nothing
// is let go before everything new is held, so that a set that stays in use is never told as new.
import { problemKey, type Problem } from '../lib/problem.ts'
import type { Change } from '../model/changes.ts'
import type { Address } from '../model/ip.ts'
import type { TrafficLog } from '../model/log-wish.ts'
import type { HostInterface, Pod, PodUid } from '../model/objects.ts'
import { DIRECTIONS, isPeer, type Policy } from '../model/policy.ts'
import type { Snapshot, SnapshotDelta, WorkCount } from '../store/snapshot.ts'
import { findInterfaces, isPodKind, isWritable, looksLikePod, type PodAttachment, type PodInterfaces } from './attach.ts'
import { BridgeEnds } from './bridge-ends.ts'
import { isolationOf, selects, type Isolation } from './isolation.ts'
import { interfacesOf, type Attachment, type HostKey, type PlanDelta, type ProfileId } from './plan.ts'
import { Profiles } from './profiles.ts'
import { PeerSets } from './sets.ts'

export interface StepOptions {
  /** Which pods to compile for: on a node its own, for explain those on both sides. */
  readonly isLocal: (pod: Pod) => boolean
  /** Whose addresses are the node's own; null where no interfaces are looked at. */
  readonly nodeName: string | null
  readonly podInterfaces: readonly string[]
  readonly podAttachment: PodAttachment
  /** Namespaces whose pods may name further source prefixes. */
  readonly sourcePrefixNamespaces: readonly string[]
  /** What is logged where no annotation says it; absent: nothing is, whatever they say. */
  readonly auditLog?: TrafficLog
}

interface Local {
  readonly pod: Pod
  readonly attachment: Attachment
  /** Indexes of the interfaces that were its own last. */
  readonly links: ReadonlySet<number>
  readonly problems: readonly Problem[]
}

const NO_LINKS: ReadonlySet<number> = new Set()
const NOBODY: ReadonlySet<PodUid> = new Set()

/** The plan of one node. Changed by step() only; what it holds is told as PlanDelta. */
export class PolicyPlan {
  readonly work: WorkCount = { rows: 0 }
  readonly sets = new PeerSets(this.work)
  readonly profiles: Profiles
  readonly locals = new Map<PodUid, Local>()
  readonly #byNamespace = new Map<string, Set<PodUid>>()
  readonly #byInterface = new Map<string, Set<PodUid>>()
  readonly #known = new Set<string>()
  /** Names of the interfaces of a pod's kind. */
  readonly #podKind = new Set<string>()
  readonly #bridges = new Map<number, HostInterface>()
  readonly #ends = new BridgeEnds(this.work)
  #nodeAddresses: ReadonlySet<Address> = new Set()
  readonly #options: StepOptions
  #attachments = new Map<PodUid, Change<Attachment>>()
  #problems = new Map<string, Change<Problem>>()

  constructor(options: StepOptions) {
    this.#options = options
    this.profiles = new Profiles(this.sets, options.auditLog)
  }

  /** Valid only with the snapshot of this turn. Never throws for what the cluster says. */
  step(snapshot: Snapshot, delta: SnapshotDelta): PlanDelta {
    this.sets.selectorChanges(delta.members)
    const dirty = this.#dirtyPods(snapshot, delta)
    const names = this.#dirtyInterfaces(snapshot, delta, dirty)
    for (const uid of dirty) {
      for (const name of interfacesOf(this.locals.get(uid)?.attachment)) names.add(name)
      this.#judge(uid, snapshot)
      for (const name of interfacesOf(this.locals.get(uid)?.attachment)) names.add(name)
    }
    this.profiles.rebuild(delta, snapshot)
    this.profiles.letGo(snapshot.selectors)
    const knownInterfaces = this.#knownInterfaces(snapshot, names)
    const ports = this.#ends.changed(delta.interfaces, this.#bridges)
    const attachments = this.#attachments
    const problems = this.#problems
    this.#attachments = new Map()
    this.#problems = new Map()
    return { profiles: this.profiles.takeChanges(), attachments, ...this.sets.takeDelta(), knownInterfaces, ports, problems }
  }

  /** The local pods behind an interface. Of several nothing is allowed: the interface cannot tell them apart. */
  behind(name: string): ReadonlySet<PodUid> {
    return this.#byInterface.get(name) ?? NOBODY
  }

  /** Whether this is one of the node's own addresses, which policies of its pods never judge (rules 58, 68). */
  isOfNode(address: Address, snapshot: Snapshot): boolean {
    if (this.#nodeAddresses.has(address)) return true
    for (const _ of snapshot.interfaces.where('address', address)) return true
    return false
  }

  #dirtyPods(snapshot: Snapshot, delta: SnapshotDelta): Set<PodUid> {
    const dirty = new Set<PodUid>()
    for (const [uid, { before, after }] of delta.pods) {
      this.work.rows++
      if ((before !== null && this.#options.isLocal(before)) || (after !== null && this.#options.isLocal(after))) dirty.add(uid)
    }
    for (const { before, after } of delta.policies.values()) {
      for (const policy of [before, after]) if (policy !== null) this.#dirtySelected(policy, snapshot, dirty)
    }
    return dirty
  }

  #dirtySelected(policy: Policy, snapshot: Snapshot, dirty: Set<PodUid>): void {
    for (const uid of this.#byNamespace.get(policy.namespace) ?? []) {
      this.work.rows++
      const pod = snapshot.pods.get(uid)
      if (pod !== undefined && selects(policy, pod)) dirty.add(uid)
    }
  }

  /** Marks the pods behind interfaces that changed; returns the names to look at again. */
  #dirtyInterfaces(snapshot: Snapshot, delta: SnapshotDelta, dirty: Set<PodUid>): Set<string> {
    const names = new Set<string>()
    const { nodeName } = this.#options
    for (const { before, after } of delta.interfaces.values()) {
      this.#noteProblems(bypasses(before), bypasses(after))
      // A bridge that comes, goes or gets another network may concern any pod; its ports only those behind them.
      if (this.#bridgeChanged(before, after)) for (const uid of this.locals.keys()) dirty.add(uid)
      for (const address of [before, after].flatMap((link) => link?.behind?.addresses ?? [])) this.#dirtyAt(address, snapshot, dirty)
      if (before?.kind === 'bridge' || after?.kind === 'bridge') for (const address of difference(before, after)) this.#dirtyAt(address, snapshot, dirty)
      for (const link of [before, after]) {
        if (link === null || !isPodKind(link, this.#options.podInterfaces)) continue
        names.add(link.name)
        for (const address of link.hostRoutes) this.#dirtyAt(address, snapshot, dirty)
        for (const uid of this.#byInterface.get(link.name) ?? []) dirty.add(uid)
      }
    }
    const changedNode = [...delta.nodes.values()].some(({ before, after }) => (after ?? before)?.name === nodeName)
    if (nodeName !== null && changedNode) {
      this.#nodeAddresses = new Set([...snapshot.nodes.where('name', nodeName)].flatMap((node) => node.addresses))
      for (const uid of this.locals.keys()) dirty.add(uid)
      for (const name of this.#podKind) names.add(name)
    }
    return names
  }

  #dirtyAt(address: Address, snapshot: Snapshot, dirty: Set<PodUid>): void {
    for (const pod of snapshot.pods.where('address', address)) if (this.#options.isLocal(pod)) dirty.add(pod.uid)
  }

  #bridgeChanged(before: HostInterface | null, after: HostInterface | null): boolean {
    if (this.#options.podAttachment === 'interface' || (before?.kind !== 'bridge' && after?.kind !== 'bridge')) return false
    if (before?.kind === 'bridge') this.#bridges.delete(before.index)
    if (after?.kind === 'bridge') this.#bridges.set(after.index, after)
    return before?.kind !== after?.kind || before?.name !== after?.name || JSON.stringify(before?.networks, plain) !== JSON.stringify(after?.networks, plain)
  }

  #judge(uid: PodUid, snapshot: Snapshot): void {
    const pod = snapshot.pods.get(uid)
    const before = this.locals.get(uid)
    if (pod === undefined || !this.#options.isLocal(pod) || !isPeer(pod)) {
      if (before !== undefined) this.#forget(uid, before)
      return
    }
    this.work.rows++
    const closed = pod.quarantined !== undefined
    const isolation = new Map(DIRECTIONS.map((direction) => [direction, isolationOf(pod, direction, snapshot.policies, this.work)]))
    const { by, links, missing } = findInterfaces(pod, before?.links ?? NO_LINKS, snapshot.interfaces, this.#podInterfaces(), this.work)
    const attachment: Attachment = Object.freeze({
      pod: uid,
      namespace: pod.namespace,
      name: pod.name,
      by,
      sourcePrefixes: this.#sourcePrefixes(pod, by),
      // Of a pod in quarantine too: what is refused of a profile is its policies'.
      ingress: this.#profile(isolation.get('ingress') ?? null, snapshot),
      egress: this.#profile(isolation.get('egress') ?? null, snapshot),
      closed,
    })
    if (before !== undefined) this.#releaseProfiles(before.attachment)
    const problems = this.#options.nodeName === null || missing.length === 0 ? [] : [notEnforced(pod, missing)]
    this.#remember(uid, before ?? null, { pod, attachment, links, problems })
  }

  /** On a bridge they hold as soon as the port is known: before that nothing would tell them from another pod's packets. */
  #sourcePrefixes(pod: Pod, by: readonly HostKey[]): Pod['sourcePrefixes'] {
    const hasPlace = by.some((key) => key.via === 'interface' || key.port !== null)
    return hasPlace && this.#options.sourcePrefixNamespaces.includes(pod.namespace) ? pod.sourcePrefixes : []
  }

  #profile(isolation: Isolation | null, snapshot: Snapshot): ProfileId | 'open' {
    return isolation === null ? 'open' : this.profiles.acquire(isolation, snapshot)
  }

  #releaseProfiles(attachment: Attachment): void {
    if (attachment.ingress !== 'open') this.profiles.release(attachment.ingress)
    if (attachment.egress !== 'open') this.profiles.release(attachment.egress)
  }

  #remember(uid: PodUid, before: Local | null, after: Local): void {
    if (before !== null) this.#unindex(uid, before)
    this.locals.set(uid, after)
    index(this.#byNamespace, after.pod.namespace, uid)
    for (const name of interfacesOf(after.attachment)) index(this.#byInterface, name, uid)
    if (!sameAttachment(before?.attachment ?? null, after.attachment)) this.#note(uid, before?.attachment ?? null, after.attachment)
    this.#noteProblems(before?.problems ?? [], after.problems)
  }

  #forget(uid: PodUid, before: Local): void {
    this.#unindex(uid, before)
    this.locals.delete(uid)
    this.#releaseProfiles(before.attachment)
    this.#note(uid, before.attachment, null)
    this.#noteProblems(before.problems, [])
  }

  #unindex(uid: PodUid, local: Local): void {
    this.#byNamespace.get(local.pod.namespace)?.delete(uid)
    for (const name of interfacesOf(local.attachment)) this.#byInterface.get(name)?.delete(uid)
  }

  #note(uid: PodUid, before: Attachment | null, after: Attachment | null): void {
    const noted = this.#attachments.get(uid)
    this.#attachments.set(uid, { before: noted === undefined ? before : noted.before, after })
  }

  #noteProblems(before: readonly Problem[], after: readonly Problem[]): void {
    for (const problem of before) if (!after.includes(problem)) this.#problems.set(problemKey(problem), { before: problem, after: null })
    for (const problem of after) this.#problems.set(problemKey(problem), { before: null, after: problem })
  }

  #podInterfaces(): PodInterfaces {
    return { nodeAddresses: this.#nodeAddresses, patterns: this.#options.podInterfaces, podAttachment: this.#options.podAttachment, bridges: this.#bridges }
  }

  /** An interface of a pod's kind is known if a local pod is behind it, or if it does not look like a pod's at all. */
  #knownInterfaces(snapshot: Snapshot, names: ReadonlySet<string>): PlanDelta['knownInterfaces'] {
    const added: string[] = []
    const removed: string[] = []
    for (const name of names) {
      this.work.rows++
      const links = [...snapshot.interfaces.where('name', name)].filter((l) => isPodKind(l, this.#options.podInterfaces))
      if (links.length > 0) this.#podKind.add(name)
      else this.#podKind.delete(name)
      const attached = (this.#byInterface.get(name)?.size ?? 0) > 0
      const known = isWritable(name) && links.length > 0 && (attached || links.every((l) => !looksLikePod(l, this.#podInterfaces())))
      if (known === this.#known.has(name)) continue
      if (known) this.#known.add(name)
      else this.#known.delete(name)
      ;(known ? added : removed).push(name)
    }
    return { added, removed }
  }
}

/** The host routes that only one of the two has. */
function difference(before: HostInterface | null, after: HostInterface | null): readonly Address[] {
  const [old, now] = [new Set(before?.hostRoutes), new Set(after?.hostRoutes)]
  return [...old].filter((address) => !now.has(address)).concat([...now].filter((address) => !old.has(address)))
}

function index(map: Map<string, Set<PodUid>>, key: string, uid: PodUid): void {
  const found = map.get(key)
  if (found === undefined) map.set(key, new Set([uid]))
  else found.add(uid)
}

function sameAttachment(a: Attachment | null, b: Attachment): boolean {
  return a !== null && JSON.stringify(a, plain) === JSON.stringify(b, plain)
}

function plain(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

/** "kube-ipvs0 or an eBPF service path makes the node NotEnforced, never silently open" (rules 43, 65). */
function bypasses(link: HostInterface | null): readonly Problem[] {
  return link?.name === 'kube-ipvs0' ? [IPVS] : []
}

const IPVS: Problem = Object.freeze({
  code: 'NotEnforced',
  severity: 'error',
  object: 'interface kube-ipvs0',
  message:
    'kube-proxy runs in IPVS mode, which carries packets past the forward hook: policies do not hold for Service traffic on this ' +
    'node; set kube-proxy to mode nftables or iptables',
})

function notEnforced(pod: Pod, missing: readonly Address[]): Problem {
  return Object.freeze({
    code: 'NotEnforced',
    severity: 'error',
    object: `Pod ${pod.namespace}/${pod.name}`,
    field: 'status.podIPs',
    message:
      `no interface of its own on this node has a host route to ${missing.join(', ')}, and no bridge leads there (expected a veth per pod with ` +
      'routes, or a bridge; macvlan, ipvlan and SR-IOV pods are not enforced); policies do not hold for it there',
  })
}
