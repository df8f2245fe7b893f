// What was given to pods, over what sources say of them: every way in, and every way in which it ends.
//
// **Invariant:** the inbox's rows are looked at, as a turn would get them, never the overlay's own.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GateOverlay, type KeptEntry } from '../../../src/agent/gate-overlay.ts'
import type { GateEntry } from '../../../src/agent/gate-request.ts'
import type { SourceEvent } from '../../../src/model/changes.ts'
import type { Pod } from '../../../src/model/objects.ts'
import { hostInterface, pod } from '../../support/builders.ts'

const [X, Y, Z] = ['10.0.0.1', '10.0.0.2', '10.0.0.3']

const given = (name: string, address: string, more: Partial<GateEntry> = {}): GateEntry => ({
  containerId: `c-${name}`, ifname: 'eth0', namespace: 'shop', name, uid: `uid-${name}`, addresses: [address], hostInterfaces: [], ...more,
})
const here = (name: string, fields: Partial<Pod> = {}): Pod => pod({ namespace: 'shop', name, uid: `uid-${name}`, node: 'n1', addresses: [], labels: {}, ...fields } as Parameters<typeof pod>[0])
const says = (row: Pod): SourceEvent => ({ verb: 'upsert', kind: 'pod', key: row.uid, decoded: { kind: 'good', row, problems: [] } })
const link = (index: number, name: string): SourceEvent => ({ verb: 'upsert', kind: 'interface', key: String(index), decoded: { kind: 'good', row: hostInterface({ index, name }), problems: [] } })
const all = (...rows: readonly Pod[]): SourceEvent => ({ verb: 'replace', kind: 'pod', rows: new Map(rows.map((row) => [row.uid, { kind: 'good', row, problems: [] }])) })

/** An overlay, and the rows that come out of it. */
class World {
  readonly overlay: GateOverlay
  readonly rows = new Map<string, Pod>()

  constructor(kept: readonly KeptEntry[] = []) {
    this.overlay = new GateOverlay((row) => row.node === 'n1', kept)
  }

  hears(...events: readonly SourceEvent[]): this {
    for (const event of events) this.takes(this.overlay.take(event))
    return this
  }

  takes(events: readonly SourceEvent[] | null): this {
    for (const event of events ?? []) {
      if (event.kind !== 'pod') continue
      if (event.verb === 'replace') this.rows.clear()
      if (event.verb === 'replace') for (const [key, decoded] of event.rows) if (decoded.kind === 'good') this.rows.set(key, decoded.row)
      if (event.verb === 'upsert' && event.decoded.kind === 'good') this.rows.set(event.key, event.decoded.row)
      if (event.verb === 'delete') this.rows.delete(event.key)
    }
    return this
  }

  adds(entry: GateEntry): this {
    return this.takes(this.overlay.add(entry))
  }

  /** Answered, too. */
  gives(entry: GateEntry): this {
    return this.adds(entry).takes(this.overlay.settle(entry))
  }

  of(name: string): readonly string[] | undefined {
    return this.rows.get(`uid-${name}`)?.addresses
  }

  get kept(): readonly string[] {
    return this.overlay.kept.map(({ entry }) => entry.name)
  }
}

