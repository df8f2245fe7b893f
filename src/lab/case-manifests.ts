// What a moment of a case looks like to the lab: which pods run where, and the manifests that its agents read.
//
// World -> Wanted, one file an object. **Invariant:** a policy is written as the case has it, readable or not; only what
// an API server adds (UID, generation, creation time) is added.
import { shortHash } from '../lib/hash.ts'
import type { World } from './case-world.ts'
import type { RunningPod, Wanted } from './cluster.ts'
import { namespaceText, nodeText, podText, text } from './kube-objects.ts'
import type { LabNode } from './testbed.ts'

/** Pods keep the node that they run on; others go where the fewest are. */
export function wantedOf(world: World, nodes: readonly LabNode[], running: ReadonlyMap<string, RunningPod>, createdAt: string): Wanted {
  const load = new Map(nodes.map(({ name }) => [name, 0]))
  const placed = new Map<string, string>()
  const place = (key: string, node: string): void => {
    placed.set(key, node)
    load.set(node, (load.get(node) ?? 0) + 1)
  }
  for (const [key, { uid }] of world.pods) {
    const pod = running.get(key)
    if (pod?.uid === uid) place(key, pod.node)
  }
  for (const key of world.pods.keys()) {
    if (placed.has(key)) continue
    const [least] = [...load].reduce((a, b) => (b[1] < a[1] ? b : a))
    place(key, least)
  }
  const pods = new Map<string, RunningPod>()
  const files = new Map<string, string>()
  for (const { name, addresses } of nodes) files.set(`nodes/${name}.json`, nodeText(name, `node-${name}`, addresses, [], createdAt))
  for (const [name, { uid, labels }] of world.namespaces) files.set(`namespaces/${name}.json`, namespaceText(name, uid, labels, createdAt))
  for (const [key, pod] of world.pods) {
    const node = placed.get(key) as string
    pods.set(key, { key, uid: pod.uid, node, addresses: pod.addresses, ports: pod.ports })
    files.set(`pods/${pod.namespace}/${fileName(pod.name)}`, podText({ ...pod, node, createdAt }))
  }
  for (const [key, { uid, generation, namespace, manifest }] of world.policies) {
    const metadata = { ...(manifest['metadata'] as object), namespace, uid, generation, creationTimestamp: createdAt }
    const name = fileName(key.slice(namespace.length + 1))
    files.set(`policies/${namespace}/${name}`, text({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', ...manifest, metadata }))
  }
  return { pods, files }
}

/** A name of an object (at most 253 characters, in a case anything) as a name of a file. */
function fileName(name: string): string {
  return /^[a-z0-9][-a-z0-9.]{0,99}$/.test(name) ? `${name}.json` : `${shortHash(name, 16)}.json`
}
