// What leaves the cluster: the ranges in which pods' traffic keeps its address, and from which address the rest leaves.
//
// **Invariant:** read from the table after each turn, in both families.
import assert from 'node:assert/strict'
import type { Node } from '../../../src/model/objects.ts'
import type { AgentConfig } from '../../../src/settings.ts'
import { cidr, node } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'
import { Pipeline } from '../../support/pipeline.ts'

const CIDRS = ['10.244.0.0/24', 'fd44::/120'].map(cidr)
const PODS = [['10.244.0.0-10.244.0.255'], ['fd44::-fd44::ff']]

function made(options: Partial<AgentConfig>, ...nodes: readonly Node[]): Pipeline {
  const pipeline = new Pipeline({ nodeName: 'n1', services: { nonMasqueradeCIDRs: [], ...options } })
  upsert(pipeline.turns.inbox, 'node', ...nodes)
  pipeline.turn()
  return pipeline
}

function spared({ applied }: Pipeline): readonly (readonly string[])[] {
  return [4, 6].map((family) => [...(applied.sets.get(`never-masqueraded-v${family}`)?.elements.keys() ?? [])].sort())
}

function without(pipeline: Pipeline, gone: Node): readonly (readonly string[])[] {
  remove(pipeline.turns.inbox, 'node', gone)
  pipeline.turn()
  return spared(pipeline)
}

describe('where pods\' traffic keeps its address', () => {
  it('a range that two Nodes have stays until the last of them goes', () => {
    const [one, two] = ['n1', 'n2'].map((name) => node({ name, podCidrs: CIDRS })) as [Node, Node]
    const pipeline = made({}, one, two)
    assert.deepEqual([spared(pipeline), without(pipeline, one), without(pipeline, two)], [PODS, PODS, [[], []]])
  })

  it('of ranges that overlap the rest stays, whoever goes, and the setting\'s always', () => {
    const wide = node({ name: 'wide', podCidrs: ['10.244.0.0/16', 'fd44::/112'].map(cidr) })
    const inside = node({ name: 'inside', podCidrs: CIDRS, addresses: ['192.168.1.2', 'fd01::2'] })
    const all = [['10.244.0.0-10.244.255.255', '192.168.1.2'], ['fd01::2', 'fd44::-fd44::ffff']]
    const first = made({}, wide, inside)
    assert.deepEqual([spared(first), without(first, wide), without(first, inside)], [all, [['10.244.0.0-10.244.0.255', '192.168.1.2'], ['fd01::2', 'fd44::-fd44::ff']], [[], []]])
    const second = made({ nonMasqueradeCIDRs: ['10.244.0.0/24', 'fd44::/120'] }, wide, inside)
    assert.deepEqual([without(second, inside), without(second, wide)], [[['10.244.0.0-10.244.255.255'], ['fd44::-fd44::ffff']], PODS])
  })

  it('a Node whose addresses change takes back those that it had', () => {
    const pipeline = made({}, node({ name: 'n2', podCidrs: CIDRS, addresses: ['192.168.1.2', 'fd01::2'] }))
    upsert(pipeline.turns.inbox, 'node', node({ name: 'n2', podCidrs: CIDRS, addresses: ['192.168.1.3', 'fd01::3'] }))
    pipeline.turn()
    assert.deepEqual(spared(pipeline), [['10.244.0.0-10.244.0.255', '192.168.1.3'], ['fd01::3', 'fd44::-fd44::ff']])
  })
})

describe('from which address the rest leaves', () => {
  const rules = ({ applied }: Pipeline): readonly string[] => (applied.chains.get('nat-postrouting')?.rules ?? []).filter((rule) => rule.includes('@local-pods')).map((rule) => rule.replace(/.*@never-masqueraded-v(\d) /, '$1: '))
  const from = (...egressSources: readonly string[]): Node => node({ name: 'n1', egressSources })

  it('from the node\'s own for it, one of each family, as random as the setting says; without it from its interface\'s', () => {
    assert.deepEqual(rules(made({}, from('192.0.2.1', 'fd00::1'))), ['4: snat ip to 192.0.2.1 fully-random', '6: snat ip6 to fd00::1 fully-random'])
    assert.deepEqual(rules(made({ masqueradeRandomFully: false }, from('192.0.2.1', 'fd00::1'))), ['4: snat ip to 192.0.2.1', '6: snat ip6 to fd00::1'])
    assert.deepEqual(rules(made({}, from('fd00::1'))), ['4: masquerade fully-random', '6: snat ip6 to fd00::1 fully-random'])
    assert.deepEqual(rules(made({ masqueradeRandomFully: false }, from())), ['4: masquerade', '6: masquerade'])
  })

  it('another Node\'s is not this one\'s, and it ends with the Node that had it', () => {
    const pipeline = made({}, from('192.0.2.1'), node({ name: 'n2', egressSources: ['192.0.2.2', 'fd00::2'] }))
    assert.deepEqual(rules(pipeline), ['4: snat ip to 192.0.2.1 fully-random', '6: masquerade fully-random'])
    remove(pipeline.turns.inbox, 'node', from())
    pipeline.turn()
    assert.deepEqual(rules(pipeline), ['4: masquerade fully-random', '6: masquerade fully-random'])
  })
})