describe('what pods were given, over what the API says', () => {
  it('lies over a row that came before, and over one that comes later; a list again changes nothing of it', () => {
    assert.deepEqual(new World().hears(says(here('a'))).gives(given('a', X)).of('a'), [X])
    const world = new World().gives(given('a', X)).hears(says(here('a')))
    assert.deepEqual([world.of('a'), world.rows.get('uid-a')?.given], [[X], true])
    world.hears(all(here('a'), here('b')), says(here('a', { createdAt: 7 })))
    assert.deepEqual([world.of('a'), world.of('b'), world.rows.get('uid-a')?.createdAt], [[X], [], 7])
  })
  it('ends when the API says addresses, whichever, and never before the plugin was answered', () => {
    for (const address of [X, Y]) {
      const world = new World().hears(says(here('a'))).gives(given('a', X)).hears(says(here('a', { addresses: [address] })))
      assert.deepEqual([world.of('a'), world.rows.get('uid-a')?.given, world.kept], [[address], undefined, []])
    }
    const waiting = new World().hears(says(here('a'))).adds(given('a', X)).hears(says(here('a', { addresses: [Y] })))
    assert.deepEqual(waiting.of('a'), [X])
    waiting.takes(waiting.overlay.settle(given('a', X))).hears(says(here('a', { addresses: [Y], createdAt: 3 })))
    assert.deepEqual(waiting.of('a'), [X], 'the API said this before kubelet could know better')
    assert.deepEqual(waiting.hears(says(here('a', { addresses: [Z] }))).of('a'), [Z])
  })
  it('ends with the pod: finished, of the node\'s network, deleted, or missing in a list', () => {
    const begin = (): World => new World().hears(says(here('a'))).gives(given('a', X))
    for (const fields of [{ finished: true }, { hostNetwork: true }]) assert.deepEqual([begin().hears(says(here('a', fields))).of('a')], [[]])
    assert.deepEqual(begin().hears({ verb: 'delete', kind: 'pod', key: 'uid-a' }).kept, [])
    assert.deepEqual(begin().hears(all(here('b'))).kept, [])
    assert.deepEqual(begin().hears(says(here('a', { terminating: true }))).of('a'), [X], 'rule 96')
    // A list may be older than the pod.
    assert.deepEqual(new World().gives(given('a', X)).hears(all(here('b'))).kept, ['a'])
  })
  it('ends with DEL of that sandbox only, with another sandbox of the pod, and with another pod that has the address', () => {
    const begin = (): World => new World().hears(says(here('a')), says(here('b'))).gives(given('a', X))
    const world = begin()
    assert.equal(world.overlay.remove({ containerId: 'other', ifname: 'eth0' }), null)
    assert.deepEqual(world.of('a'), [X])
    assert.deepEqual(world.takes(world.overlay.remove(given('a', X))).of('a'), [])
    assert.deepEqual(begin().gives(given('a', Y, { containerId: 'second' })).of('a'), [Y])
    const taken = begin().gives(given('b', X))
    assert.deepEqual([taken.of('a'), taken.of('b'), taken.kept], [[], [X], ['b']])
    assert.deepEqual(begin().gives(given('a', Y, { ifname: 'net1' })).of('a'), [X, Y])
  })
  it('ends with an interface that was made for it, not with one of that name before it was answered', () => {
    const entry = given('a', X, { hostInterfaces: ['veth1'] })
    const world = new World().hears(link(5, 'veth1'), says(here('a'))).adds(entry)
    world.hears({ verb: 'delete', kind: 'interface', key: '5' }, link(6, 'veth1'))
    assert.deepEqual(world.takes(world.overlay.settle(entry)).of('a'), [X])
    assert.deepEqual(world.hears(link(6, 'renamed')).of('a'), [])
    const resync = new World().hears(link(5, 'veth1'), says(here('a'))).gives(entry).hears({ verb: 'replace', kind: 'interface', rows: new Map() })
    assert.deepEqual(resync.kept, [])
  })
  it('over a restart keeps those whose pod and whose interfaces are there', () => {
    const kept: KeptEntry[] = ['a', 'b', 'c'].map((name, i) => ({ entry: given(name, `10.0.0.${i + 1}`, { hostInterfaces: [`veth-${name}`] }), before: [] }))
    const world = new World(kept).hears(link(1, 'veth-a'), link(2, 'veth-b'), says(here('a')), says(here('c')))
    assert.deepEqual([world.of('a'), world.of('c')], [[X], [Z]])
    world.hears({ verb: 'synced', kind: 'pod' }, { verb: 'synced', kind: 'interface' })
    assert.deepEqual([world.kept, world.of('a'), world.of('c')], [['a'], [X], []])
    const before = new World([{ entry: given('a', X), before: [Y] }]).hears(says(here('a', { addresses: [Y] })))
    assert.deepEqual(before.of('a'), [X])
  })
  it('finds a pod without UID by its name, the newest that may begin; a mirror by its annotation', () => {
    const old = { ...here('a'), uid: 'uid-old', createdAt: 1, addresses: [Z], terminating: true }
    const world = new World().hears(says(old)).adds(given('a', X, { uid: null }))
    assert.deepEqual(world.rows.get('uid-old')?.addresses, [Z])
    world.hears(says({ ...here('a'), createdAt: 2 }))
    assert.deepEqual([world.of('a'), world.rows.get('uid-old')?.addresses], [[X], [Z]])
    // Not told yet that the first one is going: it is given back as soon as the next one is known.
    const early = new World().hears(says({ ...old, terminating: false })).adds(given('a', X, { uid: null }))
    early.hears(says({ ...here('a'), createdAt: 2 }))
    assert.deepEqual([early.of('a'), early.rows.get('uid-old')?.addresses], [[X], [Z]])
    const mirror = new World().hears(says(here('a', { mirrors: 'f1' }))).gives(given('a', X, { uid: 'f1' }))
    assert.deepEqual(mirror.of('a'), [X])
    assert.deepEqual(new World().hears(says(here('a', { mirrors: 'f1' }))).gives(given('b', X, { uid: 'f1' })).of('a'), [], 'of another name')
  })
  it('touches no pod of another node, and nothing that cannot be read', () => {
    const far = here('a', { node: 'n2' })
    assert.deepEqual(new World().gives(given('a', X)).hears(says(far)).of('a'), [])
    const bad: SourceEvent = { verb: 'upsert', kind: 'pod', key: 'uid-a', decoded: { kind: 'bad', strict: null, problems: [] } }
    const overlay = new GateOverlay(() => true)
    assert.deepEqual([overlay.take(bad), overlay.take(says(here('b')))], [[bad], [says(here('b'))]])
    const world = new World().hears(says(here('a'))).gives(given('a', X)).hears(bad)
    assert.deepEqual([world.of('a'), world.kept], [[X], ['a']])
  })
  it('whatever comes in whatever order: the rows are those of the source but for entries in force, and no address is given twice', () => {
    const names = ['a', 'b', 'c']
    const row = fc.record({ name: fc.constantFrom(...names), address: fc.constantFrom(null, X, Y, Z), finished: fc.boolean(), terminating: fc.boolean() })
    const step = fc.oneof(
      row.map(({ name, address, ...rest }) => ({ kind: 'says' as const, row: here(name, { addresses: address === null ? [] : [address], ...rest }) })),
      fc.constantFrom(...names).map((name) => ({ kind: 'gone' as const, name })),
      fc.subarray(names).map((listed) => ({ kind: 'list' as const, listed })),
      fc.tuple(fc.constantFrom(...names), fc.constantFrom(X, Y, Z), fc.constantFrom('1', '2')).map(([name, address, box]) => ({ kind: 'add' as const, entry: given(name, address, { containerId: `${name}${box}` }) })),
      fc.tuple(fc.constantFrom(...names), fc.constantFrom('1', '2'), fc.boolean()).map(([name, box, settle]) => ({ kind: settle ? ('settle' as const) : ('del' as const), sandbox: { containerId: `${name}${box}`, ifname: 'eth0' } })),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const world = new World()
        const source = new Map<string, Pod>()
        for (const one of steps) {
          if (one.kind === 'says') {
            source.set(one.row.uid, one.row)
            world.hears(says(one.row))
          } else if (one.kind === 'gone') {
            source.delete(`uid-${one.name}`)
            world.hears({ verb: 'delete', kind: 'pod', key: `uid-${one.name}` })
          } else if (one.kind === 'list') {
            const rows = one.listed.map((name) => source.get(`uid-${name}`) ?? here(name))
            source.clear()
            for (const row of rows) source.set(row.uid, row)
            world.hears(all(...rows))
          } else if (one.kind === 'add') world.adds(one.entry)
          else world.takes(one.kind === 'settle' ? world.overlay.settle(one.sandbox) : world.overlay.remove(one.sandbox))
          const entries = world.overlay.kept.map(({ entry }) => entry)
          assert.equal(new Set(entries.flatMap((entry) => entry.addresses)).size, entries.length)
          assert.deepEqual([...world.rows.keys()].sort(), [...source.keys()].sort())
          for (const [key, row] of source) {
            const mine = entries.find((entry) => entry.uid === key)
            assert.deepEqual(world.rows.get(key), mine === undefined ? row : { ...row, addresses: mine.addresses, given: true })
            assert.ok(mine === undefined || !row.finished)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})
