// Statuses of the custom resources for tests: give what matters, the rest is filled in.
//
// **Invariant:** what is made here is as the schema says, unless the test's own fields are not.
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import type { PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import type { Condition } from '../../src/crd/shared.ts'

export const AT = '2026-01-31T12:00:00Z'

export function condition(type: string, fields: Partial<Condition> = {}): Condition {
  return { type, status: 'True', reason: type, message: '', lastTransitionTime: AT, ...fields }
}

/** Of a node that enforces everything up to resourceVersion 1000. */
export function nodeStatus(fields: NodeEnforcementStatus = {}): NodeEnforcementStatus {
  return {
    agentVersion: '0.1.0',
    kernel: '6.1.0',
    nftables: '1.0.6',
    ruleset: { revision: 7, hash: 'f00d' },
    observedResourceVersions: { networkpolicies: '1000', pods: '1001' },
    lastProgrammedTime: AT,
    counts: { pods: { isolated: 12, open: 7, pending: 1 }, policies: 3, rules: 40, setElements: 120, services: 0 },
    failures: [],
    failuresTotal: 0,
    committed: [],
    conditions: [condition('Ready'), condition('Programmed'), condition('TableIntact')],
    summary: { pods: '12/20' },
    ...fields,
  }
}

/** Of the policy `web` that two nodes enforce. */
export function policyStatus(fields: Partial<PolicyEnforcementStatus> = {}): PolicyEnforcementStatus {
  const nobody = { everyone: false, pods: 0, ipBlocks: 0 }
  return {
    policyGeneration: 1,
    policyRef: { name: 'web', uid: 'u1', resourceVersion: '900' },
    conditions: [condition('Accepted'), condition('Programmed')],
    nodes: { desired: 2, programmed: 2, pending: 0, failed: 0, stale: 0 },
    failedNodes: [],
    moreFailedNodes: 0,
    selectedPods: 3,
    isolates: ['Ingress'],
    peers: { ingress: nobody, egress: nobody },
    timeToEnforce: { p50Ms: 18, maxMs: 140, nodes: 2 },
    warnings: [],
    summary: { nodes: '2/2', timeToEnforce: '18ms (max 140ms)', warnings: '<none>' },
    ...fields,
  }
}
