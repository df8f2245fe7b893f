// What Picket tells of policies and nodes in the test cluster, waited for: statuses, their conditions, and Events.
//
// **Invariant:** only reads, but for the pods of webOnEachNode; a wait that is in vain says what was told last.
import type { PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import { API_VERSION } from '../../src/crd/schema.ts'
import type { Condition } from '../../src/crd/shared.ts'
import { settled } from './agents.ts'
import { api, type KubeObject } from './api.ts'
import type { TestCluster } from './cluster.ts'
import { podObject, runningPod } from './pods.ts'
import { until } from './processes.ts'

interface WithConditions {
  readonly conditions?: readonly Condition[]
}
export type Stored = KubeObject & { readonly status?: PolicyEnforcementStatus }
export type Told = KubeObject & { readonly status: PolicyEnforcementStatus }

/** Operators that run, and in a namespace of its own a pod `app: web` on each node, of which the agents have heard. */
export async function webOnEachNode(cluster: TestCluster, namespace: string): Promise<void> {
  await cluster.mustKubectl(['-n', 'picket-system', 'rollout', 'status', 'deployment/picket-operator', '--timeout=120s'], { timeout: 150_000 })
  await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  for (const { name } of cluster.nodes) await api.create(podObject({ namespace, name: `web-${name}`, node: name, labels: { app: 'web' }, container: { args: ['serve', '8080/tcp'] } }))
  for (const { name } of cluster.nodes) await runningPod(namespace, `web-${name}`)
  await settled(cluster.nodes)
}

export function condition(status: WithConditions | undefined, type: string): Condition | undefined {
  return status?.conditions?.find((one) => one.type === type)
}

/** `True/Programmed`; empty where there is no such condition. */
export function said(status: WithConditions | undefined, type: string): string {
  const found = condition(status, type)
  return found === undefined ? '' : `${found.status}/${found.reason}`
}

export async function enforcementOf(namespace: string, name: string): Promise<Stored | null> {
  return (await api.find(API_VERSION, 'PolicyEnforcement', namespace, name)) as Stored | null
}

/** Until the status of a policy is as wanted. */
export async function untilPolicy(namespace: string, name: string, what: string, wanted: (status: PolicyEnforcementStatus) => boolean, timeout: number): Promise<Told> {
  let last: Stored | null = null
  return until(`${name}: ${what}`, timeout, async () => {
    last = await enforcementOf(namespace, name)
    return last?.status !== undefined && wanted(last.status) ? (last as Told) : null
  }, () => JSON.stringify(last?.status ?? last).slice(0, 1500))
}

/** Until there is an Event about an object of that name; those about Nodes are in `default`. */
export async function untilEvent(namespace: string, name: string, reason: string, note: RegExp, timeout: number): Promise<void> {
  let last: readonly unknown[] = []
  await until(`${name}: an Event ${reason}`, timeout, async () => {
    const found = (await api.list('events.k8s.io/v1', 'Event', namespace)).filter((one) => one['reason'] === reason && (one['regarding'] as { readonly name?: string }).name === name)
    last = found.map((one) => one['note'])
    return last.some((one) => note.test(String(one))) ? true : null
  }, () => JSON.stringify(last))
}
