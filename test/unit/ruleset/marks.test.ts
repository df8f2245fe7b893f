// The conntrack mark: how any mask is divided, and that what is written is read again.
import assert from 'node:assert/strict'
import { clientMark, dropMark, entryMark, listMark, listOfMark, markLayout, rejectMark, sizeMark, type MarkLayout } from '../../../src/ruleset/marks.ts'
import { readLists } from '../../../src/ruleset/service-memory.ts'
import { service, slice } from '../../support/builders.ts'
import { upsert } from '../../support/cluster-feed.ts'
import { Pipeline } from '../../support/pipeline.ts'

const MASKS = [0xffffff00, 0xffffffff, 0x003fffff, 0x0ffffff0, 0xfffffc00]

describe('the mark', () => {
  for (const mask of MASKS) {
    const layout = markLayout(mask) as MarkLayout
    const fields = [layout.affinity, layout.masquerade, layout.lists, layout.sizes].map(BigInt)

    it(`0x${mask.toString(16)}: its fields are apart, and together the mask; the rest is others'`, () => {
      assert.equal(fields.reduce((sum, field) => sum + field), BigInt(mask))
      assert.equal(fields.reduce((sum, field) => sum | field), BigInt(mask))
      assert.equal(layout.foreign.reduce((sum, bit) => sum + bit, 0), 0xffffffff - mask)
    })
    it(`0x${mask.toString(16)}: every mark stays within it, and names its list again`, () => {
      const marks = [1, 2, layout.mostLists].flatMap((to) => [1, layout.mostSizes].flatMap((size) => [true, false].map((flag) => [to, entryMark(layout, { to, masquerade: flag }, size, flag)] as const)))
      for (const [to, mark] of marks) assert.deepEqual([listOfMark(layout, mark), BigInt(mark) & ~BigInt(mask)], [to, 0n])
      for (const mark of [rejectMark(layout), clientMark(layout, 'pod') + rejectMark(layout)]) assert.equal(listOfMark(layout, mark), null)
      assert.equal(new Set([rejectMark(layout), dropMark(layout), sizeMark(layout, layout.mostSizes), sizeMark(layout, 1), 0]).size, 5)
      assert.equal(listMark(layout, layout.mostLists), layout.lists)
    })
  }

  it('with no bit left to others there is room for 60,000 Services', () => assert.ok((markLayout(0xffffffff) as MarkLayout).mostLists >= 60_000))
  it('a mask that is too narrow, or has gaps, is none', () => {
    for (const mask of [0, 0xff, 0xfffff000, 0xff00ffff, -1, 1.5, 2 ** 33 - 1]) assert.equal(markLayout(mask), null)
  })
})

describe('what a table remembers of lists', () => {
  it('is what the plan had: numbers by entry, endpoints by index, both families', () => {
    const pipeline = new Pipeline({ nodeName: 'node1', services: {} })
    upsert(pipeline.turns.inbox, 'service', service({ affinity: 60 }), service({ name: 'other', clusterIps: ['10.96.0.11'] }))
    upsert(pipeline.turns.inbox, 'slice', slice([{ address: '10.1.0.2' }, { address: '10.1.0.3' }]), slice([{ address: 'fd10::2' }], { name: 'web-6' }), slice([{ address: '10.1.0.9' }], { service: 'other', name: 'other-4' }))
    pipeline.turn()
    const memory = readLists(pipeline.applied, markLayout(0xffffff00) as MarkLayout)
    assert.deepEqual([memory.lists.get('pod 10.96.0.10 TCP 80'), memory.lists.get('node fd00:96::10 TCP 80'), memory.lists.get('outside 10.96.0.11 TCP 80')], [1, 1, 2])
    assert.deepEqual(memory.slots.get(1), { 4: [{ address: '10.1.0.2', port: 8080 }, { address: '10.1.0.3', port: 8080 }], 6: [{ address: 'fd10::2', port: 8080 }] })
  })

  it('another agent takes numbers and indexes over, and writes no element anew, whatever the order of its events', () => {
    const rows = (pipeline: Pipeline, backwards: boolean): void => {
      const services = [service({ affinity: 60, ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: null }] }), service({ name: 'other', clusterIps: ['10.96.0.11'] }), service({ name: 'third', clusterIps: ['10.96.0.12'], internalPolicy: 'Local' })]
      const slices = ['web', 'other', 'third'].map((name, index) => slice([{ address: `10.1.${index}.2`, node: 'node1' }, { address: `10.1.${index}.3` }, { address: `10.1.${index}.1` }], { service: name, name: `${name}-4` }))
      upsert(pipeline.turns.inbox, 'slice', ...slices)
      upsert(pipeline.turns.inbox, 'service', ...(backwards ? services.toReversed() : services))
    }
    const first = new Pipeline({ nodeName: 'node1', services: {} })
    rows(first, false)
    first.turn()
    const second = new Pipeline({ nodeName: 'node1', services: {} })
    second.turns.nat.services?.remember(readLists(first.applied, markLayout(0xffffff00) as MarkLayout))
    rows(second, true)
    second.turn()
    for (const [name, { elements }] of first.applied.sets) assert.deepEqual(new Map(second.applied.sets.get(name)?.elements), elements, name)
    assert.deepEqual(second.turns.nat.services?.resting, [])
  })
})
