// What contradicts itself in Services and slices: the one at fault is named, and everything else goes on.
import assert from 'node:assert/strict'
import { compileOptions } from '../../../src/agent/compile-options.ts'
import type { EndpointSlice, Service } from '../../../src/model/service.ts'
import { markLayout, type MarkLayout } from '../../../src/ruleset/marks.ts'
import { readLists } from '../../../src/ruleset/service-memory.ts'
import type { AgentConfig } from '../../../src/settings.ts'
import { node, service, slice } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'
import { Pipeline } from '../../support/pipeline.ts'
import { fateIn } from '../../support/service-table.ts'

function made(services: readonly Service[], slices: readonly EndpointSlice[], options: Partial<AgentConfig> = {}): Pipeline {
  const pipeline = new Pipeline({ nodeName: 'node1', services: options })
  upsert(pipeline.turns.inbox, 'node', node({ name: 'node1', addresses: ['192.168.1.1', 'fd01::1'] }))
  upsert(pipeline.turns.inbox, 'service', ...services)
  upsert(pipeline.turns.inbox, 'slice', ...slices)
  pipeline.turn()
  return pipeline
}

const to = (pipeline: Pipeline, address: string, port = 80, client: 'pod' | 'outside' | 'node' = 'outside'): unknown => fateIn(pipeline.applied, { client, address, protocol: 'TCP', port })?.to ?? null
const told = ({ problems }: Pipeline): readonly string[] => problems.map(({ code, object, field, message }) => `${code} ${object} ${field ?? '-'}: ${message}`)

