// Tokens of service accounts, as kubelets get them for pods, and what the API server says that their bearer may do.
//
// **Invariant:** what is allowed is the answer of the API server's own authorizer, asked about every resource that it serves.
import { named, type Grant } from '../tidy/access-rules.ts'
import { api, ask, type KubeObject } from './api.ts'

/** Bound to the pod, and so with its node's name in it; without a pod: neither. */
export async function tokenOf(namespace: string, account: string, pod: string | null = null): Promise<string> {
  const bound = pod === null ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod, uid: (await api.get('v1', 'Pod', namespace, pod)).metadata.uid } }
  const { body, status } = await ask('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: bound })
  if (status !== 201) throw new Error(`no token for ${namespace}/${account}: ${JSON.stringify(body)}`)
  return ((body as KubeObject)['status'] as { readonly token: string }).token
}

interface Served {
  readonly group: string
  readonly name: string
  readonly verbs: readonly string[]
}

/** `pods list`, or `leases.coordination.k8s.io get in picket-system "picket-operator"`. */
export function linesOf(grants: readonly Grant[]): readonly string[] {
  return grants.flatMap(({ resource, verbs, namespace, names }) =>
    verbs.map((verb) => `${resource} ${verb}${namespace === null ? '' : ` in ${namespace}`}${names.map((name) => ` "${name}"`).join('')}`),
  )
}

/** The same lines of all that the token's bearer may do: everywhere, or in `namespace`, or there to an object of the account's own name. */
export async function allowedTo(token: string, namespace: string, ownName = 'picket-operator'): Promise<readonly string[]> {
  const questions = (await served()).flatMap(({ group, name, verbs }) => verbs.map((verb) => ({ group, name, verb })))
  const lines: string[] = []
  const tell = async ({ group, name, verb }: (typeof questions)[number]): Promise<void> => {
    const line = `${named(group, name)} ${verb}`
    if (await may(token, group, name, verb, {})) lines.push(line)
    else if (await may(token, group, name, verb, { namespace })) lines.push(`${line} in ${namespace}`)
    else if (await may(token, group, name, verb, { namespace, name: ownName })) lines.push(`${line} in ${namespace} "${ownName}"`)
  }
  const rest = [...questions]
  await Promise.all(Array.from({ length: 16 }, async () => {
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) await tell(next)
  }))
  return lines
}

async function may(token: string, group: string, resource: string, verb: string, where: object): Promise<boolean> {
  const [plural, subresource] = resource.split('/')
  const spec = { resourceAttributes: { group, resource: plural, ...(subresource === undefined ? {} : { subresource }), verb, ...where } }
  const answer = await ask('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec }, undefined, token)
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body))
  return ((answer.body as KubeObject)['status'] as { readonly allowed: boolean }).allowed
}

async function served(): Promise<readonly Served[]> {
  const { groups } = (await ask('GET', '/apis')).body as { readonly groups: readonly { readonly preferredVersion: { readonly groupVersion: string } }[] }
  const versions = ['', ...groups.map((one) => one.preferredVersion.groupVersion)]
  const lists = await Promise.all(versions.map(async (version) => {
    const { resources } = (await ask('GET', version === '' ? '/api/v1' : `/apis/${version}`)).body as { readonly resources: readonly Served[] }
    return resources.map(({ name, verbs }) => ({ group: version.split('/')[0] ?? '', name, verbs }))
  }))
  return lists.flat()
}
