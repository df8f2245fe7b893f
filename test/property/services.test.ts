// Random Services, slices and nodes, edited step by step: the kernel's maps mean what the specification says, at every step, and who
// stays with an endpoint does exactly as long as that is in the list.
//
// **Invariant:** at least MIN_CHECKS questions are asked in the default run, or the test fails.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { SourceEvent } from '../../src/model/changes.ts'
import type { Address } from '../../src/model/ip.ts'
import type { Node, Protocol } from '../../src/model/objects.ts'
import type { Endpoint, EndpointSlice, Service } from '../../src/model/service.ts'
import { AffineClients } from '../support/affine-clients.ts'
import { node, service, slice } from '../support/builders.ts'
import { Pipeline } from '../support/pipeline.ts'
import { report, runs } from '../support/runs.ts'
import { fateOf, type Question, type World } from '../support/service-oracle.ts'
import { fateIn } from '../support/service-table.ts'

const HISTORIES = 60
const MIN_CHECKS = 50_000
const MIN_CLIENTS = 2_000
const NODE = 'node1'
const NODE_ADDRESSES = ['192.168.1.1', 'fd01::1']

type Edit =
  | { readonly kind: 'service'; readonly row: Service }
  | { readonly kind: 'slice'; readonly row: EndpointSlice }
  | { readonly kind: 'node'; readonly row: Node }
  | { readonly kind: 'gone'; readonly of: 'service' | 'slice'; readonly key: string }

const some = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)
const SHARED = ['203.0.113.1', '203.0.113.2', 'fd20::1', '192.168.1.1']

const serviceEdit = fc
  .record({
    number: some(1, 2, 3, 4),
    families: some('4', '6', '46', '64'),
    externalIps: fc.subarray(SHARED, { maxLength: 2 }),
    loadBalancerIps: fc.subarray(SHARED, { maxLength: 1 }),
    nodePorts: some<readonly (number | null)[]>([null, null], [30080, null], [30080, 30081], [80, 30080]),
    internalPolicy: some('Cluster' as const, 'Local' as const),
    externalPolicy: some('Cluster' as const, 'Local' as const),
    affinity: some(null, null, 60, 10800),
    createdAt: some(1, 2),
    proxied: some(true, true, true, false),
    protocol: some<Protocol>('TCP', 'UDP', 'SCTP'),
    ports: some(1, 2),
  })
  .map(({ number, families, nodePorts, protocol, ports, ...rest }): Edit => {
    const all = [{ name: 'a', protocol, port: 80, nodePort: nodePorts[0] ?? null }, { name: 'b', protocol: 'TCP' as const, port: 81, nodePort: nodePorts[1] ?? null }]
    const clusterIps = [...families].map((family) => (family === '4' ? `10.96.0.${number}` : `fd00:96::${number}`))
    return { kind: 'service', row: service({ name: `s${number}`, uid: `uid-s${number}`, clusterIps, ports: all.slice(0, ports), ...rest }) }
  })

const endpoint = (six: boolean): fc.Arbitrary<Partial<Endpoint> & { readonly address: Address }> =>
  fc.record({
    address: fc.integer({ min: 1, max: 7 }).map((n) => (n > 5 ? (six ? ['fd00:96::1', 'fd20::1'] : ['10.96.0.1', '192.168.1.1'])[n - 6] : six ? `fd10::${n}` : `10.1.0.${n}`) as Address),
    ready: fc.integer({ max: 3, min: 0 }).map((n) => n > 0),
    serving: fc.boolean(),
    terminating: fc.boolean(),
    node: some(NODE, 'node2', null),
    zoneHints: some(null, ['za'], ['za', 'zb'], ['zb']),
    nodeHints: some(null, null, [NODE], ['node2']),
  })

