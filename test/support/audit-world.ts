// The agent's turns with the history of the audit stream behind them, at times that a test sets: what was planned, what the kernel held.
//
// The real store, plans, history and maker of records; the packets are a test's own, as the reader hands them over.
// **Invariant:** prefixes are those that the log rules of the plan of now would have.
import { compileOptions } from '../../src/agent/compile-options.ts'
import { Turns } from '../../src/agent/turn.ts'
import { AuditHistory } from '../../src/audit/history.ts'
import type { LoggedFlow } from '../../src/audit/logged-flow.ts'
import type { Bounds } from '../../src/audit/moments.ts'
import { RecordMaker } from '../../src/audit/records.ts'
import type { Planned } from '../../src/explain/planned.ts'
import type { FlowRecord } from '../../src/flows/record.ts'
import { formatLogPrefix, labelHash, profileGeneration, type LogEvent } from '../../src/ruleset/log-prefix.ts'
import { familyOf } from '../../src/model/ip.ts'
import type { Direction } from '../../src/model/policy.ts'
import type { Profile } from '../../src/policy/plan.ts'
import { listMark, type MarkLayout } from '../../src/ruleset/marks.ts'
import type { AgentConfig } from '../../src/settings.ts'
import { syncAll } from './cluster-feed.ts'

const CONFIG = {
  auditLog: 'deny', auditGroup: 100, auditNodeLimit: 1000, auditPodLimit: 100, auditSourceLimit: 10, nodeName: 'n1', newPods: 'deny', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto', sourcePrefixNamespaces: [],
  serviceProxy: 'picket', masquerade: 'none', nodePortAddresses: ['primary'], serviceCIDRs: ['10.96.0.0/16', 'fd00:96::/112'], serviceMarkMask: '0xffffff00', masqueradeAll: false, masqueradeRandomFully: true, nonMasqueradeCIDRs: [],
} as unknown as AgentConfig
const CLOCK = { now: () => 0, wallTime: () => 0, after: () => () => undefined }

export class AuditWorld {
  readonly turns: Turns
  readonly history: AuditHistory
  readonly maker: RecordMaker
  readonly mark: MarkLayout
  /** Milliseconds since 1970. */
  now = 1_000_000

  constructor(bounds?: Bounds) {
    const compile = compileOptions(CONFIG, true)
    this.turns = new Turns({ clock: CLOCK, onWork: () => undefined, onPlanned: (revision, delta, services, rows) => this.history.planned(revision, delta, services, rows, this.now), ...compile })
    this.history = new AuditHistory(this.turns, bounds)
    this.mark = compile.skeleton.nat?.mark as MarkLayout
    this.maker = new RecordMaker({ history: this.history, node: 'n1', mark: this.mark, world: () => this.planned() })
    syncAll(this.turns.inbox)
  }

  get inbox(): Turns['inbox'] {
    return this.turns.inbox
  }

  /** As an agent answers explain by. */
  planned(): Planned | null {
    const { snapshot, plan, nat } = this.turns
    if (snapshot === null) return null
    return { snapshot, entrance: 'n1', settings: { nodeEgress: 'allow', serviceCidrs: [] }, planFor: ({ node }) => (node === 'n1' ? plan : null), servicesOn: () => nat.services, problemsOf: () => [] }
  }

  /** Plans at `now`; the kernel takes it at once, as far as anybody knows. */
  settle(): void {
    this.turn()
    this.held()
  }

  turn(): void {
    this.turns.run()
  }

  held(): void {
    this.history.held(this.turns.revision, this.now)
  }

  /** Of a local pod, as planned now. */
  profile(uid: string, direction: Direction): Profile {
    const id = this.turns.plan.locals.get(uid)?.attachment[direction] ?? 'open'
    const profile = this.turns.plan.profiles.get(id)
    if (profile === undefined) throw new Error(`${uid} has no profile for ${direction}`)
    return profile
  }

  denied(uid: string, direction: Direction): string {
    const profile = this.profile(uid, direction)
    return formatLogPrefix({ event: 'denied', profile: profile.id, generation: profileGeneration(profile), place: null, sample: 1, label: '' })
  }

  allowed(uid: string, direction: Direction, place: string, label = ''): string {
    const profile = this.profile(uid, direction)
    return formatLogPrefix({ event: 'allowed', profile: profile.id, generation: profileGeneration(profile), place, sample: 1, label: labelHash(label) })
  }

  event(event: LogEvent): string {
    return formatLogPrefix({ event, profile: null, generation: '', place: null, sample: 1, label: '' })
  }

  /** The mark of a connection to the first list of a Service. */
  markOf(uid: string): number {
    const list = this.turns.nat.services?.services.get(uid)?.planned.lists[0]
    if (list === undefined) throw new Error(`${uid} has no list`)
    return listMark(this.mark, list.id)
  }

  record(flow: Partial<LoggedFlow> & Pick<LoggedFlow, 'prefix' | 'source' | 'destination'>): FlowRecord {
    const record = this.maker.make(logged(flow, this.now), this.now)
    if (record === null) throw new Error(`no record of ${flow.prefix}`)
    return record
  }
}

/** TCP 40000 -> 80, a SYN of 60 bytes, at that time. */
export function logged(fields: Partial<LoggedFlow> & Pick<LoggedFlow, 'prefix' | 'source' | 'destination'>, at: number): LoggedFlow {
  return { family: familyOf(fields.source), protocol: 6, sourcePort: 40_000, destinationPort: 80, icmp: null, tcpFlags: 2, mark: 0, inInterface: 0, outInterface: 0, first: at, last: at, count: 1, bytes: 60, ...fields }
}
