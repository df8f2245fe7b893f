// Asks the API server for what `picket status` looks at: lists, in pages, each one consistent read.
//
// Policies are asked for first: what is told of them is then at least as new as they are.
// **Invariant:** only reads; where the nodes may not be read that is told, everything else that fails is an ApiFailure.
import { NODE_ENFORCEMENT } from '../crd/node-enforcement.ts'
import { POLICY_ENFORCEMENT } from '../crd/policy-enforcement.ts'
import { apiListOf, GROUP } from '../crd/schema.ts'
import { ApiFailure } from '../kube/failures.ts'
import { eachItem } from '../kube/list.ts'
import { goodRow, usualResource, type Resource } from '../kube/resources.ts'
import { rowOf } from '../kube/rows.ts'
import type { Transport } from '../kube/transport.ts'
import { PicketError } from '../lib/errors.ts'
import type { Pod } from '../model/objects.ts'
import { isIn, nodeFacts, policyFacts, toldFacts, type NodeFacts, type PolicyFacts, type Scope, type ToldFacts } from './facts.ts'
import type { Facts } from './report.ts'

export type Asking = Pick<Transport, 'get'>

function scoped(resource: Resource, { namespace, policy }: Scope): Resource {
  const cut = resource.path.lastIndexOf('/')
  const path = namespace === null ? resource.path : `${resource.path.slice(0, cut)}/namespaces/${namespace}${resource.path.slice(cut)}`
  return { ...resource, path, ...(policy === null ? {} : { query: { fieldSelector: `metadata.name=${policy}` } }) }
}

export function policiesOf(scope: Scope): Resource<'policy'> {
  return { ...scoped(usualResource('networkpolicies'), scope), rows: 'policy', read: (raw) => goodRow(policyFacts(raw)) }
}

export function toldOf(scope: Scope): Resource<'told'> {
  return { ...scoped({ ...apiListOf(POLICY_ENFORCEMENT), rows: 'told', message: null }, scope), rows: 'told', read: (raw) => goodRow(toldFacts(raw)) }
}

export function nodesOf(): Resource<'node'> {
  return { ...apiListOf(NODE_ENFORCEMENT), rows: 'node', message: null, read: (raw) => goodRow(nodeFacts(raw)) }
}

/** Everything in the scope, and all nodes. */
export async function readFacts(asking: Asking, scope: Scope, signal: AbortSignal): Promise<Facts> {
  const { policies } = await readPolicies(asking, scope, signal)
  const told = await readAll<ToldFacts>(asking, toldOf(scope), toldFacts, signal)
  return { policies, told: told.items.filter((one) => isIn(scope, one)), nodes: await nodesIfAllowed(asking, signal) }
}

/** `version`: of the list. */
export async function readPolicies(asking: Asking, scope: Scope, signal: AbortSignal): Promise<{ readonly policies: readonly PolicyFacts[]; readonly version: string }> {
  const { items, version } = await readAll<PolicyFacts>(asking, policiesOf(scope), policyFacts, signal)
  return { policies: items.filter((one) => isIn(scope, one)), version }
}

export async function readNodes(asking: Asking, signal: AbortSignal): Promise<readonly NodeFacts[]> {
  return (await readAll<NodeFacts>(asking, nodesOf(), nodeFacts, signal)).items
}

async function nodesIfAllowed(asking: Asking, signal: AbortSignal): Promise<readonly NodeFacts[] | null> {
  try {
    return await readNodes(asking, signal)
  } catch (error) {
    if (error instanceof ApiFailure && error.code === 'PermissionMissing') return null
    throw error
  }
}

/** Names of the nodes with a pod of the namespace on the pod network, that has an address. */
export async function placesOf(asking: Asking, namespace: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const pods = scoped(usualResource('pods'), { namespace, policy: null })
  const nodes = new Set<string>()
  await eachItem(asking as Transport, pods, signal, () => (item) => {
    const { decoded } = rowOf(item, pods)
    const pod = (decoded as { readonly row?: Pod }).row
    // One that cannot be read may be anywhere on the network, and says at least where.
    if (pod === undefined || (pod.node !== null && !pod.hostNetwork && !pod.finished && pod.addresses.length > 0)) nodes.add(pod?.node ?? '')
  })
  nodes.delete('')
  return nodes
}

async function readAll<Of>(asking: Asking, resource: Resource, read: (raw: unknown) => Of | null, signal: AbortSignal): Promise<{ readonly items: readonly Of[]; readonly version: string }> {
  let items: Of[] = []
  try {
    const version = await eachItem(asking as Transport, resource, signal, () => {
      items = []
      return (item) => {
        const one = read(item)
        if (one !== null) items.push(one)
      }
    })
    return { items, version }
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.code !== 'UnknownServer' || resource.group !== GROUP) throw error
    throw new PicketError('NoCustomResources', `the API server knows no ${resource.plural}.${GROUP}: expected Picket's custom resources (kubectl apply -k crds), and its operator; on a node, --socket asks its agent alone`)
  }
}
