// What an EndpointSlice becomes: one wrong endpoint or port costs itself only.
import assert from 'node:assert/strict'
import { decodeEndpointSlice } from '../../../src/decode/endpoint-slice.ts'
import { fieldsOf, good, strict } from './support.ts'

const HTTP = { name: 'http', protocol: 'TCP', port: 8080 }
const LABELS = { 'kubernetes.io/service-name': 'web' }

const slice = (parts: object = {}, metadata: object = {}) =>
  decodeEndpointSlice(
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace: 'shop', name: 'web-abc12', labels: LABELS, ...metadata },
      addressType: 'IPv4',
      ports: [HTTP],
      endpoints: [{ addresses: ['10.0.0.1'] }],
      ...parts,
    },
    'u1',
    's',
  )

/** The slice is good, these fields are told as wrong, and these addresses are left. */
function left(decoded: ReturnType<typeof slice>, addresses: readonly string[], ...fields: string[]): void {
  assert.deepEqual(good(decoded).endpoints.map((e) => e.address), addresses)
  assert.deepEqual(fieldsOf(decoded), fields)
  for (const problem of decoded.problems) assert.match(problem.message, /; this (endpoint|port) is left out$/)
}

describe('decode: EndpointSlice', () => {
  it('reads everything that is kept', () => {
    const row = good(
      slice({
        ports: [HTTP, { name: 'dns', protocol: 'UDP', port: 53 }, { name: 's', protocol: 'SCTP', port: 1 }],
        endpoints: [
          {
            addresses: ['10.0.0.1'], conditions: { ready: false, serving: false, terminating: true }, nodeName: 'n1.example.com', zone: 'z', hostname: 'web-0',
            targetRef: { kind: 'Pod' }, hints: { forZones: [{ name: 'zone-a' }, { name: 'zone-b' }, { name: 'zone-a' }], forNodes: [{ name: 'n1' }] },
          },
          { addresses: ['10.0.0.2'] },
        ],
      }),
    )
    assert.deepEqual(row, {
      uid: 'u1', namespace: 'shop', name: 'web-abc12', service: 'web', family: 4,
      ports: [{ name: 'http', protocol: 'TCP', port: 8080 }, { name: 'dns', protocol: 'UDP', port: 53 }, { name: 's', protocol: 'SCTP', port: 1 }],
      endpoints: [
        { address: '10.0.0.1', ready: false, serving: false, terminating: true, node: 'n1.example.com', zoneHints: ['zone-a', 'zone-b'], nodeHints: ['n1'] },
        { address: '10.0.0.2', ready: true, serving: true, terminating: false, node: null, zoneHints: null, nodeHints: null },
      ],
    })
  })

  it('reads slices of IPv6, in canonical text', () => {
    const row = good(slice({ addressType: 'IPv6', endpoints: [{ addresses: ['FD00:0::1'] }, { addresses: ['ff::1'] }, { addresses: ['fe::1'] }, { addresses: ['::2'] }] }))
    assert.deepEqual([row.family, row.endpoints.map((e) => e.address)], [6, ['fd00::1', 'ff::1', 'fe::1', '::2']])
  })

  it('conditions that are absent or null: ready and serving are true, terminating is false; each alone', () => {
    const conditions = (value: unknown) => {
      const [endpoint] = good(slice({ endpoints: [{ addresses: ['10.0.0.1'], conditions: value }] })).endpoints
      return [endpoint?.ready, endpoint?.serving, endpoint?.terminating]
    }
    for (const none of [undefined, null, {}, { ready: null, serving: null, terminating: null }]) assert.deepEqual(conditions(none), [true, true, false])
    assert.deepEqual(conditions({ ready: false }), [false, true, false])
    assert.deepEqual(conditions({ serving: false }), [true, false, false])
    assert.deepEqual(conditions({ terminating: true }), [true, true, true])
  })

  it('an empty node name is none', () => {
    assert.equal(good(slice({ endpoints: [{ addresses: ['10.0.0.1'], nodeName: '' }] })).endpoints[0]?.node, null)
  })

  it('only the first address of an endpoint counts', () => {
    left(slice({ endpoints: [{ addresses: ['10.0.0.1', '10.0.0.2', 'x'] }] }), ['10.0.0.1'])
  })

  it('without name and protocol a port is the unnamed TCP one', () => {
    for (const none of [{}, { name: null, protocol: null }, { name: '', protocol: '' }]) {
      assert.deepEqual(good(slice({ ports: [{ ...none, port: 80 }] })).ports, [{ name: '', protocol: 'TCP', port: 80 }])
    }
    for (const ports of [undefined, null, []]) assert.deepEqual(good(slice({ ports })).ports, [])
    for (const endpoints of [undefined, null, []]) left(slice({ endpoints }), [])
  })

  it('without hints, or with empty lists of them, there are none', () => {
    for (const hints of [undefined, null, {}, { forZones: [], forNodes: null }]) {
      const [endpoint] = good(slice({ endpoints: [{ addresses: ['10.0.0.1'], hints }] })).endpoints
      assert.deepEqual([endpoint?.zoneHints, endpoint?.nodeHints], [null, null])
    }
  })

  it('belongs to nobody without the label, and where it is for another proxy or a headless Service: then it has nothing', () => {
    const nobodys = (labels: unknown) => {
      const decoded = slice({ endpoints: [{ addresses: ['x'] }] }, { labels })
      const row = good(decoded)
      assert.deepEqual([row.service, row.ports, row.endpoints, decoded.problems], [null, [], [], []])
    }
    nobodys(undefined)
    nobodys({ app: 'web' })
    nobodys({ 'kubernetes.io/service-name': '' })
    for (const value of ['', 'x', null]) {
      nobodys({ ...LABELS, 'service.kubernetes.io/service-proxy-name': value })
      nobodys({ ...LABELS, 'service.kubernetes.io/headless': value })
    }
    const odd = slice({}, { labels: { 'kubernetes.io/service-name': 'Web' } })
    assert.deepEqual([good(odd).service, fieldsOf(odd)], [null, ['metadata.labels[kubernetes.io/service-name]']])
  })

  it('of type FQDN it has no endpoints, as kube-proxy has it, and says so', () => {
    const decoded = slice({ addressType: 'FQDN', endpoints: [{ addresses: ['example.com'] }] })
    const row = good(decoded)
    assert.deepEqual([row.service, row.endpoints, decoded.problems.map((p) => [p.severity, p.field])], [null, [], [['warning', 'addressType']]])
  })
})

