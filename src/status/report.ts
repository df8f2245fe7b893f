// What the cluster's policies and nodes say -> what `picket status` answers: how many are enforced, what is not and why, who is slow.
//
// **Invariant:** whatever keeps `enforced` from being true is in `notEnforced` or `nodeTroubles`, the worst first; every policy is in one
// state.
import { keyOf } from '../lib/names.ts'
import { by } from '../lib/sorting.ts'
import type { WarningType } from '../crd/warnings.ts'
import type { FailedNode } from '../crd/policy-enforcement.ts'
import { conditionOf, type NodeFacts, type PolicyFacts, type Scope, type ToldFacts } from './facts.ts'
import { judgePolicy, POLICY_STATES, type PolicyState, type Verdict } from './verdict.ts'

export interface Facts {
  readonly policies: readonly PolicyFacts[]
  readonly told: readonly ToldFacts[]
  /** Null where they may not be read. */
  readonly nodes: readonly NodeFacts[] | null
}

export interface NotEnforced extends Verdict {
  readonly namespace: string
  readonly name: string
  readonly generation: number
  readonly failedNodes: readonly FailedNode[]
  readonly moreFailedNodes: number
}

/** A condition of a node that is not True. */
export interface NodeTrouble {
  readonly node: string
  /** `Reporting`, `Ready`, `Programmed`, `TableIntact`, `AuditHealthy`. */
  readonly condition: string
  readonly status: string
  readonly reason: string
  readonly message: string
  readonly since: string | null
}

/** How long a node took from the arrival of a policy's generation to its commit. */
export interface NodePace {
  readonly node: string
  readonly p50Ms: number
  readonly maxMs: number
  /** Of how many generations. */
  readonly commits: number
}

export interface PolicyRemark {
  readonly namespace: string
  readonly name: string
  readonly type: WarningType
  readonly message: string
}

export interface StatusReport {
  readonly scope: Scope
  /** All that was asked for. */
  readonly enforced: boolean
  /** Null where they may not be read. */
  readonly nodes: { readonly total: number; readonly reporting: number; readonly ready: number } | null
  readonly policies: Readonly<Record<PolicyState | 'total', number>>
  /** Of the nodes that report. */
  readonly pods: { readonly isolated: number; readonly open: number; readonly pending: number } | null
  readonly notEnforced: readonly NotEnforced[]
  readonly nodeTroubles: readonly NodeTrouble[]
  /** The slowest first; all that told any. */
  readonly paces: readonly NodePace[]
  readonly warnings: readonly PolicyRemark[]
}

/** `facts`: of the scope only, but for nodes. */
export function statusReport(scope: Scope, { policies, told, nodes }: Facts): StatusReport {
  const toldOf = new Map(told.map((one) => [keyOf(one), one]))
  const judged = policies.map((policy) => ({ policy, told: toldOf.get(keyOf(policy)) ?? null })).map((one) => ({ ...one, verdict: judgePolicy(one.policy, one.told) }))
  const notEnforced = judged.filter(({ verdict }) => verdict.state !== 'programmed').map(({ policy, told: status, verdict }) => ({
    namespace: policy.namespace,
    name: policy.name,
    generation: policy.generation,
    ...verdict,
    failedNodes: verdict.state === 'failed' ? (status?.status?.failedNodes ?? []) : [],
    moreFailedNodes: verdict.state === 'failed' ? (status?.status?.moreFailedNodes ?? 0) : 0,
  }))
  const isWhole = scope.namespace === null && scope.policy === null
  const nodeTroubles = (nodes ?? []).flatMap(troublesOf).sort(by(({ node, condition }) => `${CONDITIONS.indexOf(condition)} ${node}`))
  const asked = new Set(policies.map(({ uid }) => uid))
  return {
    scope,
    // Nodes say what they do as a whole: whoever asks for some policies only hears of them by the policies.
    // What the audit lost was enforced all the same.
    enforced: notEnforced.length === 0 && (!isWhole || nodeTroubles.every(({ condition }) => condition === 'AuditHealthy')),
    nodes: nodes === null ? null : { total: nodes.length, reporting: nodes.filter(isReporting).length, ready: nodes.filter(({ status }) => conditionOf(status, 'Ready')?.status === 'True').length },
    policies: countsOf(judged.map(({ verdict }) => verdict.state)),
    pods: nodes === null ? null : podsOf(nodes.filter(isReporting)),
    notEnforced: notEnforced.sort(by((one) => `${POLICY_STATES.indexOf(one.state)} ${one.since ?? ''} ${keyOf(one)}`)),
    nodeTroubles,
    paces: pacesOf(nodes ?? [], isWhole ? null : asked),
    warnings: judged.flatMap(({ policy: { namespace, name, uid }, told: status }) => (status?.policyUid === uid ? (status.status?.warnings ?? []) : []).map(({ type, message }) => ({ namespace, name, type, message }))).sort(by(keyOf)),
  }
}

const CONDITIONS: readonly string[] = ['Reporting', 'Ready', 'Programmed', 'TableIntact', 'AuditHealthy']

export function isReporting({ status }: NodeFacts): boolean {
  return conditionOf(status, 'Reporting')?.status === 'True'
}

/** Of a node that does not report the rest is old, and not told. */
function troublesOf(node: NodeFacts): readonly NodeTrouble[] {
  const reporting = conditionOf(node.status, 'Reporting')
  if (reporting === null) return [{ node: node.name, condition: 'Reporting', status: 'Unknown', reason: 'NotTold', message: 'the operator has not said yet whether it reports', since: null }]
  const told = (node.status.conditions ?? []).filter(({ type, status }) => CONDITIONS.includes(type) && status !== 'True')
  const troubles = reporting.status === 'True' ? told : [reporting]
  return troubles.map(({ type, status, reason, message, lastTransitionTime }) => ({ node: node.name, condition: type, status, reason, message, since: lastTransitionTime }))
}

function countsOf(states: readonly PolicyState[]): StatusReport['policies'] {
  const counts = Object.fromEntries(POLICY_STATES.map((state) => [state, states.filter((one) => one === state).length])) as Record<PolicyState, number>
  return { total: states.length, ...counts }
}

function podsOf(nodes: readonly NodeFacts[]): Required<StatusReport>['pods'] {
  const sum = (of: 'isolated' | 'open' | 'pending'): number => nodes.reduce((total, { status }) => total + (status.counts?.pods[of] ?? 0), 0)
  return { isolated: sum('isolated'), open: sum('open'), pending: sum('pending') }
}

/** `asked`: UIDs of the policies that are meant; null: all. */
function pacesOf(nodes: readonly NodeFacts[], asked: ReadonlySet<string> | null): readonly NodePace[] {
  const paces = nodes.flatMap(({ name, status }): NodePace[] => {
    const times = (status.committed ?? []).filter(({ uid }) => asked?.has(uid) ?? true).map(({ latencyMs }) => latencyMs).sort((a, b) => a - b)
    if (times.length === 0) return []
    return [{ node: name, p50Ms: times[Math.ceil(times.length / 2) - 1] as number, maxMs: times.at(-1) as number, commits: times.length }]
  })
  return paces.sort((a, b) => b.p50Ms - a.p50Ms || b.maxMs - a.maxMs || by<NodePace>(({ node }) => node)(a, b))
}
