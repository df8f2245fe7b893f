// Random events for the store, and a naive store to compare with: it keeps everything in lists and works all of it out anew.
//
// **Invariant:** nothing here comes from src/store or src/selectors, and matching is written a second time.
import fc from 'fast-check'
import type { Decoded, RowOf, SourceEvent, SourceEventOf } from '../../src/model/changes.ts'
import type { LabelSelector, Labels } from '../../src/model/labels.ts'
import type { Namespace, Pod } from '../../src/model/objects.ts'
import type { Policy } from '../../src/model/policy.ts'
import type { PodSelector } from '../../src/model/selector.ts'
import { namespace, pod, podsIn, podsOf, policy } from '../support/builders.ts'

export type WorldKind = 'pod' | 'namespace' | 'policy'

/** Selectors of every shape: anchored, unanchored, by name, by label, and some that match nothing. */
export const SELECTORS: readonly PodSelector[] = [
  podsOf('n1'),
  podsOf('n1', 'app=web'),
  podsOf('n2', 'app in (web,db)'),
  podsOf('n1', 'app=web, tier=x'),
  podsOf('n2', 'app notin (web)'),
  podsOf('n1', '!app, tier in (x,y)'),
  podsOf('n3', 'app=web'),
  podsIn(''),
  podsIn('', 'app=web'),
  podsIn('team=a'),
  podsIn('team=a', 'app in (web,db), tier'),
  podsIn('team in (a,b)', 'tier=y'),
  podsIn('team notin (a)', 'app=web'),
  podsIn('!team'),
  podsIn('kubernetes.io/metadata.name=n2', '!tier'),
]

const someLabels = (key: string, values: readonly string[]): fc.Arbitrary<Record<string, string>> =>
  fc.constantFrom({}, ...values.map((value) => ({ [key]: value })))

const podRow: fc.Arbitrary<Pod> = fc
  .record({
    uid: fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p5'),
    namespace: fc.constantFrom('n1', 'n2'),
    node: fc.constantFrom(null, 'node1'),
    labels: fc.tuple(someLabels('app', ['web', 'db', '']), someLabels('tier', ['x', 'y'])).map(([a, b]) => ({ ...a, ...b })),
    addresses: fc.subarray(['10.0.0.1', '10.0.0.2', 'fd00::1']),
    hostNetwork: often(false),
    finished: often(false),
    terminating: often(false),
    createdAt: fc.nat(2),
  })
  .map((fields) => pod({ ...fields, name: `name-of-${fields.uid}` }))

const namespaceRow: fc.Arbitrary<Namespace> = fc
  .record({
    uid: fc.constantFrom('u1', 'u2', 'u3'),
    name: fc.constantFrom('n1', 'n2'),
    labels: someLabels('team', ['a', 'b']),
    createdAt: fc.nat(1),
  })
  .map((fields) => namespace(fields))

const policyRow: fc.Arbitrary<Policy> = fc
  .record({ uid: fc.constantFrom('q1', 'q2'), namespace: fc.constantFrom('n1', 'n2'), generation: fc.nat(2) })
  .map((fields) => policy(fields))

function often<T>(value: T): fc.Arbitrary<T | boolean> {
  return fc.oneof({ weight: 5, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: fc.boolean() })
}

function decoded<K extends WorldKind>(kind: K, row: RowOf[K]): fc.Arbitrary<Decoded<RowOf[K]>> {
  const problem = { code: 'InvalidField', severity: 'error' as const, object: `${kind} ${row.uid}`, message: 'it is wrong' }
  return fc.oneof(
    { weight: 5, arbitrary: fc.constant({ kind: 'good' as const, row, problems: [] }) },
    { weight: 1, arbitrary: fc.constantFrom(row, null).map((strict) => ({ kind: 'bad' as const, strict, problems: [problem] })) },
  )
}

function eventsOf<K extends WorldKind>(kind: K, rows: fc.Arbitrary<RowOf[K]>): fc.Arbitrary<SourceEventOf<K>> {
  const upsert = rows.chain((row) => decoded(kind, row).map((d) => ({ verb: 'upsert' as const, kind, key: row.uid, decoded: d })))
  const gone = rows.map((row) => ({ verb: 'delete' as const, kind, key: row.uid }))
  const listed = fc.uniqueArray(upsert, { maxLength: 4, selector: (event) => event.key })
  const replace = listed.map((list) => ({ verb: 'replace' as const, kind, rows: new Map(list.map((e) => [e.key, e.decoded])) }))
  return fc.oneof({ weight: 8, arbitrary: upsert }, { weight: 3, arbitrary: gone }, { weight: 1, arbitrary: replace })
}

