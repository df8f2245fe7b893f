// What every API server says to our writes: one story, told to the test's own server and to a real one, with the same answers.
//
// It is about a kind of its own (`DEFINITION`), whose status has conditions by type, and about Leases.
// **Invariant:** whatever ObjectWriter, Leader and Publisher rely on stands here; the names are the caller's, and nothing is left behind.
import { ApiFailure } from '../../src/kube/failures.ts'
import { heldBy, holdingOf, LEASE, newLease, released } from '../../src/kube/lease.ts'
import type { DeletePreconditions, Metadata, ObjectKind, ObjectWriter, StoredObject } from '../../src/kube/object-writer.ts'

export const TRIAL: ObjectKind = { kind: 'Trial', plural: 'trials', group: 'test.picket.dev', version: 'v1', namespaced: true }

const TEXT = { type: 'string' } as const
const CONDITION = { type: 'object', required: ['type'], properties: { type: TEXT, status: TEXT } } as const
const STATUS = {
  type: 'object',
  properties: { text: TEXT, more: TEXT, conditions: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'], items: CONDITION } },
} as const

/** For a real server. */
export const DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${TRIAL.plural}.${TRIAL.group}` },
  spec: {
    group: TRIAL.group,
    names: { kind: TRIAL.kind, plural: TRIAL.plural, singular: 'trial', listKind: 'TrialList' },
    scope: 'Namespaced',
    versions: [{ name: TRIAL.version, served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema: { type: 'object', properties: { status: STATUS } } } }],
  },
}

export const STORY: readonly string[] = [
  'make one with a status: taken, without it',
  'make it again: AlreadyExists',
  'apply its status at its version: taken',
  'apply the same again: taken, and the version stays',
  'apply it at the version before: Conflict',
  'apply the same with another UID: taken, and the version stays',
  'apply the object with another UID: RequestRefused',
  'apply it with another UID, at the version before: Conflict',
  'apply what another manager owns: Conflict',
  'the same by force: taken',
  'a condition of another manager: taken, beside ours',
  'apply without a field that was ours: taken, and it goes',
  'apply the status of what is not there: NotFound',
  'apply what is not there, with a UID: Conflict',
  'replace at the version before: Conflict',
  'replace what is not there: NotFound',
  'delete it with another UID: Conflict',
  'delete it at the version before: Conflict',
  'delete it: true',
  'delete it again: false',
  'make a Lease, take it, renew it, give it back: a b b -',
  'renew it at the version before: Conflict',
  'delete the Lease: true',
  'renew a Lease that is gone: Conflict',
]

/** `a` and `b`: the same server for two managers. */
export async function tellStory(a: ObjectWriter, b: ObjectWriter, namespace: string): Promise<readonly string[]> {
  const said: string[] = []
  const told = async (what: string, answer: () => Promise<unknown>): Promise<void> => {
    const text = await answer().then(String, (error: unknown) => (error instanceof ApiFailure ? error.code : String(error)))
    said.push(`${what}: ${text}`)
  }
  const metadata = { namespace, name: 'one' }
  const taken = async (promise: Promise<unknown>): Promise<string> => promise.then(() => 'taken')
  const condition = (type: string, status: string) => ({ type, status })
  const apply = (writer: ObjectWriter, status: object, more: Partial<Metadata> = {}, force = false) => writer.apply(TRIAL, { metadata: { ...metadata, ...more }, status }, { force, status: true })
  let first = null as StoredObject | null
  let last = null as StoredObject | null
  const [one, other] = [() => first as StoredObject, () => last as StoredObject]
  await told('make one with a status', async () => {
    first = await a.create(TRIAL, { metadata, status: { text: 'x' } })
    return first['status'] === undefined && first.metadata['generation'] === 1 ? 'taken, without it' : JSON.stringify(first)
  })
  await told('make it again', () => taken(b.create(TRIAL, { metadata })))
  const ours = { text: 'x', more: 'y', conditions: [condition('Ready', 'True')] }
  await told('apply its status at its version', async () => {
    last = await apply(a, ours, { resourceVersion: one().metadata.resourceVersion, uid: one().metadata.uid })
    return last.metadata.resourceVersion === one().metadata.resourceVersion ? 'the version stays' : 'taken'
  })
  await told('apply the same again', async () => {
    const { metadata: { resourceVersion } } = await apply(a, ours, { resourceVersion: other().metadata.resourceVersion })
    return `taken, and the version ${resourceVersion === other().metadata.resourceVersion ? 'stays' : 'moves'}`
  })
  await told('apply it at the version before', () => taken(apply(a, { text: 'z' }, { resourceVersion: one().metadata.resourceVersion }, true)))
  await told('apply the same with another UID', async () => {
    // The status of a custom resource is written without a look at the UID: only the version guards it.
    const { metadata: { resourceVersion } } = await apply(a, ours, { uid: 'other' })
    return `taken, and the version ${resourceVersion === other().metadata.resourceVersion ? 'stays' : 'moves'}`
  })
  await told('apply the object with another UID', () => taken(a.apply(TRIAL, { metadata: { ...metadata, uid: 'other' } }, { force: true })))
  await told('apply it with another UID, at the version before', () => taken(apply(a, { text: 'z' }, { uid: 'other', resourceVersion: one().metadata.resourceVersion }, true)))
  await told('apply what another manager owns', () => taken(apply(b, { text: 'z' })))
  await told('the same by force', () => taken(apply(b, { text: 'z' }, {}, true)))
  await told('a condition of another manager', async () => {
    const status = (await apply(b, { text: 'z', conditions: [condition('Reporting', 'True')] })) ['status'] as { readonly conditions: readonly { readonly type: string }[] }
    return `taken, beside ${status.conditions.map(({ type }) => type).toSorted().join(' ') === 'Ready Reporting' ? 'ours' : JSON.stringify(status)}`
  })
  await told('apply without a field that was ours', async () => {
    last = await apply(a, { conditions: [condition('Ready', 'False')] })
    const status = last['status'] as { readonly text?: string; readonly more?: string; readonly conditions: readonly unknown[] }
    return `taken, and it ${status.more === undefined && status.text === 'z' && status.conditions.length === 2 ? 'goes' : JSON.stringify(status)}`
  })
  await told('apply the status of what is not there', () => taken(apply(a, { text: 'x' }, { name: 'two' }, true)))
  await told('apply what is not there, with a UID', () => taken(a.apply(TRIAL, { metadata: { namespace, name: 'two', uid: one().metadata.uid } }, { force: true })))
  await told('replace at the version before', () => taken(a.replace(TRIAL, { ...one(), status: { text: 'r' } }, { status: true })))
  await told('replace what is not there', () => taken(a.replace(TRIAL, { metadata: { namespace, name: 'two', resourceVersion: other().metadata.resourceVersion } })))
  await told('delete it with another UID', () => a.delete(TRIAL, metadata, { uid: 'other' }))
  await told('delete it at the version before', () => a.delete(TRIAL, metadata, versionOf(one())))
  await told('delete it', () => a.delete(TRIAL, metadata, versionOf(other())))
  await told('delete it again', () => a.delete(TRIAL, metadata, { uid: one().metadata.uid }))
  await tellLease(a, b, namespace, told)
  return said
}

function versionOf({ metadata: { uid, resourceVersion } }: StoredObject): DeletePreconditions {
  return { uid, resourceVersion }
}

async function tellLease(a: ObjectWriter, b: ObjectWriter, namespace: string, told: (what: string, answer: () => Promise<unknown>) => Promise<void>): Promise<void> {
  const name = { namespace, name: 'trial' }
  const at = Date.UTC(2026, 0, 1)
  let before = null as StoredObject | null
  await told('make a Lease, take it, renew it, give it back', async () => {
    const made = await a.create(LEASE, newLease(namespace, name.name, 'a', 15_000, at))
    before = await b.replace(LEASE, heldBy(made, 'b', 15_000, at + 1))
    const renewed = await b.replace(LEASE, heldBy(before, 'b', 15_000, at + 2))
    const back = await b.replace(LEASE, released(renewed, at + 3))
    return [made, before, renewed, back].map((lease) => holdingOf(lease).holder ?? '-').join(' ')
  })
  await told('renew it at the version before', () => b.replace(LEASE, heldBy(before as StoredObject, 'b', 15_000, at + 4)))
  await told('delete the Lease', () => b.delete(LEASE, name, { uid: (before as StoredObject).metadata.uid }))
  await told('renew a Lease that is gone', () => b.replace(LEASE, heldBy(before as StoredObject, 'b', 15_000, at + 5)))
}
