// Reading files of Service cases: the real one is accepted whole, short forms are written out, and a mistake is named with its place.
//
// **Invariant:** nothing here starts a lab.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { answerTopology, topologyMismatches } from '../../../src/cli/lab-topology.ts'
import { PicketError } from '../../../src/lib/errors.ts'
import { parseCaseFile } from '../../../src/lab/case-file.ts'
import type { ServiceCases } from '../../../src/lab/service-case-types.ts'

const FILE = readFileSync(new URL('../../cases/services.json', import.meta.url), 'utf8')

interface Draft {
  [key: string]: unknown
}

function parsed(text: string, only: readonly string[] = []): ServiceCases {
  const file = parseCaseFile(text, 'services.json', only)
  assert.ok(file.kind === 'service')
  return file
}

/** A small good scenario, with `change` done to it, as a file's text. */
function fileWith(change: (scenario: Draft, env: Draft, flow: Draft) => void): string {
  const env: Draft = { nodeName: 'a', nodeIPs: ['192.168.0.2', '2001:db8::1'], nodePortAddresses: ['192.168.0.0/24'], podCIDR: '10.0.0.0/8', serviceCIDRs: ['172.27.0.0/16'] }
  const flow: Draft = { name: 'f', sourceIP: '10.0.0.2', protocol: 'UDP', destIP: '172.27.0.41', destPort: 53, output: ['10.0.0.1:53'], masq: false }
  const services = [{ ns: 'shop', name: 'dns', clusterIP: '172.27.0.41', ports: [{ name: '', port: 53, protocol: 'UDP' }] }]
  const slices = [{ ns: 'shop', service: 'dns', name: 'dns-1', endpoints: [{ address: '10.0.0.1' }], ports: [{ name: '', port: 53, protocol: 'UDP' }] }]
  const scenario: Draft = { env, services, slices, flows: [flow] }
  change(scenario, env, flow)
  return JSON.stringify({ scenarios: [scenario] })
}

function errorOf(text: string, only: readonly string[] = []): PicketError {
  try {
    parseCaseFile(text, 'services.json', only)
  } catch (error) {
    assert.ok(error instanceof PicketError, String(error))
    return error
  }
  throw new assert.AssertionError({ message: 'the file was accepted' })
}

