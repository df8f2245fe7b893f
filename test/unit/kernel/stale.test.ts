// Entries of UDP that lead past a Service's endpoints: the judge, against one written down plainly; what crosses to the worker and
// back; and the pass over a kernel that cannot filter.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { DumpRefused } from '../../../src/kernel/conntrack-pass.ts'
import { encodeServed, StaleJudge, type ServedPort } from '../../../src/kernel/served-ports.ts'
import { deletionsOf, STALE_LENGTH, staleCount, staleFlowAt } from '../../../src/kernel/stale-entries.ts'
import { findStale, type Read } from '../../../src/kernel/stale-pass.ts'
import { attribute } from '../../../src/netlink/attributes.ts'
import { udpDeleteRequest } from '../../../src/netlink/conntrack-delete.ts'
import { visitEntries, type DumpScope } from '../../../src/netlink/conntrack.ts'
import { AddressTexts, flowOf } from '../../../src/agent/cut-flows.ts'
import { message, PORT, tuple, V6 } from '../../support/conntrack-messages.ts'

type At = readonly [address: readonly number[], port: number]

const TCP = 6
const UDP = 17
const SCTP = 132
const at = ([address, port]: At) => ({ address: Uint8Array.from(address), port })
const served = (vip: At, ...serving: readonly At[]): ServedPort => ({ ...at(vip), keeps: serving.map(at), isServed: true })

/** An entry: the client calls `to`, and `by` answers; `client` is what that one sees. */
function entry(to: At, by: At, { protocol = UDP, client = null, id = 1 }: { readonly protocol?: number; readonly client?: At | null; readonly id?: number } = {}): Uint8Array {
  const own: At = to[0].length === 4 ? [[10, 1, 0, 1], 40000] : [V6(1), 40000]
  const [seen, seenPort] = client ?? own
  return message([tuple(1, own[0], to[0], protocol, [own[1], to[1]]), tuple(2, by[0], seen, protocol, [by[1], seenPort]), attribute(12, Uint8Array.of(0, 0, 0, id))])
}

function isStale(ports: readonly ServedPort[], bytes: Uint8Array): boolean {
  const judge = new StaleJudge(encodeServed(ports))
  const found: boolean[] = []
  visitEntries(bytes, 1, PORT, (one) => found.push(judge.isStale(bytes, one)))
  assert.equal(found.length, 1)
  return found[0] as boolean
}

for (const [family, vip, one, other, gone] of [
  ['IPv4', [10, 96, 0, 10], [10, 1, 0, 2], [10, 1, 0, 3], [10, 1, 0, 4]],
  ['IPv6', V6(96), V6(2), V6(3), V6(4)],
] as const) describe(`stale entries of UDP, ${family}`, () => {
  const dns = served([vip, 53], [one, 53], [other, 5353])
  /** Its only endpoint does not serve just now. */
  const unserved: ServedPort = { ...served([vip, 54], [one, 53]), isServed: false }

  it('those to an endpoint that serves no more, by address or port', () => {
    assert.equal(isStale([dns, unserved], entry([vip, 53], [gone, 53])), true)
    assert.equal(isStale([dns, unserved], entry([vip, 53], [other, 53])), true)
    assert.equal(isStale([dns, unserved], entry([vip, 53], [one, 53])), false)
    assert.equal(isStale([dns, unserved], entry([vip, 53], [other, 5353])), false)
  })
  it('those that nobody translated', () => {
    assert.equal(isStale([dns], entry([vip, 53], [vip, 53])), true)
    assert.equal(isStale([served([vip, 53])], entry([vip, 53], [vip, 53])), true)
  })
  it('masqueraded or not', () => {
    assert.equal(isStale([dns], entry([vip, 53], [gone, 53], { client: [other, 61000] })), true)
    assert.equal(isStale([dns], entry([vip, 53], [one, 53], { client: [other, 61000] })), false)
  })
  it('UDP only', () => {
    for (const protocol of [TCP, SCTP]) assert.equal(isStale([dns], entry([vip, 53], [gone, 53], { protocol })), false)
  })
  it('no others: to an endpoint itself, to other ports, to who has the other direction', () => {
    assert.equal(isStale([dns], entry([gone, 53], [gone, 53])), false)
    assert.equal(isStale([dns], entry([one, 53], [one, 53])), false)
    assert.equal(isStale([dns], entry([vip, 55], [gone, 53])), false)
    assert.equal(isStale([dns], entry([gone, 40000], [vip, 53])), false)
    assert.equal(isStale([], entry([vip, 53], [gone, 53])), false)
  })
  it('rule 95: where nobody serves, those to who is no endpoint any more: the address may be anybody\'s', () => {
    assert.equal(isStale([unserved], entry([vip, 54], [gone, 53])), true)
    assert.equal(isStale([unserved], entry([vip, 54], [one, 53])), false)
    assert.equal(isStale([unserved], entry([vip, 54], [vip, 54])), false)
    assert.equal(isStale([{ ...unserved, keeps: [] }], entry([vip, 54], [one, 53])), true)
  })
})

