// What the agent tells of its node in the API: its NodeEnforcement, made of what the kernel holds, and written when it is worth it.
//
//   events -> LocalPolicies; turn -> planned; commit -> held; problems, canary -> look: is it worth a write? -> NodeSchedule -> NodeObject
//
// **Invariant:** nothing here touches what is enforced: an API server that is away, a missing right or a missing CRD is a problem that
// says what to do, and is tried again; what is told as observed is in the kernel, or in the failures of the same write.
import { release } from 'node:os'
import manifest from '../../package.json' with { type: 'json' }
import type { NodeEnforcementStatus } from '../crd/node-enforcement.ts'
import type { ClusterState } from '../kube/source.ts'
import { apiTime } from '../lib/api-time.ts'
import { messageOf } from '../lib/errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { isOlder } from '../lib/versions.ts'
import type { Revision, SourceEvent } from '../model/changes.ts'
import type { Node } from '../model/objects.ts'
import { fingerprintOf, type Fingerprint } from '../nft/fingerprint.ts'
import type { PlanDelta } from '../policy/plan.ts'
import type { NodeObject } from '../report/node-object.ts'
import { NodeSchedule } from '../report/node-schedule.ts'
import { CommitRing, isWorthWriting, nodeStatusOf } from '../summary/node-status.ts'
import type { CanaryState } from './canary.ts'
import type { Committer } from './committer.ts'
import type { Closable, PlanFollower } from './follower.ts'
import { Lasting } from './lasting.ts'
import { GonePolicies } from './gone-policies.ts'
import { LocalPolicies } from './local-policies.ts'
import { conditionsOf, type ConditionFacts } from './node-conditions.ts'
import { bothOf, FailureTimes, failuresOf, isOfNode, type Failing } from './node-failures.ts'
import { notWritten, type WriteResult, writeResultOf } from './node-problems.ts'
import { PodStates } from './pod-states.ts'
import type { ProblemParts } from './problem-parts.ts'
import type { Turns } from './turn.ts'
import { versionsOf, Watermarks } from './watermarks.ts'

export interface NodeEnforcementParts {
  readonly nodeName: string
  readonly clock: Clock
  /** [0, 1) */
  readonly random: () => number
  /** What the kernel is spoken to with. */
  readonly nftables: string
  readonly turns: Turns
  readonly problems: ProblemParts
  /** Null before there is one. */
  readonly committer: () => Pick<Committer, 'applied' | 'refusal' | 'searching'> | null
  readonly cluster: () => ClusterState | null
  /** Null with canary: false. */
  readonly canary: () => CanaryState | null
  readonly audit: () => ConditionFacts['audit']
  readonly missing: () => string | null
  readonly object: Pick<NodeObject, 'status' | 'write' | 'forget'>
  readonly onWrite: (result: WriteResult) => void
}

/** Between two looks whether the object is still there: a read, no write. */
const READ_AGAIN_MS = 600_000
/** A conflict is everyday life: somebody else wrote, or a Node was made anew and its old object is being deleted. */
const EVERYDAY_CONFLICTS = 3

export class NodeEnforcement implements PlanFollower, Closable {
  readonly #parts: NodeEnforcementParts
  readonly #schedule: NodeSchedule
  readonly #policies: LocalPolicies
  readonly #gone: GonePolicies
  readonly #pods = new PodStates()
  readonly #watermarks: Watermarks
  readonly #ring = new CommitRing()
  readonly #times = new FailureTimes()
  readonly #lasting = new Lasting()
  /** As of the last notice. */
  #wrong: readonly Problem[] = []
  #failing: readonly Failing[] = []
  #held: Revision = 0
  #heldAt = 0
  #nodes = 0
  #nodeUid: string | null = null
  #isRead = false
  /** `LocalPolicies.changes` as of the last write; whatever it is otherwise is told by none yet. */
  #toldChanges = -1
  #conflicts = 0
  #lookAt = Infinity
  #cancelLook: () => void = () => undefined
  #cancelRead: () => void = () => undefined
  #closed = false

  constructor(parts: NodeEnforcementParts) {
    this.#parts = parts
    this.#policies = new LocalPolicies(parts.turns)
    this.#gone = new GonePolicies({ where: (index, value) => parts.turns.snapshot?.pods.where(index, value) ?? [] }, parts.nodeName, () => (this.#policies.changes += 1))
    this.#watermarks = new Watermarks(() => versionsOf(parts.cluster()))
    this.#schedule = new NodeSchedule({ clock: parts.clock, random: parts.random, write: (signal) => this.#write(signal) })
    parts.problems.listen((part) => {
      if (part !== 'node-status') this.#lookIn(0)
    })
    this.#readAgain()
  }