describe('files of Service cases', () => {
  it('reads every scenario and topology case of test/cases/services.json', () => {
    const { scenarios, topology } = parsed(FILE)
    assert.deepEqual([scenarios.length, topology.length], [6, 7])
    assert.equal(scenarios.reduce((sum, one) => sum + one.flows.length, 0), 47)
    assert.ok(scenarios.every(({ flows }) => flows.every(({ fate, masquerade, name }) => fate !== null && masquerade !== null && name !== '')))
    assert.deepEqual(scenarios.map(({ number }) => number), [0, 1, 2, 3, 4, 5])
  })

  it('the compiler answers the topology cases of test/cases/services.json as expected', () => {
    for (const one of parsed(FILE).topology) assert.deepEqual(topologyMismatches(one, answerTopology(one)), [], one.title)
  })

  it('topology: every part that is expected is compared, and nothing else', () => {
    const file = JSON.stringify({ topology: [{ zone: 'a', service: {}, endpoints: [{ ep: '10.0.0.1:80', zoneHints: ['a'] }, { ep: '10.0.0.2:80', zoneHints: ['b'] }] }] })
    const [one] = parsed(file).topology
    assert.ok(one !== undefined)
    const answer = answerTopology(one)
    assert.deepEqual(answer, { cluster: ['10.0.0.1:80'], local: null, all: ['10.0.0.1:80'], hasAny: true })
    assert.deepEqual(topologyMismatches(one, answer), [])
    const wrong = { ...one, expect: { cluster: [], local: [], all: ['10.0.0.1:80', '10.0.0.2:80'], hasAny: false } }
    assert.equal(topologyMismatches(wrong, answer).length, 4)
  })

  it('topology: node hints, for the node that the case names, count before zone hints', () => {
    const file = JSON.stringify({ topology: [{ node: 'n', zone: 'a', endpoints: [{ ep: '[fd00::1]:80', zoneHints: ['a'], nodeHints: ['m'] }, { ep: '[fd00::2]:80', zoneHints: ['b'], nodeHints: ['n'] }] }] })
    assert.deepEqual(parsed(file).topology.map((one) => answerTopology(one).cluster), [['[fd00::2]:80']])
  })

  it('takes a scenario without title, expectations and slices', () => {
    const [scenario] = parsed(fileWith((one, _, flow) => { delete one['slices']; delete flow['output']; delete flow['masq']; delete flow['name'] })).scenarios
    assert.equal(scenario?.title, '')
    assert.deepEqual(scenario?.flows.map(({ fate, masquerade, name }) => [fate, masquerade, name]), [[null, null, '']])
  })

  it('writes the short form of a Service out, and passes every other field on', () => {
    const service = {
      ns: 'shop', name: 'web', type: 'LoadBalancer', clusterIPs: ['172.27.0.9', 'fd00:27::9'], ports: [{ name: '', port: 80, nodePort: 3001, targetPort: 'http' }, { name: 'dns', port: 53, protocol: 'UDP' }],
      lb: ['1.2.3.4', { ip: 'fd00:1::4', ipMode: 'Proxy' }], sourceRanges: ['203.0.113.0/24'], externalIPs: ['9.9.9.9'], sessionAffinity: 'ClientIP', affinityTimeout: 7,
      healthCheckNodePort: 3100, labels: { a: 'b' }, trafficDistribution: 'PreferClose',
    }
    const [scenario] = parsed(fileWith((one) => (one['services'] = [service]))).scenarios
    const [read] = scenario?.services ?? []
    assert.deepEqual(read?.ports, [{ protocol: 'TCP', port: 80, nodePort: 3001 }, { protocol: 'UDP', port: 53, nodePort: null }])
    assert.equal(read?.affinity, true)
    assert.deepEqual(read?.object, {
      apiVersion: 'v1', kind: 'Service',
      metadata: { namespace: 'shop', name: 'web', labels: { a: 'b' } },
      spec: {
        type: 'LoadBalancer', clusterIP: '172.27.0.9', clusterIPs: ['172.27.0.9', 'fd00:27::9'], ipFamilies: ['IPv4', 'IPv6'], externalIPs: ['9.9.9.9'], sessionAffinity: 'ClientIP',
        healthCheckNodePort: 3100, trafficDistribution: 'PreferClose', ports: [{ port: 80, nodePort: 3001, targetPort: 'http' }, { name: 'dns', port: 53, protocol: 'UDP' }],
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 7 } }, loadBalancerSourceRanges: ['203.0.113.0/24'],
      },
      status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }, { ip: 'fd00:1::4', ipMode: 'Proxy' }] } },
    })
  })

  it('writes the short form of endpoints out: conditions beside the address, hints as names', () => {
    const slices = [{ ns: 'shop', service: 'dns', name: 's', endpoints: [{ address: 'fd00::7', nodeName: 'a', ready: false, conditions: { serving: true }, zoneHints: ['z'], zone: 'z' }, { address: 'nonsense' }], ports: [] }]
    const [slice] = parsed(fileWith((one) => (one['slices'] = slices))).scenarios[0]?.slices ?? []
    assert.deepEqual(slice?.endpoints, [{ address: 'fd00::7', node: 'a' }])
    assert.deepEqual(slice?.object, {
      apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv6',
      metadata: { namespace: 'shop', name: 's', labels: { 'kubernetes.io/service-name': 'dns' } },
      endpoints: [
        { zone: 'z', addresses: ['fd00::7'], nodeName: 'a', conditions: { serving: true, ready: false }, hints: { forZones: [{ name: 'z' }] } },
        { addresses: ['nonsense'], conditions: {} },
      ],
      ports: [],
    })
  })

  it('keeps the chosen scenarios only, under their numbers', () => {
    const { scenarios, topology } = parsed(FILE, ['4', '1'])
    assert.deepEqual([scenarios.map(({ number }) => number), topology.length], [[1, 4], 0])
    assert.match(errorOf(FILE, ['6']).message, /has no scenario "6"; scenarios are numbered 0 to 5/)
  })

  const mistakes: readonly (readonly [string, string, RegExp])[] = [
    ['no JSON', '{"scenarios": [', /^services\.json: expected JSON/],
    ['both kinds', '{"scenarios": [], "cases": []}', /expected either cases or scenarios and topology, found both/],
    ['nothing', '{"scenarios": [], "topology": []}', /expected at least one of scenarios and topology/],
    ['no list', '{"scenarios": {}}', /^services\.json: scenarios: expected a list, found an object/],
    ['no env', fileWith((one) => delete one['env']), /scenarios\[0\]\.env: expected an object, found nothing/],
    ['no address of the node', fileWith((_, env) => delete env['nodeIPs']), /scenarios\[0\]\.env\.nodeIPs: expected the node's addresses/],
    ['an address of the node', fileWith((_, env) => (env['nodeIPs'] = ['192.168.0.2/24'])), /env\.nodeIPs\[0\]: expected an IPv4 or IPv6 address, found "192\.168\.0\.2\/24"/],
    ['a network of node ports', fileWith((_, env) => (env['nodePortAddresses'] = ['192.168.0.2'])), /env\.nodePortAddresses\[0\]: expected primary or a CIDR/],
    ['a pod CIDR', fileWith((_, env) => (env['podCIDR'] = '10.0.0.0')), /env\.podCIDR: expected a CIDR such as/],
    ['masqueradeAll', fileWith((_, env) => (env['masqueradeAll'] = 'yes')), /env\.masqueradeAll: expected true or false, found "yes"/],
    ['a Service without a name', fileWith((one) => (one['services'] = [{ ns: 'shop' }])), /services\[0\]\.name: expected a text/],
    ['a Service twice', fileWith((one) => (one['services'] = [{ ns: 'shop', name: 'a' }, { ns: 'shop', name: 'a' }])), /services\[1\]: expected one Service of each name, found shop\/a again/],
    ['a slice of nobody', fileWith((one) => (one['slices'] = [{ ns: 'shop', name: 'a' }])), /slices\[0\]\.service: expected a text/],
    ['a source', fileWith((_, __, flow) => (flow['sourceIP'] = 'pod')), /flows\[0\]\.sourceIP: expected an IPv4 or IPv6 address, found "pod"/],
    ['a port', fileWith((_, __, flow) => (flow['destPort'] = '53')), /flows\[0\]\.destPort: expected a whole number from 1 to 65535, found "53"/],
    ['a protocol', fileWith((_, __, flow) => (flow['protocol'] = 'udp')), /flows\[0\]\.protocol: expected TCP, UDP or SCTP, found "udp"/],
    ['two families in a flow', fileWith((_, __, flow) => (flow['sourceIP'] = 'fd00::1')), /flows\[0\]: expected a source and a destination of one family/],
    ['a family that the node lacks', fileWith((_, env) => (env['nodeIPs'] = ['2001:db8::1'])), /flows\[0\]: expected a family that the node has an address of/],
    ['an output', fileWith((_, __, flow) => (flow['output'] = 'ACCEPT')), /flows\[0\]\.output: expected a list of endpoints, "REJECT", "DROP" or "", found "ACCEPT"/],
    ['an endpoint', fileWith((_, __, flow) => (flow['output'] = ['fd00::1:80'])), /flows\[0\]\.output\[0\]: expected an endpoint such as 10\.0\.0\.1:80 or \[fd00::1\]:80/],
    ['masq', fileWith((_, __, flow) => (flow['masq'] = 1)), /flows\[0\]\.masq: expected true or false, found 1/],
    ['an endpoint of topology without a text', '{"topology": [{"endpoints": [{}]}]}', /topology\[0\]\.endpoints\[0\]\.ep: expected a text/],
  ]
  for (const [title, text, pattern] of mistakes) {
    it(`names the place of a mistake: ${title}`, () => {
      const error = errorOf(text)
      assert.match(error.message, pattern)
      assert.equal(error.exit, 2)
    })
  }
})
