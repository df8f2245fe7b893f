// What was deleted before a list, read from the history of a server that has it all, some of it, or tells nothing.
//
// **Invariant:** nothing that was deleted after the list, or of another namespace, is told.
import assert from 'node:assert/strict'
import { transportFor } from '../../../src/kube/source.ts'
import type { Transport } from '../../../src/kube/transport.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { policiesOf } from '../../../src/status/ask.ts'
import { readPast, type Past } from '../../../src/status/past.ts'
import { POLICIES } from '../../support/cluster-follower.ts'
import { StatusStage } from '../../support/status-stage.ts'

describe('status: what was deleted before', function () {
  this.timeout(20_000)
  let stage: StatusStage
  let transport: Transport

  beforeEach(async () => {
    stage = await StatusStage.start()
    transport = transportFor({ kubeconfig: stage.kubeconfig, context: null, apiServers: [] }, systemClock)
  })
  afterEach(async () => {
    await transport.close()
    await stage.close()
  })

  const past = (from: number, until: number, namespace: string | null = null, policy: string | null = null): Promise<Past> =>
    readPast(transport, policiesOf({ namespace, policy }), String(from), String(until), systemClock, AbortSignal.timeout(15_000))
  const gone = ({ removals }: Past): readonly string[] => removals.map(({ namespace, name, version }) => `${namespace}/${name} ${version}`)
  /** Policies made and deleted again; the version before, and that of each deletion. */
  function deleted(...names: readonly string[]): readonly number[] {
    const before = stage.server.revision
    for (const name of names) stage.policy('shop', name)
    return [before, ...names.map((name) => {
      stage.server.remove(POLICIES, `shop/${name}`)
      return stage.server.revision
    })]
  }

  it('is what was deleted between the two versions', async () => {
    const [before = 0, first = 0, second = 0] = deleted('a', 'b')
    stage.policy('shop', 'a', 1, 'anew')
    stage.node('n1')
    const until = stage.server.revision
    deleted('c')
    assert.deepEqual(await past(before, until), { removals: [{ namespace: 'shop', name: 'a', uid: 'uid-shop-a', version: String(first) }, { namespace: 'shop', name: 'b', uid: 'uid-shop-b', version: String(second) }], from: String(before), isKnown: true })
    assert.deepEqual(gone(await past(first, until)), [`shop/b ${second}`])
  })
  it('is over without an event that says so, where nothing happened since', async () => {
    const [before = 0, first = 0] = deleted('a')
    assert.deepEqual(gone(await past(before, first + 20)), [`shop/a ${first}`])
  })
  it('is of the namespace and the name that are asked for', async () => {
    const [before = 0, , second = 0] = deleted('a', 'b')
    const until = stage.server.revision
    assert.deepEqual(gone(await past(before, until, 'other')), [])
    assert.deepEqual(gone(await past(before, until, 'shop', 'b')), [`shop/b ${second}`])
  })
  it('goes back as far as the server says that it can', async () => {
    const [, first = 0, second = 0] = deleted('a', 'b')
    stage.server.behaviour.instead = ({ query }) => {
      if (query['watch'] !== 'true' || Number(query['resourceVersion']) >= first) return null
      return { status: 200, body: `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: `too old resource version: ${query['resourceVersion']} (${first})` } })}\n` }
    }
    assert.deepEqual(await past(5, second), { removals: [{ namespace: 'shop', name: 'b', uid: 'uid-shop-b', version: String(second) }], from: String(first), isKnown: true })
  })
  it('is not known where the server does not say how far it goes back', async () => {
    const [before = 0, , second = 0] = deleted('a', 'b')
    stage.server.compact()
    assert.deepEqual(await past(before, second), { removals: [], from: String(second), isKnown: false })
  })
  it('is nothing where everything was observed, and then nobody is asked', async () => {
    assert.deepEqual(await past(300, 300), { removals: [], from: '300', isKnown: true })
    assert.deepEqual(stage.server.asked, [])
  })
  it('a missing right is an error, not an empty past', async () => {
    stage.server.behaviour.instead = ({ query }) => (query['watch'] === 'true' ? { status: 403, body: '{}' } : null)
    await assert.rejects(past(1, 300), { code: 'PermissionMissing' })
  })
})
