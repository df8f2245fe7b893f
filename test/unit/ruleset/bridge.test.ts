// The second table as data: what a pod on a bridge adds to it, and that it takes all of it along.
import assert from 'node:assert/strict'
import type { Attachment, BridgePort } from '../../../src/policy/plan.ts'
import { BRIDGE_TABLE, BridgePins } from '../../../src/ruleset/bridge.ts'
import { cidr } from '../../support/builders.ts'
import { tableBlock } from '../../support/table-text.ts'

const P7: BridgePort = { index: 7, name: 'p7', mac: '02:00:00:00:00:07', bridge: 'cni0' }
const ODD: BridgePort = { index: 8, name: 'p@8', mac: '02:00:00:00:00:08', bridge: 'cni0' }

function pod(name: string, port: BridgePort | null, ...addresses: readonly string[]): Attachment {
  const by = addresses.map((address) => ({ via: 'address' as const, address, port }))
  return { pod: `pod/${name}`, namespace: 'shop', name, by, sourcePrefixes: [], ingress: 'open', egress: 'open', closed: false }
}

function elements(pins: BridgePins): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries([...pins.wanted.state.sets].map(([name, set]) => [name, [...set.elements.values()].map(({ key, value }) => (value === undefined ? key : `${key} : ${value}`))]))
}

