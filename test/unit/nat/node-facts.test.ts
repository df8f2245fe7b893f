// Which addresses of this node serve node ports.
//
// **Invariant:** asked of the maps after each turn: an address serves exactly if the node port is found under it.
import assert from 'node:assert/strict'
import type { AgentConfig } from '../../../src/settings.ts'
import { hostInterface, node, service, slice } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'
import { Pipeline } from '../../support/pipeline.ts'
import { fateIn } from '../../support/service-table.ts'

const ALL = ['192.168.1.1', '172.16.0.1', 'fd01::1', 'fd02::1', '127.0.0.1', '::1']

function made(nodePortAddresses: AgentConfig['nodePortAddresses']): Pipeline {
  const pipeline = new Pipeline({ nodeName: 'node1', services: { nodePortAddresses } })
  upsert(pipeline.turns.inbox, 'node', node({ name: 'node1', addresses: ['192.168.1.1', 'fd01::1'] }))
  upsert(pipeline.turns.inbox, 'service', service({ ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 30080 }] }))
  upsert(pipeline.turns.inbox, 'slice', slice([{ address: '10.1.0.1' }]), slice([{ address: 'fd10::1' }], { name: 'six' }))
  pipeline.turn()
  return pipeline
}

const serving = ({ applied }: Pipeline): readonly string[] => ALL.filter((address) => fateIn(applied, { client: 'outside', address, protocol: 'TCP', port: 30080 }) !== null)
const DUMMY = hostInterface({ index: 7, name: 'dummy7', kind: 'dummy', addresses: ['172.16.0.1', 'fd02::1'] })
const LO = hostInterface({ index: 1, name: 'lo', kind: '', addresses: ['127.0.0.1', '::1'] })

function withInterfaces(pipeline: Pipeline): readonly string[] {
  upsert(pipeline.turns.inbox, 'interface', DUMMY, LO)
  pipeline.turn()
  return serving(pipeline)
}

describe('addresses that serve node ports', () => {
  it('the primary ones are the Node\'s, whatever interfaces hold', () => {
    assert.deepEqual(withInterfaces(made(['primary'])), ['192.168.1.1', 'fd01::1'])
  })

  it('of CIDRs, one that only an interface holds comes and goes with it', () => {
    const pipeline = made(['172.16.0.0/16', 'fd02::/64'])
    assert.deepEqual([serving(pipeline), withInterfaces(pipeline)], [[], ['172.16.0.1', 'fd02::1']])
    upsert(pipeline.turns.inbox, 'interface', { ...DUMMY, addresses: ['fd02::1'] })
    pipeline.turn()
    assert.deepEqual(serving(pipeline), ['fd02::1'])
    remove(pipeline.turns.inbox, 'interface', DUMMY)
    pipeline.turn()
    assert.deepEqual(serving(pipeline), [])
  })

  it('everything is all but loopback, and of its own family only', () => {
    assert.deepEqual(withInterfaces(made(['0.0.0.0/0', '::/0'])), ['192.168.1.1', '172.16.0.1', 'fd01::1', 'fd02::1'])
    assert.deepEqual(withInterfaces(made(['0.0.0.0/0'])), ['192.168.1.1', '172.16.0.1'])
    assert.deepEqual(withInterfaces(made(['127.0.0.0/8', '::/0'])), ['fd01::1', 'fd02::1'])
  })
})
