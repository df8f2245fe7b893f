// What is known of a Service besides the table: who serves its UDP ports at which of its addresses, and how many endpoints this
// node has.
//
// **Invariant:** read from the plan of a real turn, in both families.
import assert from 'node:assert/strict'
import type { Endpoint, EndpointSlice, Service } from '../../../src/model/service.ts'
import type { PlannedService } from '../../../src/nat/plan.ts'
import { node, service, slice } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'
import { Pipeline } from '../../support/pipeline.ts'

const DNS = [{ name: '', protocol: 'UDP' as const, port: 53, nodePort: null }]
const PORTS = [{ name: '', protocol: 'UDP' as const, port: 5353 }]

function made(services: readonly Service[], slices: readonly EndpointSlice[]): Pipeline {
  const pipeline = new Pipeline({ nodeName: 'node1', services: {} })
  upsert(pipeline.turns.inbox, 'node', node({ name: 'node1', addresses: ['192.168.1.1', 'fd01::1'] }))
  upsert(pipeline.turns.inbox, 'service', ...services)
  upsert(pipeline.turns.inbox, 'slice', ...slices)
  pipeline.turn()
  return pipeline
}

const planned = (pipeline: Pipeline, { uid }: Service = service()): PlannedService => pipeline.turns.nat.services?.services.get(uid)?.planned as PlannedService
/** `ADDRESS port: ENDPOINT port, (ENDPOINT port)`, those that do not serve in parentheses. */
const udp = (pipeline: Pipeline, of?: Service): readonly string[] =>
  planned(pipeline, of).udp.map(({ address, port, endpoints }) => `${address} ${port}: ${endpoints.map((one) => (one.serving ? `${one.address} ${one.port}` : `(${one.address} ${one.port})`)).join(', ')}`)

/** A slice of each family. */
function both(four: readonly (Partial<Endpoint> & { readonly address: string })[], fields: Partial<EndpointSlice> = {}): readonly EndpointSlice[] {
  return [
    slice(four, { ports: PORTS, ...fields, name: `${fields.name ?? 'web'}-4` }),
    slice(four.map((one) => ({ ...one, address: `fd00:${one.address.replaceAll('.', ':')}` })), { ports: PORTS, ...fields, name: `${fields.name ?? 'web'}-6` }),
  ]
}

describe('who serves the UDP ports of a Service', () => {
  it('at every address that it has, with the endpoints of the family, wherever they are', () => {
    const dns = service({ ports: DNS.map((port) => ({ ...port, nodePort: 30053 })), externalIps: ['203.0.113.1'], loadBalancerIps: ['fd20::1'], internalPolicy: 'Local', externalPolicy: 'Local' })
    const four = '10.1.0.1 5353, 10.1.0.2 5353'
    const six = 'fd00:10:1:0:1 5353, fd00:10:1:0:2 5353'
    assert.deepEqual(udp(made([dns], both([{ address: '10.1.0.1', node: 'node1' }, { address: '10.1.0.2', node: 'node2' }]))).toSorted(), [
      `10.96.0.10 53: ${four}`, `192.168.1.1 30053: ${four}`, `203.0.113.1 53: ${four}`, `fd00:96::10 53: ${six}`, `fd01::1 30053: ${six}`, `fd20::1 53: ${six}`,
    ])
  })

  it('one that serves while it ends serves, and so does one that is ready only because all are; one that is neither does not', () => {
    const endpoints = [{ address: '10.1.0.1', ready: false, terminating: true }, { address: '10.1.0.2', serving: false }, { address: '10.1.0.3', ready: false, serving: false }]
    assert.deepEqual(udp(made([service({ ports: DNS })], both(endpoints))), ['10.96.0.10 53: 10.1.0.1 5353, 10.1.0.2 5353, (10.1.0.3 5353)', 'fd00:96::10 53: fd00:10:1:0:1 5353, fd00:10:1:0:2 5353, (fd00:10:1:0:3 5353)'])
  })

  it('without endpoints it has its ports all the same; other protocols have none, and nothing is made for them', () => {
    assert.deepEqual(udp(made([service({ ports: DNS })], [])), ['10.96.0.10 53: ', 'fd00:96::10 53: '])
    const [one, two] = ['one', 'two'].map((name) => service({ name, clusterIps: [name === 'one' ? '10.96.0.1' : '10.96.0.2'] })) as [Service, Service]
    const pipeline = made([one, two], [slice([{ address: '10.1.0.1' }], { service: 'one' })])
    assert.deepEqual(udp(pipeline, one), [])
    assert.equal(planned(pipeline, one).udp, planned(pipeline, two).udp)
  })

  it('an address that is an older Service\'s is not this one\'s, until that one goes', () => {
    const [old, young] = [1, 2].map((createdAt) => service({ name: `s${createdAt}`, createdAt, ports: DNS, clusterIps: [`10.96.0.${createdAt}`], externalIps: ['203.0.113.1'] })) as [Service, Service]
    const pipeline = made([old, young], [1, 2].map((n) => slice([{ address: `10.1.0.${n}` }], { service: `s${n}`, name: `s${n}`, ports: PORTS })))
    assert.deepEqual([udp(pipeline, old), udp(pipeline, young)], [['10.96.0.1 53: 10.1.0.1 5353', '203.0.113.1 53: 10.1.0.1 5353'], ['10.96.0.2 53: 10.1.0.2 5353']])
    remove(pipeline.turns.inbox, 'service', old)
    pipeline.turn()
    assert.deepEqual(udp(pipeline, young), ['10.96.0.2 53: 10.1.0.2 5353', '203.0.113.1 53: 10.1.0.2 5353'])
  })
})

describe('how many endpoints of a Service this node has', () => {
  const local = service({ externalPolicy: 'Local', healthCheckNodePort: 32_000 })
  const health = (endpoints: readonly (Partial<Endpoint> & { readonly address: string })[], of = local): PlannedService['health'] => planned(made([of], both(endpoints, { ports: [{ name: '', protocol: 'TCP', port: 8080 }] })), of).health

  it('those that are ready; a pod with an address of each family is one', () => {
    const here = { node: 'node1' }
    assert.deepEqual(health([{ address: '10.1.0.1', ...here }, { address: '10.1.0.2', ...here }, { address: '10.1.0.3', node: 'node2' }, { address: '10.1.0.4' }]), { port: 32_000, localEndpoints: 2 })
    assert.deepEqual(health([{ address: '10.1.0.1', ...here, ready: false }, { address: '10.1.0.2', ...here, ready: false, terminating: true }]), { port: 32_000, localEndpoints: 0 })
  })

  it('an endpoint with two ports is one, and a Service without a port for it is asked by nobody', () => {
    const ports = [{ name: 'a', protocol: 'TCP' as const, port: 80, nodePort: null }, { name: 'b', protocol: 'UDP' as const, port: 81, nodePort: null }]
    const two = { ...local, ports }
    const slices = both([{ address: '10.1.0.1', node: 'node1' }], { ports: ports.map(({ name, protocol }) => ({ name, protocol, port: 8080 })) })
    assert.deepEqual(planned(made([two], slices)).health, { port: 32_000, localEndpoints: 1 })
    assert.equal(planned(made([{ ...two, healthCheckNodePort: null }], slices)).health, null)
  })
})
