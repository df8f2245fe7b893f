// The files of `npm run test:cluster`, in the order in which they run on one cluster.
//
// **Invariant:** every *.test.ts of this folder is listed; whatever one leaves behind, the next may rely on only if it is
// said here.
export { goIsThere } from './programs.ts'

export interface ClusterTest {
  /** `test/cluster/NAME.test.ts`. */
  readonly name: string
  readonly what: string
  /** Others build on it: it runs whatever `--only` says. */
  readonly needed: boolean
}

/** On a cluster of its own, after the others: `npm run cluster -- up` with these flags. */
export const OTHER_CLUSTER = {
  flags: ['--attachment', 'bridge', '--no-kube-proxy'],
  tests: [
    { name: 'bridge', what: 'pods on bridges, no kube-proxy, an installation of one\'s own', needed: false },
    { name: 'services', what: 'the overlay full: DNS, the API server and Services through Picket', needed: false },
    { name: 'ingress', what: 'an nginx as ingress under policy, environment variables, hostPort', needed: false },
  ] satisfies readonly ClusterTest[],
} as const

/** Runs when the cluster has ended. */
export const AFTERWARDS: ClusterTest = { name: 'down', what: 'nothing is left when the cluster has ended', needed: true }

export const CLUSTER_TESTS: readonly ClusterTest[] = [
  { name: 'image', what: 'the image starts read-only, without a shell, with NET_ADMIN only', needed: false },
  { name: 'install', what: 'the manifests install it, and it enforces', needed: true },
  { name: 'canary', what: 'the packets that prove the table, on every node', needed: false },
  { name: 'crds', what: 'the custom resources: explained, shown in columns, guarded by CEL', needed: false },
  { name: 'enforcements', what: 'what the operator tells of policies: programmed, stale, invalid, made anew, taken over', needed: false },
  { name: 'node-enforcement', what: 'what each agent tells of its node: policies with their times, failures, no idle writes', needed: false },
  { name: 'status', what: 'picket status: what it shows, and a wait that ends when the kernels are as it promises', needed: false },
  { name: 'explain', what: 'picket explain from outside against real packets, and what agents say by exec', needed: false },
  { name: 'observe', what: 'picket observe from outside while real pods are denied, over agents that are replaced', needed: false },
  { name: 'check', what: 'picket check from outside, with pods on every node', needed: false },
  { name: 'protobuf', what: 'pods in protobuf and in JSON are the same rows', needed: false },
  { name: 'writes', what: 'a real API server treats our writes as the tests\' own does, and one of two leads', needed: false },
  { name: 'privileges', what: 'agents write the object of their own node, the operator what is listed', needed: false },
  { name: 'events', what: 'Events are taken, counted in series, and shown by kubectl', needed: false },
  { name: 'cases', what: 'the policy cases on real pods', needed: false },
  { name: 'lifecycle', what: 'probes of kubelet, pods that end, namespaces that go', needed: false },
  { name: 'gate', what: 'first packets of new pods, without the pod-start gate and with it', needed: false },
  { name: 'cni-plugin', what: 'the plugin of the gate, called as a runtime calls it', needed: false },
  { name: 'restarts', what: 'kills, roll-outs and deletions of the agent under load', needed: false },
  { name: 'api-server', what: 'an API server that goes away, a storm of events', needed: false },
  { name: 'moving', what: 'from kube-proxy to Picket and back, under connections', needed: false },
  { name: 'middle', what: 'a watch that is cut, stalled and garbled on its way', needed: false },
  { name: 'uninstall', what: 'uninstall in order, and after a careless delete; last, nothing is installed afterwards', needed: false },
]
