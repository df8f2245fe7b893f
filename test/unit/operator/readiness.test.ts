// Readiness of Nodes and of agents' pods, joined by node, and when a pod of an agent counts as ready.
import assert from 'node:assert/strict'
import { NodeReadiness } from '../../../src/operator/readiness.ts'
import { operatorResources, type ReadAgent } from '../../../src/operator/resources.ts'
import type { Readiness, Ready } from '../../../src/summary/liveness.ts'

const YES: Ready = { isReady: true, since: 10 }
const no = (since: number): Ready => ({ isReady: false, since })

class Told {
  readonly last = new Map<string, { readonly readiness: Readiness | null; readonly isReady: boolean }>()
  readonly nodes = new NodeReadiness((node, readiness, isReady) => void this.last.set(node, { readiness, isReady }))

  node(uid: string, name: string | null, ready = YES): void {
    this.nodes.node(uid, name === null ? null : { row: { kind: 'bad', strict: null, problems: [] } as never, name, ready })
  }

  of(node: string): string {
    const told = this.last.get(node)
    if (told === undefined) return 'nothing'
    return told.readiness === null ? 'gone' : `${told.isReady ? 'ready' : 'not'} agent ${told.readiness.agent === null ? 'none' : told.readiness.agent.since}`
  }
}

describe('the readiness of nodes', () => {
  it('is that of the Node and of its agent', () => {
    const told = new Told()
    told.nodes.agent('a1', { node: 'n1', ready: YES })
    assert.equal(told.of('n1'), 'gone')
    told.node('u1', 'n1')
    assert.equal(told.of('n1'), 'ready agent 10')
    told.node('u1', 'n1', no(20))
    assert.equal(told.of('n1'), 'not agent 10')
    told.node('u1', 'n1')
    told.nodes.agent('a1', null)
    assert.equal(told.of('n1'), 'not agent none')
  })
  it('one of two agents in a roll-out is enough, else the one that was ready last', () => {
    const told = new Told()
    told.node('u1', 'n1')
    told.nodes.agent('old', { node: 'n1', ready: YES })
    told.nodes.agent('new', { node: 'n1', ready: no(50) })
    assert.equal(told.of('n1'), 'ready agent 10')
    told.nodes.agent('old', { node: 'n1', ready: no(40) })
    assert.equal(told.of('n1'), 'not agent 50')
  })
  it('is that of the Node made anew, and nobody is told that it is gone when the one before goes', () => {
    const told = new Told()
    told.node('u1', 'n1')
    told.nodes.agent('a1', { node: 'n1', ready: YES })
    told.node('u2', 'n1', no(30))
    told.node('u1', null)
    assert.equal(told.of('n1'), 'not agent 10')
    told.node('u2', null)
    assert.equal(told.of('n1'), 'gone')
  })
  it('an agent that is put on another node, or on none yet, is told where it was and where it is', () => {
    const told = new Told()
    for (const name of ['n1', 'n2']) told.node(`u-${name}`, name)
    told.nodes.agent('a1', { node: null, ready: no(1) })
    assert.equal(told.of('n1'), 'not agent none')
    told.nodes.agent('a1', { node: 'n1', ready: YES })
    told.nodes.agent('a1', { node: 'n2', ready: YES })
    assert.deepEqual([told.of('n1'), told.of('n2')], ['not agent none', 'ready agent 10'])
  })
})

describe("an agent's pod", () => {
  const resource = operatorResources('picket-system').find(({ rows }) => rows === 'agent')
  const read = (metadata: object, ready: string, at = '2026-01-01T00:00:00Z'): Ready => {
    const decoded = resource?.read?.({ metadata, spec: { nodeName: 'n1' }, status: { conditions: [{ type: 'Ready', status: ready, lastTransitionTime: at }] } }, 'u1')
    return (decoded as { readonly row: ReadAgent }).row.ready
  }
  it('that is being deleted is unready since it was asked to go, not since it became ready', () => {
    const leaving = { deletionTimestamp: '2026-03-01T00:00:30Z', deletionGracePeriodSeconds: 30 }
    assert.deepEqual(read(leaving, 'True'), { isReady: false, since: Date.parse('2026-03-01T00:00:00Z') })
    assert.deepEqual(read({ deletionTimestamp: '2026-03-01T00:00:30Z' }, 'True'), { isReady: false, since: Date.parse('2026-03-01T00:00:30Z') })
    assert.deepEqual(read(leaving, 'False'), { isReady: false, since: Date.parse('2026-01-01T00:00:00Z') })
  })
  it('is read whatever it is', () => {
    for (const raw of [null, 7, {}, { metadata: [], status: { conditions: 'x' } }]) assert.deepEqual((resource?.read?.(raw, 'u1') as { readonly row: ReadAgent } | undefined)?.row, { node: null, ready: { isReady: false, since: 0 } })
  })
})
