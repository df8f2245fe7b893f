// The publisher on a fake clock, over the API's objects in memory: what is written, when, and what is not.
import assert from 'node:assert/strict'
import { Api, Operator, PATH } from '../../support/publishing.ts'

const CREATED = ['POST policyenforcements', 'PATCH policyenforcements/a/status']
const APPLIED = ['PATCH policyenforcements/a/status']

describe('report: publishing', () => {
  let api: Api
  let operator: Operator
  const pass = (ms: number): Promise<void> => api.clock.advance(ms)

  beforeEach(() => {
    api = new Api()
    operator = new Operator(api)
  })
  afterEach(async () => {
    const ended = operator.publisher.close()
    await pass(20_000)
    await ended
  })

  it('a new object is two requests, one transition is one, and the same again is none', async () => {
    operator.want('a', { transition: 'x', counts: '1' })
    await pass(2_000)
    assert.deepEqual([api.texts(), api.requests()], [['a: x/1'], CREATED])
    operator.want('a', { transition: 'y', counts: '1' })
    await pass(2_000)
    assert.deepEqual([api.texts(), api.requests()], [['a: y/1'], APPLIED])
    for (let i = 0; i < 20; i += 1) {
      operator.want('a', { transition: 'y', counts: '1' })
      await pass(60_000)
    }
    assert.deepEqual(api.requests(), [])
    const { writes, transitions, refreshes, actions, taken, objects, waiting, writing } = operator.publisher.counts()
    assert.deepEqual({ writes, transitions, refreshes, actions, taken, objects, waiting, writing }, { writes: 3, transitions: 3, refreshes: 0, actions: { create: 1, apply: 2, delete: 0 }, taken: 3, objects: 1, waiting: 0, writing: 0 })
  })
  it('what changes within a second is one write, and no later than a second after the first change', async () => {
    operator.want('a', { transition: 'x' })
    await pass(2_000)
    api.requests()
    for (let i = 0; i < 9; i += 1) {
      operator.want('a', { transition: `y${i}` })
      await pass(100)
    }
    assert.deepEqual(api.requests(), [])
    await pass(150)
    assert.deepEqual([api.texts(), api.requests()], [['a: y8/'], APPLIED])
    assert.equal(operator.publisher.counts().coalesced, 8)
  })
  it('what goes back before it is written never was', async () => {
    operator.want('a', { transition: 'x' })
    await pass(2_000)
    api.requests()
    operator.want('a', { transition: 'y' })
    await pass(500)
    operator.want('a', { transition: 'x' })
    await pass(10_000)
    assert.deepEqual(api.requests(), [])
    operator.want('b', { transition: 'x' })
    operator.want('b', { transition: null })
    await pass(10_000)
    assert.deepEqual([api.requests(), operator.publisher.counts().objects], [[], 1])
  })
  it('a count alone is written ten minutes after the last write of its object, and with a transition at once', async () => {
    operator.want('a', { transition: 'x', counts: '0' })
    await pass(2_000)
    api.requests()
    for (let minute = 1; minute <= 25; minute += 1) {
      operator.want('a', { transition: 'x', counts: String(minute) })
      await pass(60_000)
    }
    assert.deepEqual([api.requests(), operator.publisher.counts().refreshes], [[...APPLIED, ...APPLIED], 2])
    operator.want('a', { transition: 'y', counts: 'new' })
    await pass(1_100)
    assert.deepEqual([api.texts(), api.requests()], [['a: y/new'], APPLIED])
    operator.want('a', { transition: 'y', counts: 'newer' })
    await pass(598_000)
    assert.deepEqual(api.requests(), [])
    await pass(3_000)
    assert.deepEqual([api.texts(), api.requests()], [['a: y/newer'], APPLIED])
  })
  it('a count that was to be refreshed, and went back, is not', async () => {
    operator.want('a', { transition: 'x', counts: '0' })
    await pass(2_000)
    api.requests()
    operator.want('a', { transition: 'x', counts: '1' })
    await pass(300_000)
    operator.want('a', { transition: 'x', counts: '0' })
    await pass(3_600_000)
    assert.deepEqual(api.requests(), [])
  })
  it('one write of an object is on its way; what changes meanwhile is the next one, on the version that came of the first', async () => {
    operator.want('a', { transition: 'x' })
    await pass(2_000)
    api.requests()
    operator.lagMs = Infinity
    api.memory.delayMs = () => 2_000
    operator.want('a', { transition: 'y0' })
    for (let i = 1; i <= 40; i += 1) {
      await pass(100)
      operator.want('a', { transition: `y${i}` })
    }
    await pass(20_000)
    assert.deepEqual([api.texts(), api.requests()], [['a: y40/'], [...APPLIED, ...APPLIED]])
    assert.deepEqual(operator.publisher.counts().setbacks, { conflict: 0, missing: 0, refused: 0, away: 0 })
  })
  it('an object that should not be there is deleted, one about another UID made anew, and a view that is late changes nothing in that', async () => {
    for (const lagMs of [0, 30_000]) {
      operator.lagMs = lagMs
      operator.want('a', { transition: 'x' })
      await pass(60_000)
      api.requests()
      const uid = api.memory.find(PATH, 'shop/a')?.metadata.uid
      operator.want('a', { transition: 'x', owner: 'u2' })
      await pass(1_100)
      assert.deepEqual([api.texts(), api.requests()], [['a: x/'], ['DELETE policyenforcements/a', ...CREATED]])
      assert.notEqual(api.memory.find(PATH, 'shop/a')?.metadata.uid, uid)
      await pass(60_000)
      operator.want('a', { transition: null, owner: 'u2' })
      await pass(1_100)
      assert.deepEqual([api.texts(), api.requests()], [[], ['DELETE policyenforcements/a']])
      await pass(60_000)
      assert.deepEqual([api.requests(), operator.publisher.counts().objects], [[], 0])
    }
  })
  it('an object that is wanted no more before it was read is deleted once', async () => {
    operator.lagMs = 30_000
    operator.want('a', { transition: 'x' })
    await pass(2_000)
    operator.want('a', { transition: null })
    await pass(120_000)
    assert.deepEqual([api.texts(), api.requests(), operator.publisher.counts().objects], [[], [...CREATED, 'DELETE policyenforcements/a'], 0])
  })
  it('a former leader\'s late write is refused, and so are its late creation and its late deletion', async () => {
    operator.want('a', { transition: 'x' })
    await pass(2_000)
    const next = new Operator(api)
    operator.lagMs = Infinity
    operator.leads = false
    operator.want('a', { transition: 'old' })
    operator.want('b', { transition: 'old' })
    next.want('a', { transition: 'new' })
    next.want('b', { transition: 'new' })
    await pass(5_000)
    operator.leads = true
    await pass(60_000)
    assert.deepEqual(api.texts(), ['a: new/', 'b: new/'])
    assert.ok(operator.publisher.counts().setbacks.conflict >= 2)
    operator.want('a', { transition: null })
    await pass(60_000)
    assert.deepEqual(api.texts(), ['a: new/', 'b: new/'])
    // Again and again, but ever more seldom.
    api.requests()
    await pass(600_000)
    assert.ok(api.requests().length <= 60)
    await next.publisher.close()
  })
  it('a conflict is over as soon as the object is read anew, and what stands there then is put right', async () => {
    operator.want('a', { transition: 'x' })
    await pass(2_000)
    operator.lagMs = 1_500
    const before = api.memory.find(PATH, 'shop/a')
    assert.ok(before)
    api.memory.put(PATH, { ...before, status: { transition: 'by hand', counts: '' } })
    operator.want('a', { transition: 'y' })
    await pass(1_100)
    assert.deepEqual([api.texts(), operator.publisher.counts().setbacks.conflict], [['a: by hand/'], 1])
    await pass(500)
    assert.deepEqual(api.texts(), ['a: y/'])
  })
  it('an object that somebody deleted is made again', async () => {
    operator.want('a', { transition: 'x' })
    await pass(2_000)
    operator.lagMs = Infinity
    api.memory.remove(PATH, 'shop/a')
    operator.want('a', { transition: 'y' })
    await pass(5_000)
    assert.deepEqual([api.texts(), operator.publisher.counts().setbacks.missing], [['a: y/'], 1])
  })

  it('a storm over many objects goes out at the rate, edits first, and nobody is left out', async () => {
    for (let i = 0; i < 1_000; i += 1) operator.want(`p${i}`, { transition: 'x' })
    await pass(5_000)
    operator.want('a', { transition: 'x', urgent: true })
    await pass(2_500)
    assert.ok(api.texts().includes('a: x/'), 'the edit waits behind the storm')
    const { writes } = operator.publisher.counts()
    assert.ok(writes <= 24 + 12 * 7.5 && writes >= 24 + 12 * 6 - 1, String(writes))
    await pass(200_000)
    assert.equal(api.texts().filter((text) => text.endsWith(': x/')).length, 1_001)
  })
  it('edits without end do not keep other transitions, and those do not keep counts, from being written', async () => {
    await operator.publisher.close()
    operator = new Operator(api, { rate: 4, burst: 4, counts: 10_000 })
    operator.want('quiet', { transition: 'x', counts: '0' })
    operator.want('node', { transition: 'x' })
    await pass(5_000)
    operator.want('quiet', { transition: 'x', counts: '1' })
    for (let second = 0; second < 60; second += 1) {
      for (let i = 0; i < 10; i += 1) operator.want(`edited${i}`, { transition: String(second), urgent: true })
      for (let i = 0; i < 10; i += 1) operator.want(`moved${i}`, { transition: String(second) })
      if (second === 30) operator.want('node', { transition: 'y' })
      await pass(1_000)
    }
    assert.ok(api.texts().includes('quiet: x/1') && api.texts().includes('node: y/'), api.texts().join(', '))
  })
  it('in a time of quiet nothing is written; what is back by its end never was', async () => {
    operator.want('a', { transition: 'x' })
    await pass(2_000)
    api.requests()
    operator.quietUntil = Infinity
    operator.want('a', { transition: 'stale' })
    operator.want('b', { transition: 'x' })
    await pass(3_600_000)
    operator.quietUntil = api.clock.now() + 60_000
    operator.publisher.wake()
    await pass(59_000)
    assert.deepEqual(api.requests(), [])
    operator.want('a', { transition: 'x' })
    await pass(2_000)
    assert.deepEqual([api.texts(), api.requests().length], [['a: x/', 'b: x/'], 2])
  })
  it('who does not lead writes nothing, and finds out by itself that it does', async () => {
    operator.leads = false
    operator.want('a', { transition: 'x' })
    await pass(60_000)
    assert.deepEqual(api.requests(), [])
    operator.leads = true
    await pass(1_100)
    assert.deepEqual(api.texts(), ['a: x/'])
  })

  it('a server that is away, or asks for time, is asked ever more seldom, and everything is written once it is back', async () => {
    for (const [fate, most] of [['refused', 40], [{ status: 500 }, 40], [{ status: 429, retryAfter: '60' }, 20], ['lost', 40]] as const) {
      api = new Api()
      operator = new Operator(api)
      api.memory.fate = () => fate
      for (let i = 0; i < 200; i += 1) operator.want(`p${i}`, { transition: 'x' })
      await pass(600_000)
      assert.ok(api.memory.requests.length <= most, `${JSON.stringify(fate)}: ${api.memory.requests.length}`)
      assert.ok(operator.troubles.at(-1))
      api.memory.fate = () => 'usual'
      api.memory.delayMs = () => 500
      await pass(120_000)
      assert.equal(api.texts().filter((text) => text.endsWith(': x/')).length, 200, JSON.stringify(fate))
      assert.equal(operator.troubles.at(-1), null)
    }
  })
  it('one object that is refused again and again holds up no other', async () => {
    api.memory.fate = ({ path, body }) => (path.includes('/bad') || body.includes('"bad"') ? { status: 422, body: { message: 'no' } } : 'usual')
    operator.want('bad', { transition: 'x' })
    await pass(3_600_000)
    const tries = api.requests().length
    assert.ok(tries >= 5 && tries <= 25, String(tries))
    while (api.requests().length === 0) await pass(100)
    operator.want('a', { transition: 'x' })
    await pass(1_100)
    assert.deepEqual(api.texts(), ['a: x/'])
    assert.match(operator.troubles.find((text) => text !== null) ?? '', /refuses the request to create policyenforcements shop\/bad \(422\) \(it says: no\)/)
  })
  it('a role without the right, or a kind that is not there, does not keep the server busy', async () => {
    api.memory.fate = () => ({ status: 403, body: { message: 'no' } })
    for (let i = 0; i < 500; i += 1) operator.want(`p${i}`, { transition: 'x' })
    await pass(600_000)
    assert.ok(api.memory.requests.length <= 300, String(api.memory.requests.length))
    api.memory.fate = () => 'usual'
    await pass(420_000)
    assert.equal(api.texts().length, 500)
  })
  it('an end waits for what is on its way, for three seconds; nothing begins any more', async () => {
    api.memory.delayMs = () => 1_000
    operator.want('a', { transition: 'x' })
    await pass(1_500)
    operator.want('b', { transition: 'x' })
    let done = false
    void operator.publisher.close().then(() => (done = true))
    await pass(400)
    assert.equal(done, false)
    await pass(60_000)
    assert.deepEqual([done, api.texts()], [true, ['a: -/-']])
    operator = new Operator(api)
    api.memory.fate = () => 'hangs'
    operator.want('c', { transition: 'x' })
    await pass(1_500)
    let ended = false
    void operator.publisher.close().then(() => (ended = true))
    await pass(2_500)
    assert.equal(ended, false)
    await pass(1_000)
    assert.equal(ended, true)
  })
})