const sliceEdit = fc.boolean().chain((six) =>
  fc
    .record({ of: some(1, 2, 3, 4, null), number: some(1, 2, 3), endpoints: fc.array(endpoint(six), { maxLength: 5 }), hinted: fc.boolean(), protocol: some<Protocol>('TCP', 'UDP', 'SCTP'), port: some(8080, 8081, 80) })
    .map(({ of, number, endpoints, hinted, protocol, port }): Edit => {
      const once = [...new Map(endpoints.map((one) => [one.address, hinted ? one : { ...one, zoneHints: null, nodeHints: null }])).values()]
      const ports = [{ name: 'a', protocol, port }, { name: 'b', protocol: 'TCP' as const, port: 9090 }]
      const name = `${six ? 'six' : 'four'}-${number}`
      return { kind: 'slice', row: slice(once, { name, uid: `uid-${name}`, service: of === null ? null : `s${of}`, family: six ? 6 : 4, ports }) }
    }),
)

const nodeEdit = fc.record({ zone: some(undefined, 'za', 'zb'), addresses: some(NODE_ADDRESSES, ['192.168.1.2'], []) }).map(
  ({ zone, addresses }): Edit => ({ kind: 'node', row: node({ name: NODE, addresses, labels: zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone } }) }),
)

const gone: fc.Arbitrary<Edit> = some<Edit>(
  ...[1, 2, 3, 4].map((n): Edit => ({ kind: 'gone', of: 'service', key: `uid-s${n}` })),
  ...['four-1', 'four-2', 'six-1', 'six-2'].map((name): Edit => ({ kind: 'gone', of: 'slice', key: `uid-${name}` })),
)

const edit = fc.oneof({ weight: 5, arbitrary: serviceEdit }, { weight: 8, arbitrary: sliceEdit }, { weight: 1, arbitrary: nodeEdit }, { weight: 2, arbitrary: gone })

/** Two ports each, in both families, with affinity. */
const STAYING = (['TCP', 'UDP', 'SCTP', 'TCP'] as const).map((protocol, index): Edit => {
  const number = index + 1
  const ports = [{ name: 'a', protocol, port: 80, nodePort: null }, { name: 'b', protocol: 'TCP' as const, port: 81, nodePort: null }]
  return { kind: 'service', row: service({ name: `s${number}`, uid: `uid-s${number}`, clusterIps: [`10.96.0.${number}`, `fd00:96::${number}`], ports, affinity: 60 }) }
})

class Model {
  readonly masqueradeAll: boolean

  constructor(masqueradeAll = false) {
    this.masqueradeAll = masqueradeAll
  }

  readonly services = new Map<string, Service>()
  readonly slices = new Map<string, EndpointSlice>()
  node = node({ name: NODE, addresses: NODE_ADDRESSES })

  take(one: Edit): SourceEvent {
    if (one.kind === 'gone') {
      this[one.of === 'service' ? 'services' : 'slices'].delete(one.key)
      return { verb: 'delete', kind: one.of, key: one.key }
    }
    if (one.kind === 'service') this.services.set(one.row.uid, one.row)
    else if (one.kind === 'slice') this.slices.set(one.row.uid, one.row)
    else this.node = one.row
    return { verb: 'upsert', kind: one.kind, key: one.row.uid, decoded: { kind: 'good', row: one.row, problems: [] } } as SourceEvent
  }

  /** What a source says that is read anew. */
  everything(): readonly SourceEvent[] {
    const upsert = (kind: 'service' | 'slice' | 'node') => (row: Service | EndpointSlice | Node) => ({ verb: 'upsert', kind, key: row.uid, decoded: { kind: 'good', row, problems: [] } }) as SourceEvent
    return [upsert('node')(this.node), ...[...this.services.values()].map(upsert('service')), ...[...this.slices.values()].map(upsert('slice'))]
  }

  world(): World {
    const nodePortAddresses = [false, true].flatMap((six) => this.node.addresses.find((address) => address.includes(':') === six) ?? [])
    return { services: [...this.services.values()], slices: [...this.slices.values()], node: this.node, nodePortAddresses, masqueradeAll: this.masqueradeAll }
  }
}