describe('decode: an EndpointSlice with something wrong', () => {
  const SPECIAL = {
    4: ['127.0.0.1', '127.255.0.9', '0.0.0.0', '0.1.2.3', '169.254.169.254', '224.0.0.1', '229.9.9.9', '230.0.0.1', '239.1.2.3', '255.255.255.255'],
    6: ['::1', '::', 'fe80::1', 'febf::1', 'ff02::1', 'ff0e::1', '::ffff:127.0.0.1', '0:0:0:0:0:0:0:1', 'FE80::1'],
  } as const
  const UNREADABLE = ['x', '', 5, null, true, ['10.0.0.1'], '10.0.0.1/32', '010.0.0.1', '10.0.0', 'fe80::1%eth0', 'example.com', '::ffff:10.0.0.1']

  it('an endpoint of the other family, of a node itself, or that is no address is left out, and the others stay', () => {
    for (const wrong of [...SPECIAL[4], ...SPECIAL[6], ...UNREADABLE, 'fd00::1']) {
      left(slice({ endpoints: [{ addresses: ['10.0.0.1'] }, { addresses: [wrong] }, { addresses: ['10.0.0.2'] }] }), ['10.0.0.1', '10.0.0.2'], 'endpoints[1].addresses[0]')
    }
    for (const wrong of [...SPECIAL[4], ...SPECIAL[6], ...UNREADABLE, '10.0.0.1']) {
      left(slice({ addressType: 'IPv6', endpoints: [{ addresses: [wrong] }, { addresses: ['fd00::2'] }] }), ['fd00::2'], 'endpoints[0].addresses[0]')
    }
  })

  it('addresses beside the special ranges are endpoints', () => {
    const fine = { IPv4: ['1.0.0.1', '126.1.1.1', '128.0.0.1', '169.253.0.1', '169.255.0.1', '223.0.0.1', '240.0.0.1', '255.255.255.254'], IPv6: ['::2', '1::1', 'fe7f::1', 'fec0::1', 'feff::1', 'fd00::'] }
    for (const [addressType, addresses] of Object.entries(fine)) left(slice({ addressType, endpoints: addresses.map((a) => ({ addresses: [a] })) }), addresses)
  })

  it('an endpoint that cannot be read in any part is left out', () => {
    const wrong = (entry: unknown, field: string) => left(slice({ endpoints: [entry, { addresses: ['10.0.0.2'] }] }), ['10.0.0.2'], `endpoints[0]${field}`)
    wrong('10.0.0.1', '')
    for (const addresses of [undefined, null, [], '10.0.0.1', {}]) wrong({ addresses }, '.addresses')
    const addresses = ['10.0.0.1']
    wrong({ addresses, conditions: 'x' }, '.conditions')
    for (const key of ['ready', 'serving', 'terminating']) for (const value of ['true', 1, 0, {}]) wrong({ addresses, conditions: { [key]: value } }, `.conditions.${key}`)
    for (const nodeName of [5, 'N 1', 'x'.repeat(254)]) wrong({ addresses, nodeName }, '.nodeName')
  })

  it('hints that cannot be read are none: clients then go to every endpoint', () => {
    for (const forZones of ['zone-a', [5], [{}], [{ name: '' }], [{ name: 'zone-a' }, { name: 5 }], {}]) {
      const decoded = slice({ endpoints: [{ addresses: ['10.0.0.1'], hints: { forZones, forNodes: [{ name: 'n1' }] } }] })
      const [endpoint] = good(decoded).endpoints
      assert.deepEqual([endpoint?.zoneHints, endpoint?.nodeHints, fieldsOf(decoded)], [null, ['n1'], ['endpoints[0].hints.forZones']])
    }
  })

  it('a port that cannot be read is left out, and so is one without number, which means all ports', () => {
    const wrong = (entry: unknown, field: string) => {
      const decoded = slice({ ports: [entry, HTTP] })
      left(decoded, ['10.0.0.1'], `ports[0]${field}`)
      assert.deepEqual(good(decoded).ports, [HTTP])
    }
    for (const port of [undefined, null, 0, 65_536, -1, '80', 1.5]) wrong({ name: 'a', port }, '.port')
    wrong({ name: 'a', protocol: 'tcp', port: 80 }, '.protocol')
    for (const name of ['A', 5, 'a b']) wrong({ name, port: 80 }, '.name')
    wrong(null, '')
    const twice = slice({ ports: [HTTP, HTTP, { ...HTTP, port: 81 }, { ...HTTP, protocol: 'UDP' }] })
    assert.deepEqual([good(twice).ports, fieldsOf(twice)], [[HTTP, { ...HTTP, protocol: 'UDP' }], ['ports[2].name']])
  })

  it('an address that is there twice counts once, and as the one that serves', () => {
    const twice = (first: object, second: object) => {
      const decoded = slice({ endpoints: [{ addresses: ['10.0.0.1'], nodeName: 'first', conditions: first }, { addresses: ['10.0.0.2'] }, { addresses: ['10.0.0.1'], nodeName: 'second', conditions: second }] })
      left(decoded, ['10.0.0.1', '10.0.0.2'])
      return good(decoded).endpoints[0]?.node
    }
    const ending = { ready: false, serving: true, terminating: true }
    assert.equal(twice({}, {}), 'first')
    assert.equal(twice(ending, {}), 'second')
    assert.equal(twice({}, ending), 'first')
    assert.equal(twice({ ready: false }, ending), 'second')
    assert.equal(twice({ ready: false }, { ready: false, serving: false }), 'first')
  })

  it('what cannot be read as a whole makes it bad: without endpoints, or absent', () => {
    for (const parts of [{ addressType: undefined }, { addressType: 'ipv4' }, { addressType: 'IP' }, { endpoints: 'x' }, { endpoints: {} }]) {
      assert.deepEqual(strict(slice(parts)).endpoints, [])
    }
    assert.deepEqual(strict(slice({ ports: 'x' })).ports, [])
    assert.deepEqual(strict(slice({}, { labels: [] })).service, null)
    for (const decoded of [slice({}, { name: 'A' }), slice({}, { namespace: 5 }), slice({ apiVersion: 'discovery.k8s.io/v1beta1' }), decodeEndpointSlice([], 'u1')]) {
      assert.deepEqual([decoded.kind, (decoded as { strict: unknown }).strict], ['bad', null])
    }
  })

  it('a thousand endpoints of which many are wrong: all good ones are there, and the problems are few', () => {
    const endpoints = Array.from({ length: 1000 }, (_, i) => ({ addresses: [i % 2 === 0 ? `10.1.${i >> 8}.${i & 255}` : '127.0.0.1'] }))
    const decoded = slice({ endpoints })
    assert.equal(good(decoded).endpoints.length, 500)
    assert.deepEqual([decoded.problems.length, decoded.problems.at(-1)?.code], [21, 'MoreProblems'])
  })
})