describe('ruleset/bridge: what a pod on a bridge may send', () => {
  it('rule 87: port, MAC and addresses of a pod, and whom it may advertise', () => {
    const pins = new BridgePins()
    assert.deepEqual(pins.change([{ before: null, after: pod('web', P7, '10.0.0.7', 'fd00::7') }]), [P7])
    assert.deepEqual(elements(pins), {
      ports: ['"p7"'],
      'port-macs': ['"p7" . 02:00:00:00:00:07'],
      macs: ['02:00:00:00:00:07'],
      'pins-v4': ['"p7" . 10.0.0.7'],
      'pinned-v4': ['10.0.0.7'],
      'pins-v6': ['"p7" . fd00::7'],
      'pinned-v6': ['fd00::7'],
      adverts: ['"p7" : jump adverts/p7'],
      'pin-prefixes-v4': [],
      'pin-prefixes-v6': [],
    })
    assert.deepEqual(pins.wanted.state.chains.get('adverts/p7')?.rules, ['@th,64,128 0xfd000000000000000000000000000007 accept'])
    assert.deepEqual(pins.wanted.ownersOf('pins-v4', [{ key: '"p7" . 10.0.0.7' }]), ['Pod shop/web'])
  })

  it('takes all of it along, whatever came between, and tells a port as new once', () => {
    const pins = new BridgePins()
    const nothing = tableBlock(BRIDGE_TABLE, pins.wanted.state)
    const one = pod('web', P7, '10.0.0.7')
    const two = pod('web', P7, '10.0.0.7', 'fd00::7')
    pins.change([{ before: null, after: one }])
    assert.deepEqual(pins.change([{ before: one, after: two }]), [])
    assert.deepEqual(pins.change([{ before: two, after: null }, { before: null, after: pod('next', ODD, '10.0.0.7') }]), [ODD])
    assert.deepEqual(elements(pins)['pins-v4'], ['"p@8" . 10.0.0.7'])
    const again = { ...ODD, index: 9 }
    assert.deepEqual(pins.change([{ before: pod('next', ODD, '10.0.0.7'), after: pod('next', again, '10.0.0.7') }]), [again])
    pins.change([{ before: pod('next', ODD, '10.0.0.7'), after: null }])
    assert.equal(tableBlock(BRIDGE_TABLE, pins.wanted.state), nothing)
  })

  it('rules 87, 90: a port of a bridge with pods is pinned to what is behind it before a pod is known there', () => {
    const pins = new BridgePins()
    const nothing = tableBlock(BRIDGE_TABLE, pins.wanted.state)
    const stranger = { ...ODD, addresses: ['10.0.0.8', 'fd00::8'] }
    const elsewhere = { index: 9, name: 'p9', mac: '02:00:00:00:00:09', bridge: 'docker0', addresses: ['10.5.0.9'] }
    pins.change([], [{ before: null, after: stranger }, { before: null, after: elsewhere }])
    assert.deepEqual([pins.size, tableBlock(BRIDGE_TABLE, pins.wanted.state)], [0, nothing], 'no pod is on a bridge')
    const web = pod('web', P7, '10.0.0.7')
    assert.deepEqual(pins.change([{ before: null, after: web }]), [P7])
    assert.deepEqual(elements(pins)['pins-v4'], ['"p7" . 10.0.0.7', '"p@8" . 10.0.0.8'])
    assert.deepEqual([elements(pins)['pins-v6'], elements(pins)['macs']], [['"p@8" . fd00::8'], [P7.mac, ODD.mac]])
    // Once a pod is known there: its addresses only.
    const late = pod('late', ODD, '10.0.0.8')
    assert.deepEqual(pins.change([{ before: null, after: late }]), [ODD])
    assert.deepEqual([elements(pins)['pins-v6'], pins.wanted.ownersOf('pins-v4', [{ key: '"p@8" . 10.0.0.8' }])], [[], ['Pod shop/late']])
    pins.change([{ before: late, after: null }])
    assert.deepEqual(elements(pins)['pins-v6'], ['"p@8" . fd00::8'])
    // Another port under its name.
    const again = { ...stranger, index: 10, mac: '02:00:00:00:00:10', addresses: ['10.0.0.7'] }
    pins.change([{ before: web, after: pod('web', P7, '10.0.0.6') }], [{ before: stranger, after: null }, { before: null, after: again }])
    assert.deepEqual([elements(pins)['pins-v4'], elements(pins)['port-macs']], [['"p7" . 10.0.0.6', '"p@8" . 10.0.0.7'], [`"p7" . ${P7.mac}`, '"p@8" . 02:00:00:00:00:10']])
    pins.change([{ before: pod('web', P7, '10.0.0.6'), after: null }])
    assert.equal(tableBlock(BRIDGE_TABLE, pins.wanted.state), nothing)
  })

  it('rule 87: source prefixes are sent from their port; of two pods behind one port the wider prefix is enough', () => {
    const pins = new BridgePins()
    const nothing = tableBlock(BRIDGE_TABLE, pins.wanted.state)
    const wide = { ...pod('gw', P7, '10.0.0.7'), sourcePrefixes: [cidr('10.9.0.0/16'), cidr('fd09::/16'), cidr('10.9.1.0/24')] }
    const narrow = { ...pod('other', P7, '10.0.0.8'), sourcePrefixes: [cidr('10.9.2.0/24')] }
    const prefixes = (): readonly string[] => ['pin-prefixes-v4', 'pin-prefixes-v6'].flatMap((set) => elements(pins)[set] ?? [])
    pins.change([{ before: null, after: wide }, { before: null, after: narrow }])
    assert.deepEqual(prefixes(), ['"p7" . 10.9.0.0-10.9.255.255', '"p7" . fd09::-fd09:ffff:ffff:ffff:ffff:ffff:ffff:ffff'])
    pins.change([{ before: wide, after: null }])
    assert.deepEqual(prefixes(), ['"p7" . 10.9.2.0-10.9.2.255'])
    pins.change([{ before: narrow, after: null }])
    assert.equal(tableBlock(BRIDGE_TABLE, pins.wanted.state), nothing)
  })

  it('pins nothing for a pod whose port is not found, or that has an interface of its own', () => {
    const pins = new BridgePins()
    const { by, ...rest } = pod('web', null, '10.0.0.7')
    pins.change([{ before: null, after: { ...rest, by } }, { before: null, after: { ...rest, by: [{ via: 'interface', interface: 'veth1', address: '10.0.0.8' }] } }])
    assert.equal(pins.size, 0)
    assert.deepEqual(Object.values(elements(pins)).flat(), [])
  })

  it('never asks conntrack, and has no rule about frames that are neither IP nor ARP but for tagged ones', () => {
    const rules = [...new BridgePins().wanted.state.chains.values()].flatMap((chain) => chain.rules)
    assert.deepEqual(rules.filter((rule) => /\bct\b/.test(rule)), [])
    assert.deepEqual(rules.flatMap((rule) => /ether type (\{.*?\}|\S+)/.exec(rule)?.[1] ?? []), ['{ 8021q, 8021ad }', 'ip', 'ip6', 'arp'])
  })
})
