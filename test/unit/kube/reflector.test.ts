// The reflector against a real server on loopback: lists in every way, watches, and how each kind of trouble ends.
import assert from 'node:assert/strict'
import { systemClock } from '../../../src/lib/clock.ts'
import { RESOURCES } from '../../../src/kube/resources.ts'
import { TURN_BYTES, USUAL_LIMITS } from '../../../src/kube/transport.ts'
import { ApiServer, type Asked } from '../../support/api-server.ts'
import { Follower, kubeconfigText, podObject, podsOf, PODS, POLICIES, TemporaryFolder } from '../../support/cluster-follower.ts'
import { randomFrom } from '../../support/random.ts'

/** Milliseconds; longer than any timer but a pause. */
const NEVER = 1e8
const pods = RESOURCES.filter(({ plural }) => plural === 'pods')

for (const encoding of ['JSON', 'protobuf'] as const) describe(`kube: reflector, ${encoding}`, () => {
  let folder: TemporaryFolder
  let server: ApiServer
  let follower: Follower

  beforeEach(async () => {
    folder = await TemporaryFolder.make()
    server = await ApiServer.start()
    server.behaviour.protobuf = encoding === 'protobuf'
  })
  afterEach(async () => {
    await follower.close()
    await server.close()
    await folder.remove()
  })

  async function follow(options: Partial<Parameters<typeof Follower.start>[0]> = {}): Promise<void> {
    const kubeconfig = await folder.write('kubeconfig', kubeconfigText(server.url))
    follower = await Follower.start({ access: { kubeconfig, context: null, apiServers: [] }, resources: pods, ...options })
  }
  const asked = (test: (one: Asked) => boolean): readonly Asked[] => server.asked.filter((one) => one.path === PODS && test(one))
  const lists = () => asked(({ query }) => query['watch'] === undefined)
  const watches = () => asked(({ query }) => query['watch'] !== undefined)
  const untilWatched = () => follower.until('a watch is open', () => server.watches > 0)
  /** With `calm: 0`: turns of the event loop in which an answer arrives, and the timer behind it. */
  const calmDown = async (): Promise<void> => {
    for (let i = 0; i < 6; i += 1) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  describe('lists', () => {
    it('rule 103: by WatchList: one replace, synced once, then what changes', async () => {
      for (const name of ['a', 'b']) server.put(PODS, podObject(name))
      await follow()
      await follower.until('synced', () => follower.synced.length === 1)
      assert.deepEqual(follower.told, ['pod replace 2', 'pod synced'])
      server.put(PODS, podObject('c'))
      server.put(PODS, podObject('a', { labels: { v: '2' } }))
      server.remove(PODS, 'shop/b')
      await follower.untilPodsOf(server)
      assert.deepEqual(follower.told.slice(2), ['pod + uid-c', 'pod + uid-a', 'pod - uid-b'])
      assert.deepEqual([lists().length, watches().map(({ accept }) => accept)], [0, ['application/vnd.kubernetes.protobuf;stream=watch, application/json;stream=watch']])
      const { timeoutSeconds, ...query } = watches()[0]?.query ?? {}
      assert.deepEqual(query, { watch: 'true', allowWatchBookmarks: 'true', sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' })
      assert.ok(Number(timeoutSeconds) >= 300 && Number(timeoutSeconds) <= 600)
      assert.deepEqual([follower.state.watchList, follower.state.serverVersion], ['yes', 'v1.37.2'])
    })

    it('in pages where WatchList is refused, which is remembered', async () => {
      server.behaviour.watchList = false
      for (let i = 0; i < 1_203; i += 1) server.put(PODS, podObject(`p${i}`))
      await follow()
      await follower.untilPodsOf(server)
      assert.deepEqual(lists().map(({ query }) => [query['limit'], query['continue'] !== undefined, query['resourceVersion']]), [
        ['500', false, undefined],
        ['500', true, undefined],
        ['500', true, undefined],
      ])
      for (const { accept } of lists()) assert.equal(accept, 'application/vnd.kubernetes.protobuf, application/json')
      await untilWatched()
      assert.equal(watches().at(-1)?.query['resourceVersion'], '1303')
      server.compact()
      server.put(PODS, podObject('new'))
      server.compact()
      server.cut()
      await follower.untilPodsOf(server)
      assert.equal(watches().filter(({ query }) => query['sendInitialEvents'] !== undefined).length, 1)
      assert.deepEqual([follower.state.watchList, follower.synced], ['no', ['pod']])
    })

    it('in pages, with a warning, where the server is too old or says no version', async () => {
      for (const [version, pattern] of [['v1.28.3', /found Kubernetes v1\.28\.3, expected v1\.32 or later/], ['banana', /its version is not known: it says version "banana"/]] as const) {
        server.behaviour.version = version
        await follow()
        await follower.until('synced', () => follower.synced.length === 1)
        assert.match(follower.problems.map(({ severity, message }) => `${severity} ${message}`).join(), pattern)
        assert.equal(watches().filter(({ query }) => query['sendInitialEvents'] !== undefined).length, 0)
        await follower.close()
      }
    })

    it('of a server that ignores limit: every item, with turns of the event loop in between', async () => {
      Object.assign(server.behaviour, { watchList: false, ignoresLimit: true })
      const pad = 'x'.repeat(2_000)
      for (let i = 0; i < 3_000; i += 1) server.put(PODS, podObject(`p${i}`, { pad }))
      let turns = 0
      let counting = true
      const count = (): void => {
        turns += 1
        if (counting) setImmediate(count)
      }
      await follow()
      count()
      await follower.until('synced', () => follower.synced.length === 1)
      counting = false
      assert.deepEqual([follower.known('pod').length, lists().length], [3_000, 1])
      assert.ok(turns >= (3_000 * pad.length) / TURN_BYTES, `${turns} turns`)
    })

    it('whose pages expire are read in one piece', async () => {
      server.behaviour.watchList = false
      for (let i = 0; i < 700; i += 1) server.put(PODS, podObject(`p${i}`))
      server.behaviour.instead = ({ query }) => {
        if (query['continue'] !== undefined) server.compact()
        return null
      }
      await follow()
      await follower.untilPodsOf(server)
      assert.deepEqual(lists().map(({ query }) => query['limit']), ['500', '500', undefined])
      assert.deepEqual(follower.problemsEver, [])
    })

    it('rule 104: that are cut in the middle say nothing, and are read again', async () => {
      for (let i = 0; i < 300; i += 1) server.put(PODS, podObject(`p${i}`))
      let times = 0
      server.behaviour.garble = (bytes) => {
        if (!bytes.includes('uid-p200') || times++ > 1) return bytes
        server.cut()
        return bytes.subarray(0, 40)
      }
      await follow()
      await follower.untilPodsOf(server)
      assert.deepEqual(follower.told, ['pod replace 300', 'pod synced'])
      assert.ok(times >= 2)
    })

    it('are read in pages where WatchList cannot be read', async () => {
      server.put(PODS, podObject('a'))
      server.behaviour.garble = (bytes) => (bytes.includes('initial-events-end') ? Buffer.from('<html>\n') : bytes)
      await follow()
      await follower.untilPodsOf(server)
      assert.deepEqual([lists().length, follower.state.watchList], [1, 'maybe'])
      assert.equal(watches().filter(({ query }) => query['sendInitialEvents'] !== undefined).length, 1)
    })

    it('with an item that cannot be read are not believed', async () => {
      server.behaviour.watchList = false
      for (const name of ['a', 'b']) server.put(PODS, podObject(name))
      server.behaviour.garble = (bytes) => Buffer.from(bytes.toString('latin1').replace(/"uid-a"|.uid-a/, '\xffuid-a'), 'latin1')
      await follow()
      await follower.until('a problem', () => follower.problems.length > 0)
      assert.match(follower.problems[0]?.message ?? '', new RegExp(`an item of the list of pods cannot be read as ${encoding} .*; nothing is written until they are read`))
      assert.deepEqual(follower.told, [])
      server.behaviour.garble = (bytes) => bytes
      await follower.untilPodsOf(server)
      await follower.until('no problem', () => follower.problems.length === 0)
    })
  })

  describe('watches', () => {
    const start = async (options: Partial<Parameters<typeof Follower.start>[0]> = {}): Promise<void> => {
      for (const name of ['a', 'b', 'c']) server.put(PODS, podObject(name))
      await follow(options)
      await follower.until('synced', () => follower.synced.length >= 1)
    }
    const relists = () => follower.told.filter((text) => text.startsWith('pod replace')).length - 1

    it('rule 104: that are cut go on where they were, without a list', async () => {
      await start()
      for (let i = 0; i < 5; i += 1) {
        server.put(PODS, podObject('a', { labels: { v: String(i) } }))
        server.cut()
        server.remove(PODS, 'shop/b')
        server.put(PODS, podObject(`new${i}`))
        await follower.untilPodsOf(server)
      }
      assert.equal(relists(), 0)
      assert.ok(follower.state.resources[0]?.reconnects as number >= 1)
      assert.deepEqual(follower.problemsEver, [])
    })

    it('that the server ends in good order go on where they were, bookmarks included', async () => {
      await start()
      server.put(POLICIES, podObject('elsewhere'))
      server.bookmark()
      const at = String(server.revision)
      await follower.until('the bookmark', () => follower.state.resources[0]?.resourceVersion === at)
      server.endWatches()
      await follower.until('another watch', () => watches().length === 2 && server.watches === 1)
      assert.equal(watches()[1]?.query['resourceVersion'], at)
      server.put(PODS, podObject('d'))
      await follower.untilPodsOf(server)
      assert.equal(relists(), 0)
    })

    it('rule 104: 410 Gone as a status: list again, and what vanished meanwhile is gone', async () => {
      await start()
      server.behaviour.instead = ({ path }) => (path === PODS ? 'destroy' : null)
      server.cut()
      server.remove(PODS, 'shop/b')
      server.put(PODS, podObject('a', { uid: 'another', labels: { v: '2' } }))
      server.compact()
      server.behaviour.instead = () => null
      await follower.untilPodsOf(server)
      assert.equal(relists(), 1)
      assert.ok(!follower.told.some((text) => text.startsWith('pod -')))
      server.put(PODS, podObject('d'))
      await follower.untilPodsOf(server)
    })

    it('rule 104: 410 Gone as an event: list again, at once', async () => {
      await start({ pauses: { first: 60_000, longest: 60_000, calm: 0 } })
      await untilWatched()
      await calmDown()
      server.inject(`${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' } })}\n`)
      await follower.until('another list', () => relists() === 1)
      server.put(PODS, podObject('d'))
      await follower.untilPodsOf(server)
      assert.deepEqual(follower.problemsEver, [])
    })

    it('rule 104: a server that is back after it was away is asked at once: by all as soon as one reaches it, and after its 410', async () => {
      // Pauses do not end by themselves here.
      const held: (() => void)[] = []
      const after = (ms: number, action: () => void): (() => void) => {
        if (ms < NEVER / 2) return systemClock.after(ms, action)
        held.push(action)
        return () => undefined
      }
      await start({ resources: RESOURCES.filter(({ plural }) => plural === 'pods' || plural === 'networkpolicies'), pauses: { first: NEVER, longest: NEVER, calm: 0 }, clock: { ...systemClock, after } })
      await follower.until('both are watched', () => server.watches === 2)
      server.behaviour.instead = () => 'destroy'
      server.cut()
      await follower.until('both have lost their watch', () => held.length === 2)
      for (const end of held.splice(0)) end()
      await follower.until('both reach nobody', () => held.length === 2 && follower.problems.length === 2)
      server.remove(PODS, 'shop/b')
      server.put(PODS, podObject('d'))
      server.compact()
      server.behaviour.instead = () => null
      held.shift()?.()
      await follower.untilPodsOf(server)
      await follower.until('no problem is left', () => follower.problems.length === 0 && server.watches === 2)
      assert.equal(held.length, 1, 'nobody had to wait again')
    })

    it('another ERROR event: go on where we were', async () => {
      await start()
      server.inject(`${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 500, message: 'etcd is\nnot well' } })}\n`)
      await follower.until('a problem', () => follower.problemsEver.length > 0)
      assert.match(follower.problemsEver[0]?.message ?? '', /ended the watch of pods \(500\): etcd is\\u\{a\}not well; what was read before stays in force/)
      server.put(PODS, podObject('d'))
      await follower.untilPodsOf(server)
      assert.equal(relists(), 0)
    })

    it('that hang are left, and nothing is lost', async () => {
      await start({ limits: { ...USUAL_LIMITS, quiet: 300 } })
      server.bookmark()
      server.stall()
      server.put(PODS, podObject('d'))
      server.remove(PODS, 'shop/a')
      await follower.untilPodsOf(server)
      assert.match(follower.state.resources[0]?.lastError ?? '', /has sent nothing for 0\.3 s/)
    })

    it('that hang from the beginning lead to a list: the server may wait for a version that never comes', async () => {
      await start({ limits: { ...USUAL_LIMITS, quiet: 200 } })
      server.behaviour.onWatch = () => server.stall()
      server.cut()
      await follower.until('a watch that hangs', () => watches().length === 2 && server.watches === 1)
      server.goBack(50)
      server.put(PODS, podObject('d'))
      await follower.untilPodsOf(server)
      assert.ok(relists() >= 1)
    })

    it('whose history goes back lead to a list', async () => {
      await start()
      await untilWatched()
      server.goBack(50)
      server.put(PODS, podObject('d'))
      await follower.until('another list', () => relists() === 1)
      await follower.untilPodsOf(server)
      assert.match(follower.state.resources[0]?.lastError ?? '', /the history of pods went back from 103 to 51/)
    })

    it('with garbage: what came before it counts, the trouble is named, and they go on', async () => {
      await start()
      await untilWatched()
      server.put(PODS, podObject('d'))
      server.inject('<html>503</html>\n')
      server.put(PODS, podObject('e'))
      await follower.untilPodsOf(server)
      assert.match(follower.problemsEver.at(-1)?.message ?? '', new RegExp(`an event of the watch of pods cannot be read as ${encoding} .* begins with "<html>503</html>.*"; what was read before stays in force`))
      assert.equal(follower.problemsEver.at(-1)?.code, 'ApiGarbage')
      assert.equal(relists(), 0)
      await follower.until('no problem', () => follower.problems.length === 0)
    })

    it('with garbage at the same place again and again lead to a list', async () => {
      await start()
      server.behaviour.garble = (bytes) => (bytes.includes('MODIFIED') ? Buffer.from('{"type"\n') : bytes)
      server.put(PODS, podObject('a', { labels: { v: '2' } }))
      await follower.untilPodsOf(server)
      assert.equal(relists(), 1)
    })

    it('that are cut in the middle of a line, and in the middle of a character', async () => {
      await start()
      await untilWatched()
      for (const half of ['{"type":"DELETED","object":{"metadata":{"uid":"uid-a"', '{"type":"ADDED","object":{"metadata":{"name":"\u00fc'.slice(0, -1)]) {
        server.inject(half)
        await new Promise((resolve) => setTimeout(resolve, 10))
        server.cut()
        await untilWatched()
        server.put(PODS, podObject('d'))
        await follower.untilPodsOf(server)
      }
      assert.ok(!follower.told.includes('pod - uid-a'))
    })

    it('with a line of absurd size: named, and nothing else happens', async () => {
      await start()
      await untilWatched()
      for (let i = 0; i < 9; i += 1) server.inject('x'.repeat(1024 * 1024))
      await follower.until('a problem', () => follower.problemsEver.length > 0)
      assert.match(follower.problemsEver[0]?.message ?? '', /an event of more than 8388608 bytes was sent/)
      server.put(PODS, podObject('d'))
      await follower.untilPodsOf(server)
    })

    it('in pieces of any size say the same', async () => {
      const random = randomFrom(7)
      server.behaviour.pieces = () => 1 + Math.floor(random() * 30)
      await start()
      for (let i = 0; i < 20; i += 1) {
        server.put(PODS, podObject(`p${i % 7}`, { labels: { v: String(i) } }))
        if (i % 3 === 0) server.remove(PODS, `shop/p${i % 7}`)
      }
      await follower.untilPodsOf(server)
      assert.deepEqual(follower.state.resources[0]?.lastError, null)
    })

    it('that lived for a while and are ended by the server begin again without a pause', async () => {
      await start({ pauses: { first: 60_000, longest: 60_000, calm: 0 } })
      for (let i = 2; i < 5; i += 1) {
        await untilWatched()
        await calmDown()
        server.endWatches()
        await follower.until('another watch', () => watches().length === i)
      }
      assert.deepEqual([relists(), follower.state.resources[0]?.lastError], [0, null])
    })

    it('of a server that hangs go on at another one', async () => {
      const other = await ApiServer.start()
      try {
        for (const one of [server, other]) for (const name of ['a', 'b', 'c', 'd']) one.put(PODS, podObject(name))
        other.put(PODS, podObject('e'))
        await follow({ access: { kubeconfig: await folder.write('k', kubeconfigText(server.url)), context: null, apiServers: [server.url, other.url] }, limits: { ...USUAL_LIMITS, quiet: 200 } })
        await follower.untilPodsOf(other)
        assert.ok(server.asked.length > 0)
      } finally {
        await follower.close()
        await other.close()
      }
    })

    it('do not come again at once and for ever where they end at once', async () => {
      await start({ pauses: { first: 20, longest: 10_000, calm: 5_000 } })
      server.behaviour.onWatch = () => server.endWatches()
      server.endWatches()
      await follower.until('three failures', () => follower.problemsEver.length > 0)
      assert.match(follower.problemsEver[0]?.message ?? '', /ended the watch of pods as soon as it had begun/)
      assert.ok(watches().length <= 5)
    })

    it('nothing is told after close', async () => {
      await start()
      await untilWatched()
      server.put(PODS, podObject('d'))
      await follower.close()
      const told = follower.told.length
      server.put(PODS, podObject('e'))
      await new Promise((resolve) => setTimeout(resolve, 20))
      assert.equal(follower.told.length, told)
      assert.equal(server.watches, 0)
    })
  })

  describe('objects', () => {
    it('rule 105: one that cannot be decoded is told as bad, and the others are good', async () => {
      server.put(PODS, podObject('a'))
      server.put(PODS, { metadata: { name: 'Not A Name', namespace: 'shop', uid: 'uid-bad' }, ...(encoding === 'JSON' ? { spec: 7, status: [] } : {}) })
      await follow()
      await follower.until('synced', () => follower.synced.length === 1)
      const rows = follower.rows.get('pod')
      assert.deepEqual([rows?.get('uid-a')?.kind, rows?.get('uid-bad')?.kind], ['good', 'bad'])
      server.put(PODS, { metadata: { name: 'a', namespace: 'shop', uid: 'uid-a', labels: encoding === 'JSON' ? ['x'] : { '-': 'x' } } as never })
      await follower.until('bad', () => rows !== undefined && follower.rows.get('pod')?.get('uid-a')?.kind === 'bad')
      assert.deepEqual(follower.problemsEver, [])
    })

    it('without a usable UID are known by their name, which is a problem of theirs', async () => {
      for (const [name, uid] of [['a', ''], ['b', 'u'.repeat(129)], ['c', encoding === 'JSON' ? 7 : '']] as const) server.put(PODS, podObject(name, { uid: uid as string }))
      await follow()
      await follower.until('synced', () => follower.synced.length === 1)
      assert.deepEqual([...(follower.rows.get('pod')?.keys() ?? [])], ['api:Pod/shop/a', 'api:Pod/shop/b', 'api:Pod/shop/c'])
      for (const decoded of follower.rows.get('pod')?.values() ?? []) assert.match(decoded.problems[0]?.message ?? '', /found no UID of 1 to 128 characters/)
      server.remove(PODS, 'shop/a')
      await follower.until('gone', () => follower.rows.get('pod')?.size === 2)
    })
  })

  describe('resources', () => {
    it('rule 103: each is synced by itself, and one that fails holds up no other; 403 names verb and resource', async () => {
      server.behaviour.instead = ({ path }) => {
        const message = 'networkpolicies.networking.k8s.io is forbidden: User "picket" cannot watch resource'
        return path === POLICIES ? { status: 403, body: JSON.stringify({ kind: 'Status', message, reason: 'Forbidden', code: 403 }) } : null
      }
      server.put(PODS, podObject('a'))
      await follow({ resources: RESOURCES })
      await follower.until('the others are synced', () => follower.synced.length === RESOURCES.length - 1)
      await follower.until('a problem', () => follower.problems.length === 1)
      const [problem] = follower.problems
      assert.deepEqual([problem?.code, problem?.object], ['ApiPermissionMissing', 'API server, networkpolicies'])
      assert.match(problem?.message ?? '', /the role lacks the verb "watch" on the resource "networkpolicies" of the group networking\.k8s\.io, in all namespaces \(403\) \(it says: networkpolicies.*\); nothing is written/)
      assert.deepEqual(follower.state.resources.map(({ resource, synced }) => [resource, synced]), [
        ['namespaces', true],
        ['nodes', true],
        ['pods', true],
        ['networkpolicies', false],
        ['services', true],
        ['endpointslices', true],
      ])
      for (const { path, accept } of server.asked) assert.equal(/protobuf/.test(accept), (RESOURCES.find((one) => one.path === path)?.message ?? null) !== null, path)
      server.behaviour.instead = () => null
      await follower.until('all are synced', () => follower.synced.length === RESOURCES.length)
      await follower.until('no problem', () => follower.problems.length === 0)
    })

    it('their state tells version, times, lists and reconnects', async () => {
      server.put(PODS, podObject('a'))
      const before = Date.now()
      await follow()
      await follower.until('synced', () => follower.synced.length === 1)
      const [state] = follower.state.resources
      assert.deepEqual({ ...state, lastEventAt: 0, lastHeardAt: 0 }, {
        resource: 'pods', synced: true, resourceVersion: '101', lastEventAt: 0, lastHeardAt: 0, lists: 1, reconnects: 0, lastError: null, errors: {},
      })
      for (const time of [state?.lastEventAt, state?.lastHeardAt]) assert.ok(time !== null && time !== undefined && time >= before && time <= Date.now())
    })

    it('a server that asks for patience gets it', async () => {
      let refused = 0
      server.behaviour.instead = ({ path }) => (path === PODS && refused++ === 0 ? { status: 429, body: 'busy', headers: { 'retry-after': '1' } } : null)
      await follow()
      const since = performance.now()
      await follower.until('synced', () => follower.synced.length === 1)
      assert.ok(performance.now() - since > 900)
      assert.match(follower.problemsEver[0]?.message ?? '', /asks to come again later \(429\) \(it says: busy\)/)
    })

    it('a server that goes away for a while changes nothing, and says so', async () => {
      server.put(PODS, podObject('a'))
      await follow()
      await follower.until('synced', () => follower.synced.length === 1)
      const { port } = server
      await server.close()
      await follower.until('a problem', () => follower.problems.length === 1)
      assert.match(follower.problems[0]?.message ?? '', /cannot be reached: nobody listens there .*; what was read before stays in force/)
      assert.deepEqual(follower.known('pod'), ['uid-a a '])
      server = await ApiServer.start(null, port)
      server.put(PODS, podObject('b'))
      server.compact()
      server.put(PODS, podObject('c'))
      server.compact()
      await follower.until('as the server has it', () => podsOf(server).join() === follower.known('pod').join())
    })
  })
})