export const anyEvent: fc.Arbitrary<SourceEvent> = fc.oneof(
  { weight: 5, arbitrary: eventsOf('pod', podRow) },
  { weight: 3, arbitrary: eventsOf('namespace', namespaceRow) },
  { weight: 1, arbitrary: eventsOf('policy', policyRow) },
) as fc.Arbitrary<SourceEvent>

interface Known {
  good: unknown
  strict: unknown
  bad: boolean
}

export class NaiveStore {
  readonly #known = { pod: new Map<string, Known>(), namespace: new Map<string, Known>(), policy: new Map<string, Known>() }

  take(event: SourceEvent): void {
    if (event.verb === 'synced') return
    const known = this.#known[event.kind as WorldKind]
    if (event.verb === 'delete') known.delete(event.key)
    if (event.verb === 'upsert') known.set(event.key, afterReading(known.get(event.key), event.decoded))
    if (event.verb !== 'replace') return
    for (const key of known.keys()) if (!event.rows.has(key)) known.delete(key)
    for (const [key, reading] of event.rows) known.set(key, afterReading(known.get(key), reading))
  }

  rows(kind: WorldKind): Map<string, unknown> {
    const rows = [...this.#known[kind]].map(([key, known]) => [key, known.good ?? known.strict] as const)
    return new Map(rows.filter(([, row]) => row !== null))
  }

  /** The pods with the addresses that are theirs. */
  pods(): Map<string, Pod> {
    const read = [...this.rows('pod').values()] as Pod[]
    return new Map(read.map((p) => [p.uid, { ...p, addresses: p.addresses.filter((a) => ownerOf(a, read) === p) }]))
  }

  members(selector: PodSelector): Map<string, Pod> {
    const found = [...this.pods()].filter(([, p]) => !p.hostNetwork && !p.finished && this.#inScope(selector, p) && matches(selector.pods, p.labels))
    return new Map(found)
  }

  /** `object: message` of each problem that lasts; of conflicts over an address only who loses what. */
  problems(): string[] {
    const read = [...this.rows('pod').values()] as Pod[]
    const alive = read.filter((p) => !p.terminating && !p.finished && !p.hostNetwork)
    const conflicts = alive.flatMap((p) =>
      p.addresses.filter((a) => ownerOf(a, read) !== p).map((a) => `Pod ${p.namespace}/${p.name}: ${a}`),
    )
    const unreadable = (['pod', 'namespace', 'policy'] as const).flatMap((kind) =>
      [...this.#known[kind]].filter(([, known]) => known.bad).map(([key, known]) => {
        const otherwise = `no good version is known, so the object ${known.strict === null ? 'counts as absent' : 'fails closed'}`
        return `${kind} ${key}: it is wrong; ${known.good !== null ? 'the last good version stays in force' : otherwise}`
      }),
    )
    return [...conflicts, ...unreadable].sort()
  }

  #inScope(selector: PodSelector, p: Pod): boolean {
    if (selector.namespaces.kind === 'named') return selector.namespaces.name === p.namespace
    const rows = ([...this.rows('namespace').values()] as Namespace[]).filter((n) => n.name === p.namespace)
    const [first] = rows.sort((a, b) => b.createdAt - a.createdAt || (a.uid < b.uid ? 1 : -1))
    return first !== undefined && matches(selector.namespaces.selector, first.labels)
  }
}

function afterReading(before: Known | undefined, reading: Decoded<unknown>): Known {
  if (reading.kind === 'good') return { good: reading.row, strict: null, bad: false }
  return { good: before?.good ?? null, strict: reading.strict, bad: true }
}

function ownerOf(address: string, pods: readonly Pod[]): Pod | undefined {
  const rank = (p: Pod): string => `${p.terminating ? 0 : 1}/${p.createdAt}/${p.uid}`
  const claimants = pods.filter((p) => !p.hostNetwork && !p.finished && p.addresses.includes(address))
  return claimants.sort((a, b) => (rank(a) < rank(b) ? 1 : -1))[0]
}

function matches(selector: LabelSelector, labels: Labels): boolean {
  for (const { key, operator, values } of selector.requirements) {
    const value = labels.get(key)
    const listed = value !== undefined && values.includes(value)
    const holds = { In: listed, NotIn: !listed, Exists: value !== undefined, DoesNotExist: value === undefined }[operator]
    if (!holds) return false
  }
  return true
}
