// Random cases of the form of test/cases/networkpolicy.json, with what the oracle expects: for real packets.
//
// Nine pods on addresses that the generated ipBlocks name, in three namespaces, with generated labels and named ports; then
// steps that create, edit and delete generated policies and relabel pods and namespaces.
// **Invariant:** a function of the seed; what a cell expects comes from the oracle and from which ports the pod serves.
import fc from 'fast-check'
import { CaseCluster, type CaseAction, type PolicyCase } from './case-cluster.ts'
import { damagedPolicySketch, labels, NAMESPACES, policySketch, PORT_NUMBERS } from './generate.ts'
import type { RawPolicy } from './manifests.ts'
import { judge, passes } from './oracle.ts'
import type { LabelSketch, PolicySketch } from './states.ts'

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const
/** Not all that exist: 9 pods x 9 pods x 2 families x these x 3 protocols are enough for one round. */
const SERVED = PORT_NUMBERS.slice(0, 4)
const PODS = Array.from({ length: 9 }, (_, i) => ({ key: `${NAMESPACES[i % 3]}/pod-${i + 1}`, node: 1 + (i % 2), slot: i + 1 }))

interface Sketch {
  readonly namespaces: readonly LabelSketch[]
  readonly labels: readonly LabelSketch[]
  readonly named: readonly number[]
  readonly policies: readonly PolicySketch[]
  /** What the first policy becomes. Never damaged: then its last good version would stay in force, and the oracle has no memory. */
  readonly edited: PolicySketch
  readonly relabelled: LabelSketch
  readonly at: number
}

const policies = fc.array(fc.oneof({ weight: 9, arbitrary: policySketch }, { weight: 1, arbitrary: damagedPolicySketch }), { minLength: 2, maxLength: 6 })

const sketches: fc.Arbitrary<Sketch> = fc.record({
  namespaces: fc.array(labels, { minLength: 3, maxLength: 3 }),
  labels: fc.array(labels, { minLength: PODS.length, maxLength: PODS.length }),
  named: fc.array(fc.nat({ max: SERVED.length - 1 }), { minLength: PODS.length, maxLength: PODS.length }),
  policies,
  edited: policySketch,
  relabelled: labels,
  at: fc.nat({ max: 1000 }),
})

/** `count` cases, the same for the same seed. */
export function randomCases(seed: number, count: number): readonly PolicyCase[] {
  return fc.sample(sketches, { seed, numRuns: count }).map((sketch, i) => caseOf(sketch, `random-${seed}-${i}`))
}

function caseOf(sketch: Sketch, id: string): PolicyCase {
  const start = {
    id,
    title: `${sketch.policies.length} policies`,
    namespaces: Object.fromEntries(NAMESPACES.map((name, i) => [name, { ...sketch.namespaces[i] }])),
    pods: Object.fromEntries(PODS.map((pod, i) => [pod.key, podOf(sketch, i)])),
    steps: [],
  }
  const cluster = new CaseCluster(start)
  const steps = stepsOf(sketch).map((actions) => {
    for (const action of actions) cluster.play(action)
    return { actions, pods: PODS.map((pod) => pod.key), expect: expected(cluster) }
  })
  return { ...start, steps }
}

/** Every pod serves the same ports; which of them is called `http` differs, over TCP and UDP apart (rules 36-38). */
function podOf(sketch: Sketch, i: number): PolicyCase['pods'][string] {
  const { node, slot } = PODS[i] as (typeof PODS)[number]
  const http = sketch.named[i] as number
  const ports = SERVED.flatMap((port, at) =>
    PROTOCOLS.map((protocol) => {
      const isHttp = protocol === 'TCP' ? at === http : protocol === 'UDP' && at === (http + 1) % SERVED.length
      return { name: isHttp ? 'http' : `p${port}-${protocol.toLowerCase()}`, port, protocol }
    }),
  )
  return { labels: { ...sketch.labels[i] }, ips: [`10.1.${node}.${slot}`, `fd00:1:${node}::${slot}`], ports }
}

/** All policies; one gone, one edited, a pod relabelled; a namespace relabelled. */
function stepsOf(sketch: Sketch): readonly (readonly CaseAction[])[] {
  const named = sketch.policies.map((policy, i) => policyOf(policy, i))
  const pod = PODS[sketch.at % PODS.length] as (typeof PODS)[number]
  const [namespace, name] = pod.key.split('/') as [string, string]
  const first = named[0] as RawPolicy
  return [
    named.map((createPolicy) => ({ createPolicy })),
    [
      { deletePolicy: { namespace: (named[1] as RawPolicy).metadata.namespace as string, name: 'policy-1' } },
      { updatePolicy: { ...first, spec: sketch.edited.spec } },
      { setPodLabels: { namespace, pod: name, labels: { ...sketch.relabelled } } },
    ],
    [{ setNamespaceLabels: { namespace: NAMESPACES[sketch.at % 3] as string, labels: { ...sketch.relabelled } } }],
  ]
}

function policyOf(policy: PolicySketch, i: number): RawPolicy {
  const metadata = { name: `policy-${i}`, namespace: policy.namespace } as RawPolicy['metadata']
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec: policy.spec }
}

function expected(cluster: CaseCluster): PolicyCase['steps'][number]['expect'] {
  const cells: Record<string, readonly string[]> = {}
  for (const family of [0, 1] as const) {
    for (const port of SERVED) {
      for (const protocol of PROTOCOLS) {
        const reaches = (from: string, to: string): string => {
          const [source, destination] = [cluster.addresses(from)[family] as string, cluster.addresses(to)[family] as string]
          return passes(judge(cluster.objects, { source, destination, protocol, port })) ? '1' : '0'
        }
        cells[`${family === 0 ? 'v4' : 'v6'} ${port}/${protocol}`] = PODS.map((from) => PODS.map((to) => reaches(from.key, to.key)).join(''))
      }
    }
  }
  return cells
}