describe('Services that contradict each other', () => {
  it('a node port and an address that two claim are the older one\'s, and the other one is named', () => {
    const [old, young] = [1, 2].map((createdAt) => service({ name: `s${createdAt}`, createdAt, clusterIps: [`10.96.0.${createdAt}`], externalIps: ['203.0.113.1'], ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 30080 }] }))
    const pipeline = made([young as Service, old as Service], [slice([{ address: '10.1.0.1' }], { service: 's1', name: 's1' }), slice([{ address: '10.1.0.2' }], { service: 's2', name: 's2' })])
    assert.deepEqual([to(pipeline, '203.0.113.1'), to(pipeline, '192.168.1.1', 30080), to(pipeline, '10.96.0.1'), to(pipeline, '10.96.0.2')], [['10.1.0.1 8080'], ['10.1.0.1 8080'], ['10.1.0.1 8080'], ['10.1.0.2 8080']])
    assert.deepEqual(told(pipeline), [
      'ServiceConflict Service default/s2 spec.externalIPs: 203.0.113.1:80/TCP belongs to Service default/s1, which is older; here it is not translated for this one',
      'ServiceConflict Service default/s2 spec.ports: 192.168.1.1:30080/TCP belongs to Service default/s1, which is older; here it is not translated for this one',
    ])
    remove(pipeline.turns.inbox, 'service', old as Service)
    pipeline.turn()
    assert.deepEqual([to(pipeline, '203.0.113.1'), told(pipeline)], [['10.1.0.2 8080'], []])
  })

  it('an address of a family that the Service has not is not translated, and named', () => {
    const pipeline = made([service({ clusterIps: ['10.96.0.10'], externalIps: ['fd20::1', '203.0.113.1'] })], [slice([{ address: '10.1.0.1' }])])
    assert.deepEqual([to(pipeline, 'fd20::1'), to(pipeline, '203.0.113.1')], [null, ['10.1.0.1 8080']])
    assert.deepEqual(told(pipeline), ['AddressFamily Service default/web spec.externalIPs: fd20::1 is IPv6, and the Service has no ClusterIP of that family; it is not translated'])
  })

  it('an endpoint that is the Service itself is left out, and named; alone it is none', () => {
    const itself = { address: '10.96.0.10' }
    const both = made([service({ clusterIps: ['10.96.0.10'] })], [slice([itself, { address: '10.1.0.1' }])])
    assert.deepEqual([to(both, '10.96.0.10'), told(both)], [['10.1.0.1 8080'], ['EndpointIsService Service default/web -: its endpoint 10.96.0.10:8080 is an address of the Service itself; it is left out']])
    assert.equal(to(made([service({ clusterIps: ['10.96.0.10'] })], [slice([itself])]), '10.96.0.10'), 'REJECT')
  })

  it('an endpoint at an external or balancer\'s address is the Service itself at its own port only, and a ClusterIP at any', () => {
    for (const [address, clusterIp, family] of [['192.168.1.1', '10.96.0.10', 4], ['fd01::1', 'fd00:96::10', 6]] as const) {
      const key = (port: number): string => (family === 4 ? `${address}:${port}` : `[${address}]:${port}`)
      for (const addresses of [{ externalIps: [address] }, { loadBalancerIps: [address] }]) {
        const at = (port: number, more: Partial<Service> = {}): Pipeline => made([service({ clusterIps: [clusterIp], ...addresses, ...more })], [slice([{ address, node: 'node1' }], { family, ports: [{ name: '', protocol: 'TCP', port }] })])
        const [serves, itself] = [at(8080), at(80)]
        assert.deepEqual([to(serves, address), to(serves, clusterIp), told(serves)], [[`${address} 8080`], [`${address} 8080`], []])
        assert.deepEqual([to(itself, address), told(itself)], ['REJECT', [`EndpointIsService Service default/web -: its endpoint ${key(80)} is an address of the Service itself; it is left out`]])
        const ports = (protocol: 'TCP' | 'UDP'): Service['ports'] => [{ name: '', protocol: 'TCP', port: 80, nodePort: null }, { name: 'b', protocol, port: 8080, nodePort: null }]
        assert.equal(to(at(8080, { ports: ports('TCP') }), address), 'REJECT', 'another port of the Service')
        assert.deepEqual(to(at(8080, { ports: ports('UDP') }), address), [`${address} 8080`], 'one of another protocol')
      }
      const elsewhere = made([service({ clusterIps: [clusterIp] })], [slice([{ address: clusterIp }], { family, ports: [{ name: '', protocol: 'TCP', port: 9999 }] })])
      assert.equal(to(elsewhere, clusterIp), 'REJECT')
    }
  })

  it('one that does not fit is rejected and named, never led elsewhere; it fits when another one goes', () => {
    // 12 bits for lists.
    const most = compileOptions({ serviceProxy: 'picket', masquerade: 'none', serviceMarkMask: '0xfffffc00', serviceCIDRs: [], nodePortAddresses: ['primary'] } as unknown as AgentConfig).nat.services?.mostLists ?? 0
    assert.equal(most, 4095)
    const services = Array.from({ length: most + 1 }, (_, n) => service({ name: `s${n}`, createdAt: n, clusterIps: [`10.96.${n >> 8}.${n & 255}`] }))
    const slices = services.map(({ name }, n) => slice([{ address: `10.1.${n >> 8}.${n & 255}` }], { service: name, name }))
    const pipeline = new Pipeline({ nodeName: 'node1', services: { serviceMarkMask: '0xfffffc00' } })
    upsert(pipeline.turns.inbox, 'service', ...services)
    upsert(pipeline.turns.inbox, 'slice', ...slices)
    pipeline.turn()
    assert.match(told(pipeline).join('\n'), /^ServiceDoesNotFit Service default\/s4095 spec\.ports: there is no room for another list of endpoints: the mark has room for 4095 \(setting serviceMarkMask\); port 80\/TCP is rejected on this node$/)
    const marks = (name: string): string | undefined => pipeline.applied.sets.get('service-ids-v4')?.elements.get(name)?.value
    const first = [...(pipeline.applied.sets.get('service-ids-v4')?.elements.keys() ?? [])].filter((key) => key.endsWith(' . 10.96.15.255 . tcp . 80'))
    assert.equal(first.length, 3)
    for (const key of first) assert.equal(marks(key), String(0x3fc00), 'rejected')
    remove(pipeline.turns.inbox, 'service', services[7] as Service)
    pipeline.turn()
    assert.deepEqual(told(pipeline), [])
    for (const key of first) assert.notEqual(marks(key), String(0x3fc00))
  })

  const stays = (affinity: number | null): Service => service({ clusterIps: ['10.96.0.10'], affinity })
  const number = (pipeline: Pipeline, address = '10.96.0.10'): number => fateIn(pipeline.applied, { client: 'pod', address, protocol: 'TCP', port: 80 })?.list ?? 0
  const [one, two, three] = [{ address: '10.1.0.1' }, { address: '10.1.0.2' }, { address: '10.1.0.3' }] as const

  it('a list whose clients stay keeps its number whoever leaves or comes, over restarts and times in which nobody stays', () => {
    const pipeline = made([stays(60)], [slice([one, two])])
    const first = number(pipeline)
    for (const [affinity, endpoints] of [[60, [one, two, three]], [60, [one, three]], [90, [one, three]], [null, [three]], [60, [three]]] as const) {
      upsert(pipeline.turns.inbox, 'service', stays(affinity))
      upsert(pipeline.turns.inbox, 'slice', slice(endpoints))
      pipeline.turn()
      assert.equal(number(pipeline), first)
    }
    const next = new Pipeline({ nodeName: 'node1', services: {} })
    next.turns.nat.services?.remember(readLists(pipeline.applied, markLayout(0xffffff00) as MarkLayout))
    upsert(next.turns.inbox, 'slice', slice([one, two]))
    upsert(next.turns.inbox, 'service', stays(60))
    next.turn()
    assert.equal(number(next), first)
  })

  it('the number of a list that is gone rests where clients stay, or stayed, until they are forgotten', () => {
    for (const affinity of [60, null]) {
      const pipeline = made([stays(60)], [slice([one])])
      const plan = pipeline.turns.nat.services
      const first = number(pipeline)
      upsert(pipeline.turns.inbox, 'service', stays(affinity))
      pipeline.turn()
      assert.deepEqual([plan?.withClients, plan?.resting], [[first], []])
      remove(pipeline.turns.inbox, 'service', stays(affinity))
      pipeline.turn()
      assert.deepEqual([plan?.withClients, plan?.resting], [[first], [first]])
      plan?.rested([first])
      assert.deepEqual([plan?.withClients, plan?.resting], [[], []])
    }
  })

  it('a number that an earlier agent left clients under is not given out, though no list has it', () => {
    const layout = markLayout(0xffffff00) as MarkLayout
    const { applied } = made([stays(60)], [slice([one])])
    applied.sets.get('affinity-tcp-v4')?.elements.set('131072 . 10.2.0.1', { key: '131072 . 10.2.0.1', value: '10.1.0.9 . 8080' })
    applied.sets.get('affinity-udp-v6')?.elements.set('0x00030000 . 7', { key: '0x00030000 . 7', value: 'fd10::9' })
    const next = new Pipeline({ nodeName: 'node1', services: {} })
    next.turns.nat.services?.remember(readLists(applied, layout))
    upsert(next.turns.inbox, 'service', stays(60), service({ name: 'other', clusterIps: ['10.96.0.11'] }))
    upsert(next.turns.inbox, 'slice', slice([one]), slice([two], { name: 'other-4', service: 'other' }))
    next.turn()
    assert.deepEqual([number(next), number(next, '10.96.0.11'), next.turns.nat.services?.resting], [1, 4, [2, 3]])
  })

  it('1,000 endpoints in one slice are 1,000 indexes, and one that goes moves one', () => {
    const endpoints = Array.from({ length: 1_000 }, (_, n) => ({ address: `10.1.${n >> 8}.${n & 255}` }))
    const pipeline = made([service({ clusterIps: ['10.96.0.10'] })], [slice(endpoints)])
    assert.equal((to(pipeline, '10.96.0.10') as readonly string[]).length, 1_000)
    upsert(pipeline.turns.inbox, 'slice', slice(endpoints.filter((_, n) => n !== 500)))
    const before = pipeline.transactions.length
    pipeline.turn()
    assert.equal((to(pipeline, '10.96.0.10') as readonly string[]).length, 999)
    const moved = pipeline.transactions.slice(before).flatMap(({ operations }) => operations).flatMap((one) => ('elements' in one && one.set.name === 'endpoints-tcp-v4' ? one.elements : []))
    assert.equal(moved.length, 3, 'the gap and the last one go, the last one comes into the gap')
  })

  it('a change costs what it touches: one endpoint of 2,000 Services', () => {
    const services = Array.from({ length: 2_000 }, (_, n) => service({ name: `s${n}`, clusterIps: [`10.96.${n >> 8}.${n & 255}`] }))
    const pipeline = made(services, services.map(({ name }, n) => slice([{ address: `10.1.${n >> 8}.${n & 255}` }], { service: name, name })))
    upsert(pipeline.turns.inbox, 'slice', slice([{ address: '10.9.0.1' }, { address: '10.9.0.2' }], { service: 's7', name: 's7' }))
    const { rowsTouched } = pipeline.turn()
    assert.ok(rowsTouched < 40, `${rowsTouched} rows`)
  })
})