const QUESTIONS: readonly Question[] = [...[1, 2, 3, 4].flatMap((n) => [`10.96.0.${n}`, `fd00:96::${n}`]), ...SHARED, 'fd01::1', '192.168.1.2'].flatMap((address) =>
  [80, 81, 30080, 30081].flatMap((port) =>
    (['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) => (['pod', 'outside', 'node'] as const).map((client) => ({ client, address, protocol, port }))),
  ),
)

function assertFates(pipeline: Pipeline, world: World): number {
  for (const question of QUESTIONS) {
    const expected = fateOf(world, question)
    const found = fateIn(pipeline.applied, question)
    const text = JSON.stringify(question)
    assert.deepEqual(found?.to ?? null, expected?.to ?? null, text)
    if (Array.isArray(expected?.to)) assert.equal(found?.masquerade, expected.masquerade, `masquerade: ${text}`)
  }
  return QUESTIONS.length
}

function pipeline(masqueradeAll = false): Pipeline {
  const made = new Pipeline({ nodeName: NODE, services: { masqueradeAll } })
  const first = new Model()
  made.push([first.take({ kind: 'node', row: first.node })])
  return made
}

describe('services: random histories', () => {
  it('at every step each address leads where the specification says, whatever was before', function () {
    this.timeout(0)
    let checks = 0
    fc.assert(
      fc.property(fc.array(edit, { minLength: 5, maxLength: 25 }), fc.boolean(), (edits, masqueradeAll) => {
        const [model, made] = [new Model(masqueradeAll), pipeline(masqueradeAll)]
        for (const one of edits) {
          made.push([model.take(one)])
          made.turn()
          checks += assertFates(made, model.world())
        }
      }),
      runs(HISTORIES),
    )
    report('histories of Services', checks)
    if (runs(HISTORIES).numRuns >= HISTORIES) assert.ok(checks >= MIN_CHECKS, `only ${checks} checks`)
  })

  it('however the events fall into turns, the maps mean the same, and what is applied is what is wanted', function () {
    this.timeout(0)
    let checks = 0
    fc.assert(
      fc.property(fc.array(edit, { minLength: 5, maxLength: 40 }), fc.infiniteStream(fc.boolean()), (edits, ends) => {
        const [model, made] = [new Model(), pipeline()]
        for (const one of edits) {
          made.push([model.take(one)])
          if (ends.next().value) made.turn()
        }
        made.turn()
        checks += assertFates(made, model.world())
        const { wanted } = made.turns.translator
        for (const [name, { elements }] of wanted.state.sets) assert.deepEqual(new Map(made.applied.sets.get(name)?.elements), new Map(elements), name)
        assert.deepEqual([...made.applied.chains.keys()].sort(), [...wanted.state.chains.keys()].sort())
        const named = [...(made.applied.sets.get('endpoints-by-size')?.elements.values() ?? [])].map(({ value }) => (value ?? '').replace('goto ', ''))
        assert.deepEqual([...made.applied.chains.keys()].filter((name) => name.startsWith('endpoints/')).sort(), named.sort(), 'a chain for each length, and no other')
      }),
      runs(HISTORIES),
    )
    report('splits of histories', checks)
  })

  it('clients stay with their endpoint until it leaves, and are led to nobody who has, over restarts and whenever the kernel gets to know', async function () {
    this.timeout(0)
    let checks = 0
    const step = fc.record({ edit: fc.oneof({ weight: 1, arbitrary: edit }, { weight: 6, arbitrary: sliceEdit }), restarts: some(false, false, false, true), isHeld: some(true, true, false), passes: some(0, 500, 1_000, 5_000), picks: fc.nat(5) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const model = new Model()
        let made = pipeline()
        const clients = new AffineClients(made)
        made.push(STAYING.map((one) => model.take(one)))
        for (const { edit: one, restarts, isHeld, passes, picks } of steps) {
          // Of other edits it is not said who stays.
          if (one.kind !== 'slice' && !(one.kind === 'gone' && one.of === 'slice')) clients.forgetExpectations()
          made.push([model.take(one)])
          made.turn()
          clients.planned()
          if (restarts) {
            const next = pipeline()
            clients.restart(next)
            made = next
            made.push(model.everything())
            made.turn()
            clients.planned()
          }
          if (!isHeld && !restarts) continue
          await clients.held()
          for (const question of QUESTIONS) checks += clients.ask(question, picks)
          await clients.advance(passes)
        }
      }),
      runs(HISTORIES),
    )
    report('clients that stay', checks)
    if (runs(HISTORIES).numRuns >= HISTORIES) assert.ok(checks >= MIN_CLIENTS, `only ${checks} checks`)
  })
})
