// The law of the reflector: whatever happens to the server, to its history and to the connections, it ends in the server's state.
//
// Random changes and random trouble, interleaved with turns of the event loop, against a real server on loopback.
// **Invariant:** an object that is always there is never missing meanwhile, and nothing is known that the server never held.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { RESOURCES } from '../../src/kube/resources.ts'
import { ApiServer } from '../support/api-server.ts'
import { Follower, kubeconfigText, podObject, podsOf, PODS, TemporaryFolder } from '../support/cluster-follower.ts'
import { report, runs } from '../support/runs.ts'

type Step =
  | { readonly kind: 'put'; readonly name: string; readonly incarnation: number; readonly value: number }
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'wait'; readonly turns: number }
  | { readonly kind: 'compact' | 'cut' | 'end' | 'bookmark' | 'garbage' | 'half' | 'gone' | 'refuse' | 'answer' | 'cutInList' }

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), name, incarnation: fc.nat(2), value: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), name }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('wait' as const), turns: fc.nat(12) }) },
  { weight: 2, arbitrary: fc.constantFrom('cut' as const, 'compact' as const).map((kind) => ({ kind })) },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom('end' as const, 'bookmark' as const, 'garbage' as const, 'half' as const, 'gone' as const, 'refuse' as const, 'answer' as const, 'cutInList' as const)
      .map((kind) => ({ kind })),
  },
)

/** Does one step to the server. */
async function perform(server: ApiServer, one: Step): Promise<void> {
  const { behaviour } = server
  switch (one.kind) {
    case 'put':
      return server.put(PODS, podObject(one.name, { uid: `uid-${one.name}-${one.incarnation}`, labels: { value: String(one.value) } }))
    case 'remove':
      return server.remove(PODS, `shop/${one.name}`)
    case 'wait':
      for (let i = 0; i < one.turns; i += 1) await new Promise((resolve) => setTimeout(resolve, 1))
      return
    case 'compact':
      return server.compact()
    case 'cut':
      return server.cut()
    case 'end':
      return server.endWatches()
    case 'bookmark':
      return server.bookmark()
    case 'garbage':
      return server.inject('{"type":"ADDED","object":\n')
    case 'half':
      server.inject('{"type":"DELETED","object":{"metadata":{"uid":"uid-anchor"')
      return server.cut()
    case 'gone':
      return server.inject('{"type":"ERROR","object":{"kind":"Status","code":410}}\n')
    case 'refuse':
      behaviour.instead = ({ path }) => (path === PODS ? { status: 503, body: 'no' } : null)
      return
    case 'answer':
      behaviour.instead = () => null
      return
    case 'cutInList': {
      let left = 2
      behaviour.garble = (bytes) => {
        if (left-- > 0) return bytes
        behaviour.garble = (all) => all
        server.cut()
        return bytes
      }
    }
  }
}

describe('property: the reflector', function () {
  this.timeout(120_000)

  it('rule 104: ends in the state of the server, however changes, cuts, garbage and lists interleave', async () => {
    let checks = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(step, fc.nat(9)), { minLength: 1, maxLength: 40 }), fc.boolean(), fc.boolean(), fc.boolean(), fc.integer({ min: 1, max: 200 }), async (steps, watchList, protobuf, early, piece) => {
        const folder = await TemporaryFolder.make()
        const server = await ApiServer.start()
        Object.assign(server.behaviour, { watchList, protobuf, pieces: () => piece })
        server.put(PODS, podObject('anchor'))
        const held = new Set(podsOf(server))
        const kubeconfig = await folder.write('k', kubeconfigText(server.url))
        const pods = RESOURCES.filter(({ plural }) => plural === 'pods')
        const follower = await Follower.start({
          access: { kubeconfig, context: null, apiServers: [] },
          resources: pods,
          pauses: { first: 1, longest: 4, calm: 8 },
        })
        follower.onBatch = () => {
          checks += 1
          const known = follower.known('pod')
          assert.ok(known.some((text) => text.startsWith('uid-anchor ')), 'the anchor is missing')
          for (const text of known) assert.ok(held.has(text), `${text} was never there`)
        }
        try {
          if (!early) await follower.until('synced', () => follower.synced.length === 1)
          for (const [one, turns] of steps) {
            await perform(server, one)
            for (const text of podsOf(server)) held.add(text)
            for (let i = 0; i < turns; i += 1) await new Promise((resolve) => setImmediate(resolve))
          }
          server.behaviour.instead = () => null
          await follower.untilPodsOf(server)
          // What follows arrives too: it did not end in the right state by chance.
          server.put(PODS, podObject('last'))
          held.add(podsOf(server).find((text) => text.startsWith('uid-last ')) as string)
          await follower.untilPodsOf(server)
          assert.deepEqual(follower.synced, ['pod'])
          assert.deepEqual(follower.problemsEver.filter(({ code }) => code === 'ApiInternal'), [])
        } finally {
          await follower.close()
          await server.close()
          await folder.remove()
        }
      }),
      runs(60),
    )
    report('reflector', checks)
  })
})
