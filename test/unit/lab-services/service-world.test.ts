// The world of a scenario as data: who has which address, what he serves, how the packets go, what the agent reads.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { decodeObject } from '../../../src/decode/decode.ts'
import { parseCaseFile } from '../../../src/lab/case-file.ts'
import type { IpLine } from '../../../src/lab/ip-batch.ts'
import type { Scenario } from '../../../src/lab/service-case-types.ts'
import { scenarioHostLines } from '../../../src/lab/service-layout.ts'
import { scenarioFiles, scenarioFlags } from '../../../src/lab/service-objects.ts'
import { clientOf, worldOfScenario, type ServiceWorld } from '../../../src/lab/service-world.ts'

const file = parseCaseFile(readFileSync(new URL('../../cases/services.json', import.meta.url), 'utf8'), 'services.json')
assert.ok(file.kind === 'service')
const { scenarios } = file
const LOCAL = scenarios[2] as Scenario
const world = worldOfScenario(LOCAL)
const hostsOf = ({ hosts }: ServiceWorld, role: string): ServiceWorld['hosts'] => hosts.filter((host) => host.role === role)
const texts = (lines: readonly IpLine[]): readonly string[] => lines.map((line) => (line.kind === 'run' ? line.text : line.name))

describe('the world of a scenario', () => {
  it('gives the node exactly its addresses, and answers there on every port that a flow asks for', () => {
    const [node] = world.hosts
    assert.deepEqual(node?.addresses, LOCAL.env.nodeIps)
    assert.ok(node?.ports.some(({ protocol, port }) => protocol === 'TCP' && port === 3001))
  })

  it('runs the endpoints of this node in pods, those of others elsewhere', () => {
    assert.deepEqual(hostsOf(world, 'pod').map(({ addresses }) => addresses), [['10.31.2.1'], ['10.0.0.2']])
    assert.deepEqual(hostsOf(world, 'remote').map(({ addresses }) => addresses), [['10.31.0.1']])
  })

  it('a client is the node, a pod of its range, an endpoint, or somebody outside', () => {
    assert.equal(clientOf(world, '192.168.0.2').role, 'node')
    assert.equal(clientOf(world, '10.0.0.2').key, 'clients/client-2')
    assert.equal(clientOf(world, '203.0.113.2').role, 'outside')
    const [flow] = LOCAL.flows
    assert.ok(flow !== undefined)
    const elsewhere = worldOfScenario({ ...LOCAL, flows: [{ ...flow, source: '10.31.0.1' }, { ...flow, source: '10.31.2.1' }] })
    assert.equal(clientOf(elsewhere, '10.31.0.1').role, 'remote')
    assert.equal(clientOf(elsewhere, '10.31.2.1').key, 'shop/endpoint-1')
  })

  it('loopback is the node\'s, and needs no line', () => {
    const [flow] = LOCAL.flows
    assert.ok(flow !== undefined)
    const own = worldOfScenario({ ...LOCAL, flows: [{ ...flow, source: '127.0.0.1', destination: '127.0.0.1', port: 3001 }] })
    assert.equal(clientOf(own, '127.0.0.1').role, 'node')
    assert.ok(own.hosts[0]?.addresses.includes('127.0.0.1'))
    assert.ok(own.hosts.every(({ role, addresses }) => role === 'pod' || !texts(scenarioHostLines(role, addresses, own.hosts)).some((text) => text.includes('127.0.0.1'))))
  })

  it('somebody beyond has whatever else is sent to, so that what is not translated is answered', () => {
    const [beyond] = hostsOf(world, 'beyond')
    assert.deepEqual(beyond?.addresses.filter((one) => !one.endsWith('254')), ['172.27.0.41', '1.2.3.4'])
    assert.ok(beyond?.ports.some(({ port }) => port === 80))
  })

  it('leaves alone what nobody can have', () => {
    const slice = LOCAL.slices[0]
    assert.ok(slice !== undefined)
    const odd = worldOfScenario({ ...LOCAL, slices: [{ ...slice, endpoints: ['127.0.0.1', '224.0.0.1', 'ff02::1', '::', 'fe80::1'].map((address) => ({ address, node: LOCAL.env.nodeName })) }] })
    assert.deepEqual(hostsOf(odd, 'pod').map(({ key }) => key), ['clients/client-1'])
  })

  it('everybody sends everything by way of the node; it knows who is where', () => {
    const outside = texts(scenarioHostLines('outside', ['203.0.113.2'], world.hosts))
    assert.ok(outside.includes('route replace default via 169.254.61.11 dev uplink onlink'))
    assert.ok(outside.includes('route replace ::/0 via fe80::61:11 dev uplink'))
    assert.deepEqual(outside.filter((text) => text.startsWith('address add')), ['address add 203.0.113.2/32 dev uplink', 'address add fe80::61:200/64 dev uplink nodad'])
    const node = texts(scenarioHostLines('node', LOCAL.env.nodeIps, world.hosts))
    for (const route of ['default via 169.254.61.201', '10.31.0.1/32 via 169.254.61.12', '203.0.113.2/32 via 169.254.61.200']) assert.ok(node.includes(`route replace ${route} dev uplink onlink`), route)
    assert.ok(!node.some((text) => text.includes('10.31.2.1')))
  })

  it('the agent reads one node with its addresses and range, Services, slices, and a Pod for each endpoint and client in the range', () => {
    const objects = [...scenarioFiles(LOCAL, world, '2026-01-01T00:00:00Z').values()].map((text) => JSON.parse(text) as { kind: string; metadata: { name: string; uid: string }; spec: Record<string, unknown>; status: Record<string, unknown> })
    const named = (kind: string): readonly string[] => objects.filter((one) => one.kind === kind).map(({ metadata }) => metadata.name)
    assert.deepEqual(named('Node'), ['node-a', 'another-node'])
    assert.deepEqual(named('Service'), ['front'])
    assert.deepEqual(named('EndpointSlice'), ['front-1'])
    assert.deepEqual(named('Namespace'), ['shop', 'clients', 'elsewhere'])
    assert.deepEqual(objects.filter((one) => one.kind === 'Pod').map(({ spec, status }) => [spec['nodeName'], status['podIP']]), [['node-a', '10.31.2.1'], ['node-a', '10.0.0.2'], ['another-node', '10.31.0.1']])
    assert.deepEqual(objects[0]?.spec['podCIDRs'], ['10.0.0.0/8'])
    assert.equal(new Set(objects.map(({ metadata }) => metadata.uid)).size, objects.length)
  })

  it('the agent can read every object of every scenario, and has nothing to say about it', () => {
    const more = parseCaseFile(readFileSync(new URL('../../cases/services-more.json', import.meta.url), 'utf8'), 'services-more.json')
    assert.ok(more.kind === 'service')
    for (const scenario of [...scenarios, ...more.scenarios]) {
      for (const [name, text] of scenarioFiles(scenario, worldOfScenario(scenario), '2026-01-01T00:00:00Z')) {
        const object = JSON.parse(text) as { kind: string; metadata: { uid: string } }
        const read = decodeObject(object.kind, object, object.metadata.uid, name)
        assert.deepEqual([read?.decoded.kind, read?.decoded.problems], ['good', []], `${scenario.title} ${text}`)
      }
    }
  })

  it('the agent is told what the scenario says of it', () => {
    assert.deepEqual(scenarioFlags(LOCAL), ['--service-proxy', 'picket', '--node-port-addresses', '192.168.0.2/32,2001:db8::1/128', '--service-cidrs', '172.27.0.0/16'])
    assert.deepEqual(scenarioFlags({ ...LOCAL, env: { ...LOCAL.env, nodePortAddresses: null, serviceCidrs: [], masqueradeAll: true } }), ['--service-proxy', 'picket', '--masquerade-all', 'true'])
  })
})