describe('stale entries of UDP', () => {
  it('the judge says what a plain reading of the table says', () => {
    const address = fc.oneof(fc.constantFrom(0, 1, 2, 255).map((last) => [10, 96, last, 1]), fc.constantFrom(0, 1, 2, 255).map(V6))
    const target = fc.tuple(address, fc.constantFrom(0, 53, 54, 65535))
    const port = fc.record({ vip: target, keeps: fc.array(target, { maxLength: 4 }), isServed: fc.boolean() })
    const sameFamily = (a: At, b: At): boolean => a[0].length === b[0].length
    const text = ([bytes, number]: At): string => `${bytes.join('.')}:${number}`
    fc.assert(
      fc.property(fc.uniqueArray(port, { maxLength: 6, selector: ({ vip }) => text(vip as unknown as At) }), target, target, fc.constantFrom(TCP, UDP, SCTP), (ports, to, by, protocol) => {
        const [called, answers] = [to as unknown as At, by as unknown as At]
        if (!sameFamily(called, answers)) return
        const table = ports.map(({ vip, keeps, isServed }) => ({ vip: vip as unknown as At, keeps: (keeps as unknown as At[]).filter((one) => sameFamily(one, vip as unknown as At)), isServed }))
        const hit = table.find(({ vip }) => text(vip) === text(called))
        const isKept = hit?.keeps.some((one) => text(one) === text(answers)) === true || (hit?.isServed === false && text(called) === text(answers))
        const wanted = protocol === UDP && hit !== undefined && !isKept
        assert.equal(isStale(table.map(({ vip, keeps, isServed }) => ({ ...served(vip, ...keeps), isServed })), entry(called, answers, { protocol })), wanted)
      }),
      { numRuns: 3_000 },
    )
  })
  it('an endpoint of the other family is nobody\'s', () => {
    assert.throws(() => encodeServed([served([[10, 96, 0, 10], 53], [V6(1), 53])]), RangeError)
  })
})

describe('stale entries of UDP, found', () => {
  const VIP: At = [[10, 96, 0, 10], 53]
  const VIP6: At = [V6(96), 53]
  const GONE: At = [[10, 1, 0, 4], 5300]
  const GONE6: At = [V6(4), 5300]
  const HELD = [entry(VIP, GONE, { client: [[192, 168, 0, 1], 61000], id: 5 }), entry(VIP, [[10, 1, 0, 2], 53]), entry(VIP6, GONE6, { id: 6 }), entry(VIP, GONE, { protocol: TCP })]
  const PORTS = [served(VIP, [[10, 1, 0, 2], 53]), served(VIP6, [V6(2), 53])]

  /** A conntrack that holds these, and filters as some kernel does. */
  function conntrack(refuses: string | null = null): { readonly scopes: DumpScope[]; readonly read: Read } {
    const scopes: DumpScope[] = []
    return {
      scopes,
      read: (scope, collector, tell) => {
        scopes.push(scope)
        if (scope.kind === 'protocol' && refuses !== null) throw new DumpRefused(refuses, '')
        // As Linux before 5.8: the family counts, the filter does not.
        for (const bytes of HELD) {
          visitEntries(bytes, 1, PORT, (one) => {
            if (scope.kind === 'all' || scope.kind === 'source' || one.original.family === scope.family) collector.add(bytes, one)
          })
          tell()
        }
      },
    }
  }

  function found(read: Read, ports: readonly ServedPort[] = PORTS): { readonly seen: number; readonly records: Buffer } {
    const parts: Uint8Array[] = []
    const seen = findStale(encodeServed(ports), (entries) => parts.push(entries), read)
    return { seen, records: Buffer.concat(parts) }
  }

  it('is told as the connection behind DNAT, and deleted by its reply and its id', () => {
    const { records, seen } = found(conntrack().read)
    assert.deepEqual([seen, staleCount(records), records.length], [4, 2, 2 * STALE_LENGTH])
    const texts = new AddressTexts()
    assert.deepEqual([0, 1].map((i) => flowOf(staleFlowAt(records, i), texts)), [
      { source: '10.1.0.1', destination: '10.1.0.4', protocol: 'UDP', sourcePort: 40000, port: 5300 },
      { source: 'fd00::1', destination: 'fd00::4', protocol: 'UDP', sourcePort: 40000, port: 5300 },
    ])
    const reply = (by: At, to: At) => ({ source: Uint8Array.from(by[0]), destination: Uint8Array.from(to[0]), sourcePort: by[1], destinationPort: to[1] })
    const wanted = [udpDeleteRequest(7, reply(GONE, [[192, 168, 0, 1], 61000]), Uint8Array.of(0, 0, 0, 5), false), udpDeleteRequest(8, reply(GONE6, [V6(1), 40000]), Uint8Array.of(0, 0, 0, 6), true)]
    assert.equal(Buffer.from(deletionsOf(records, 0, 2, 7)).toString('hex'), Buffer.concat(wanted).toString('hex'))
  })
  it('by one pass over UDP for each family that a Service has', () => {
    const { scopes, read } = conntrack()
    found(read)
    assert.deepEqual(scopes, [{ kind: 'protocol', family: 4, protocol: 17 }, { kind: 'protocol', family: 6, protocol: 17 }])
    scopes.length = 0
    assert.equal(found(read, [PORTS[1] as ServedPort]).records.length, STALE_LENGTH)
    assert.deepEqual(scopes, [{ kind: 'protocol', family: 6, protocol: 17 }])
    scopes.length = 0
    assert.deepEqual(found(read, []), { seen: 0, records: Buffer.alloc(0) })
    assert.deepEqual(scopes, [])
  })
  it('without the filter where the kernel has none, and by nothing else where it refuses for another reason', () => {
    for (const code of ['EOPNOTSUPP', 'EINVAL']) {
      const { scopes, read } = conntrack(code)
      assert.equal(found(read).records.length, 2 * STALE_LENGTH)
      assert.deepEqual(scopes.filter(({ kind }) => kind === 'family'), [{ kind: 'family', family: 4 }, { kind: 'family', family: 6 }])
    }
    assert.throws(() => found(conntrack('EPERM').read), /the kernel refused it: EPERM/)
  })
})
