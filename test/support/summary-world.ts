// A cluster as the operator sees it, for tests of src/summary/: rows, versions, reports and liveness in, statuses out.
//
// Runs the real store in front of the real summary. **Invariant:** whatever was said since the last step is in the next one.
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import type { PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import type { Condition } from '../../src/crd/shared.ts'
import type { WarningType } from '../../src/crd/warnings.ts'
import type { Problem } from '../../src/lib/problem.ts'
import type { Decoded, RowOf, SourceEvent } from '../../src/model/changes.ts'
import type { Namespace, Node, Pod, PolicyUid, Uid } from '../../src/model/objects.ts'
import type { Policy } from '../../src/model/policy.ts'
import type { Service } from '../../src/model/service.ts'
import { Inbox } from '../../src/store/inbox.ts'
import { Store } from '../../src/store/store.ts'
import type { Liveness } from '../../src/summary/conditions.ts'
import type { DnsService } from '../../src/summary/dns.ts'
import type { PolicyVersion } from '../../src/summary/first-seen.ts'
import { reportOf, type NodeReport } from '../../src/summary/node-report.ts'
import { Summary, type SummaryDelta } from '../../src/summary/summary.ts'
import { nodeStatus } from './enforcements.ts'

export const ALIVE: Liveness = { isAlive: true, reason: 'AgentReady', message: '' }
export const SILENT: Liveness = { isAlive: false, reason: 'AgentNotReady', message: 'the agent of the node is not ready for 20 s' }

type SummaryKind = 'pod' | 'namespace' | 'node' | 'policy' | 'service'

export class SummaryWorld {
  readonly store = new Store()
  readonly summary = new Summary()
  /** PolicyEnforcements that are there: what an operator before left. */
  readonly written = new Map<string, PolicyEnforcementStatus>()
  dns: readonly DnsService[] = []
  now = '2026-01-31T12:00:00Z'
  readonly #inbox = new Inbox(() => undefined)
  #versions = new Map<PolicyUid, PolicyVersion>()
  #reports = new Map<string, NodeReport | null>()
  #liveness = new Map<string, Liveness | null>()
  #resourceVersion = 100

  namespaces(...rows: readonly Namespace[]): this {
    return this.#say('namespace', rows)
  }

  nodes(...rows: readonly Node[]): this {
    return this.#say('node', rows)
  }

  pods(...rows: readonly Pod[]): this {
    return this.#say('pod', rows)
  }

  services(...rows: readonly Service[]): this {
    return this.#say('service', rows)
  }

  /** Each with a resourceVersion newer than all before, unless `resourceVersion` says one. */
  policies(...rows: readonly Policy[]): this {
    for (const row of rows) this.policyAt(row, String(++this.#resourceVersion))
    return this
  }

  policyAt(row: Policy, resourceVersion: string): this {
    this.#versions.set(row.uid, { uid: row.uid, generation: row.generation, resourceVersion })
    return this.#say('policy', [row])
  }

  /** A policy that cannot be read, or only with remarks. */
  decoded(row: Policy, decoded: Decoded<Policy>, resourceVersion = String(++this.#resourceVersion)): this {
    this.#versions.set(row.uid, { uid: row.uid, generation: row.generation, resourceVersion })
    this.#inbox.push({ verb: 'upsert', kind: 'policy', key: row.uid, decoded })
    return this
  }

  remove(kind: SummaryKind, uid: Uid): this {
    this.#inbox.push({ verb: 'delete', kind, key: uid })
    return this
  }

  /** What the agent of a node says; by default that it enforces everything up to resourceVersion 1000. `null`: there is no NodeEnforcement. */
  report(node: string, status: NodeEnforcementStatus | null = {}, owner: Uid | null = `node/${node}`): this {
    this.#reports.set(node, status === null ? null : reportOf(node, owner, nodeStatus(status)))
    return this
  }

  /** `null`: nothing is said of it any more. */
  live(node: string, liveness: Liveness | null = ALIVE): this {
    this.#liveness.set(node, liveness)
    return this
  }

  step(): SummaryDelta {
    const { snapshot, delta, problems } = this.store.apply(this.#inbox.drain())
    const [versions, reports, liveness] = [this.#versions, this.#reports, this.#liveness]
    this.#versions = new Map()
    this.#reports = new Map()
    this.#liveness = new Map()
    const written = (namespace: string, name: string): PolicyEnforcementStatus | null => this.written.get(`${namespace}/${name}`) ?? null
    return this.summary.step({ snapshot, delta, problems, versions, reports, liveness, dns: this.dns, written, now: this.now })
  }

  /** After a step. Throws where there is no such policy. */
  status(name = 'policy', namespace = 'default'): PolicyEnforcementStatus {
    const status = this.summary.statusOf(`policy/${namespace}/${name}`)
    if (status === null) throw new Error(`no policy ${namespace}/${name}`)
    return status
  }

  #say<K extends SummaryKind>(kind: K, rows: readonly RowOf[K][]): this {
    for (const row of rows) this.#inbox.push({ verb: 'upsert', kind, key: row.uid, decoded: { kind: 'good', row, problems: [] } } as SourceEvent)
    return this
  }
}

/** `True/Programmed`; empty where there is none of the type. */
export function said(status: PolicyEnforcementStatus, type: string): string {
  const found = conditionOf(status, type)
  return found === undefined ? '' : `${found.status}/${found.reason}`
}

export function conditionOf(status: PolicyEnforcementStatus, type: string): Condition | undefined {
  return status.conditions.find((one) => one.type === type)
}

export function warningsIn(status: PolicyEnforcementStatus): readonly WarningType[] {
  return status.warnings.map(({ type }) => type)
}

/** What the decoder says of a policy with one bad field. */
export function badField(row: Policy, field = 'spec.ingress[0].from[0].ipBlock.cidr'): Problem {
  return { code: 'InvalidField', severity: 'error', object: `NetworkPolicy ${row.namespace}/${row.name}`, field, message: 'found "10.0.0.0/33", expected a CIDR' }
}