  arrived(events: readonly SourceEvent[]): void {
    this.#policies.arrived(events, this.#parts.clock.now())
    this.#gone.arrived(events)
  }

  planned(revision: Revision, delta: PlanDelta): void {
    // While it is searched for what the kernel refuses, turns take in nothing.
    const drained = !this.#parts.turns.inbox.hasWork
    this.#policies.planned(revision, delta, drained)
    this.#gone.planned(revision, drained)
    this.#pods.planned(revision, delta.attachments)
    if (drained) this.#watermarks.drained(revision)
  }

  held(revision: Revision): void {
    const { clock, problems, turns } = this.#parts
    this.#held = revision
    this.#heldAt = clock.wallTime()
    const refused = new Set(problems.of('kernel').flatMap(({ code, object }) => (code === 'Quarantined' ? [object] : [])))
    const refuses = (uid: string): boolean => {
      const policy = refused.size === 0 ? undefined : turns.snapshot?.policies.get(uid)
      return policy !== undefined && refused.has(`NetworkPolicy ${policy.namespace}/${policy.name}`)
    }
    for (const { uid, generation, latencyMs } of this.#policies.held(revision, clock.now(), refuses)) this.#ring.note(uid, generation, latencyMs)
    this.#gone.held(revision)
    this.#pods.held(revision)
    this.#watermarks.held(revision)
    this.#lookIn(0)
  }

  /** Resolves when nothing is on its way any more; what stands in the API stays. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelLook()
    this.#cancelRead()
    await this.#schedule.close()
  }

  /** Somebody may have deleted it; nobody would tell. */
  #readAgain(): void {
    this.#cancelRead = this.#parts.clock.after(READ_AGAIN_MS * (0.5 + this.#parts.random()), () => {
      this.#parts.object.forget()
      this.#lookIn(0)
      this.#readAgain()
    })
  }

  /** One look for all that is told in one go: what the kernel holds, and what it does not. */
  #lookIn(ms: number): void {
    const at = this.#parts.clock.now() + ms
    if (this.#closed || at >= this.#lookAt) return
    this.#cancelLook()
    this.#lookAt = at
    this.#cancelLook = this.#parts.clock.after(ms, () => this.#look())
  }

  /** Whether something is worth a write. After each commit: costs what this node has, not the cluster. */
  #look(): void {
    this.#lookAt = Infinity
    const { object, committer, turns, nodeName, problems } = this.#parts
    // Of a start that goes well nothing is told before its end.
    if (this.#closed || committer()?.searching !== false || (this.#held === 0 && !this.#isStuck())) return
    this.#notice()
    const node = this.#node()
    if (node === null) return problems.set('node-status', [notWritten(nodeName, 'NotFound', `the API has no Node ${nodeName}, which it would belong to (setting nodeName)`)])
    const nodes = turns.snapshot?.nodes.size ?? 1
    if (nodes !== this.#nodes) this.#schedule.nodes(nodes)
    this.#nodes = nodes
    if (node.uid !== this.#nodeUid) object.forget()
    this.#nodeUid = node.uid
    const before = object.status
    if (before === null || this.#isDue(before)) this.#schedule.change('count')
  }

  #isDue(before: NodeEnforcementStatus): boolean {
    return this.#differs(before) || isWorthWriting(before, this.#status(before, null))
  }

  /** By what is not in the status itself. */
  #differs({ observedResourceVersions: told = {} }: NodeEnforcementStatus): boolean {
    if (this.#toldChanges !== -1 && this.#toldChanges !== this.#policies.changes) return true
    // After a restore of etcd: what was told would count for policies that this node has never seen.
    const now = this.#watermarks.observed['networkpolicies']
    return now !== undefined && told['networkpolicies'] !== undefined && isOlder(now, told['networkpolicies'])
  }

  async #write(signal: AbortSignal): Promise<boolean> {
    const { object, problems, onWrite } = this.#parts
    const node = this.#node()
    if (node === null) return false
    let changes = this.#toldChanges
    try {
      const isWritten = await object.write(node, (before) => {
        changes = this.#policies.changes
        return this.#compose(before)
      }, signal)
      this.#toldChanges = changes
      this.#conflicts = 0
      problems.set('node-status', [])
      if (isWritten) onWrite('written')
      return isWritten
    } catch (error) {
      if (signal.aborted) throw error
      const result = writeResultOf(error)
      onWrite(result)
      this.#conflicts = result === 'Conflict' ? this.#conflicts + 1 : 0
      if (result !== 'Conflict' || this.#conflicts > EVERYDAY_CONFLICTS) problems.set('node-status', [notWritten(node.name, result, messageOf(error))])
      throw error
    }
  }

  /** Null where what stands there is as it should be. */
  #compose(before: NodeEnforcementStatus | null): NodeEnforcementStatus | null {
    const { turns, committer } = this.#parts
    const isFirst = !this.#isRead
    this.#isRead = true
    if (isFirst) {
      this.#ring.seed(before?.committed ?? [])
      this.#times.seed(before?.failures ?? [])
    }
    // What was said since and changed nothing is in the kernel, too: so what is told is as new as can be.
    if (!turns.inbox.hasWork && this.#held !== 0 && this.#held === turns.revision) {
      this.#watermarks.drained(this.#held)
      this.#watermarks.held(this.#held)
    }
    this.#notice()
    // Edits from before this agent are in its first list, of which no latency is told: the hash tells that there were some.
    const isSame = before !== null && (!isFirst || before.ruleset?.hash.split('-')[1] === this.#policies.hash(this.#gone.here()))
    if (isSame && !this.#isDue(before)) return null
    const applied = committer()?.applied ?? null
    return this.#status(before, applied === null ? null : fingerprintOf(applied))
  }

  #status(before: NodeEnforcementStatus | null, table: Fingerprint | null): NodeEnforcementStatus {
    const { clock, turns, problems, canary, audit, missing, nftables } = this.#parts
    const now = apiTime(clock.wallTime())
    const conditions = before?.conditions ?? []
    const { rules = 0, elements = 0, hash = '' } = table ?? {}
    const facts = {
      agentVersion: manifest.version,
      kernel: release(),
      nftables,
      ruleset: { revision: this.#held, hash: table === null ? '' : `${hash}-${this.#policies.hash(this.#gone.here())}` },
      observed: this.#watermarks.observed,
      programmedAt: this.#heldAt === 0 ? (before?.lastProgrammedTime ?? null) : apiTime(this.#heldAt),
      counts: { pods: this.#pods.counts(this.#isStuck()), policies: this.#policies.size, rules, setElements: elements, services: turns.nat.services?.services.size ?? 0 },
      failures: this.#times.timed(this.#failing, now),
      conditions: conditionsOf({
        isHeld: this.#held !== 0,
        missing: missing(),
        kernel: problems.of('kernel'),
        unenforced: this.#wrong.filter(({ code }) => code === 'NotEnforced'),
        unread: problems.of('source').filter(({ code }) => code === 'ApiPermissionMissing'),
        canary: canary(), audit: audit(),
        before: conditions,
      }),
    }
    return nodeStatusOf(facts, this.#ring.list(), conditions, now)
  }

  /** What is wrong now, whether or not it can be told: what is not noticed while the API server is away would be missed as soon as nobody knows what the kernel holds. */
  #notice(): void {
    const { turns, committer } = this.#parts
    this.#wrong = this.#problems()
    const found = failuresOf(turns, { problems: this.#wrong, refusal: committer()?.refusal ?? null, localPolicies: () => this.#policies.uids() })
    // No failure ends while nobody knows what the kernel holds: what it takes again may not be there yet.
    this.#failing = this.#isUnknown() ? bothOf(found, this.#failing) : found
  }

  /** Those of the kernel first, then of the node: of several the first is told. */
  #problems(): readonly Problem[] {
    const { problems, turns, clock } = this.#parts
    const kernel = problems.of('kernel').filter(({ code }) => code !== 'CommitRefused')
    const others = [...problems.all(), ...turns.problems.values()].filter((problem) => !problems.of('kernel').includes(problem))
    const sorted = [...kernel, ...others.filter(isOfNode), ...others.filter((problem) => !isOfNode(problem))]
    const { problems: lasting, againMs } = this.#lasting.filter(sorted, (pod) => this.#isEnding(pod), clock.now())
    if (againMs !== null) this.#lookIn(againMs)
    return lasting
  }

  #isEnding(pod: string): boolean {
    for (const { attachment, pod: row } of this.#parts.turns.plan.locals.values()) if (`${attachment.namespace}/${attachment.name}` === pod) return row.terminating
    return true
  }

  /** The kernel does not take what is wanted, or nobody knows whether it did. */
  #isStuck(): boolean {
    return this.#isUnknown() || this.#parts.problems.of('kernel').some(({ code }) => code === 'CommitRefused')
  }

  #isUnknown(): boolean {
    return this.#parts.problems.of('kernel').some(({ code }) => code === 'KernelUnknown')
  }

  /** Our own; null while the API knows none. */
  #node(): Node | null {
    const { turns, nodeName } = this.#parts
    const [node] = turns.snapshot?.nodes.where('name', nodeName) ?? []
    return node ?? null
  }
}
