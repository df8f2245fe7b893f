// What is told of NodeEnforcements that cannot be read: the field, once, until it is another one or over.
import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import pino from 'pino'
import { Faults } from '../../../src/operator/faults.ts'
import { operatorResources, type SeenReport } from '../../../src/operator/resources.ts'
import { nodeStatus } from '../../support/enforcements.ts'

const resource = operatorResources('picket-system').find(({ rows }) => rows === 'report')

function read(status: unknown): SeenReport {
  const decoded = resource?.read?.({ metadata: { name: 'n1', uid: 'u1', resourceVersion: '7' }, status }, 'u1') as { readonly row: SeenReport }
  return decoded.row
}

describe('NodeEnforcements that cannot be read', () => {
  it('are told with the field, once, and again where it is another fault or a new one', () => {
    const lines: { readonly object: string; readonly fault: string; readonly msg: string }[] = []
    const stream = new Writable({
      write(line: Buffer, _, done) {
        lines.push(JSON.parse(String(line)) as (typeof lines)[number])
        done()
      },
    })
    const faults = new Faults(pino({}, stream))
    faults.look('n1', read(nodeStatus()))
    assert.deepEqual([lines.length, faults.size], [0, 0])
    const bad = { ...nodeStatus(), failuresTotal: 'many' }
    for (let i = 0; i < 3; i++) faults.look('n1', read(bad))
    assert.deepEqual(lines.map(({ object, fault }) => `${object}: ${fault}`), ['NodeEnforcement n1: status.failuresTotal: found "many", expected a whole number from 0 to 2147483647'])
    assert.match(lines[0]?.msg ?? '', /count as pending/)
    faults.look('n1', read({ ...nodeStatus(), kernel: 7 }))
    assert.equal(lines.length, 2)
    faults.look('n1', null)
    assert.equal(faults.size, 0)
    faults.look('n1', read(bad))
    assert.equal(lines.length, 3)
  })
})
