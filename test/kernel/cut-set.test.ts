// Cut sets under a flood of packets that meet them: what may go on is gone from the kernel, and stays gone (rule 81).
//
// A packet that has met an element of cut-flows refreshes it, and so would put it in again behind its removal.
// **Invariant:** loopback of a namespace of its own; the flood is 40,000 packets a second, all of one connection.
import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { keyOfElement } from '../../src/agent/cut-flows.ts'
import { CutSet } from '../../src/agent/cut-set.ts'
import type { FlowKey } from '../../src/kernel/conntrack-flows.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { openKernel } from '../../src/kernel/open.ts'
import type { Operation } from '../../src/nft/objects.ts'
import { connectionSets, cutRules } from '../../src/ruleset/connections.ts'
import { NAMES } from '../../src/ruleset/names.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { pause } from '../support/real-wire.ts'

const NETNS = `picket-cut-set-${process.pid}`
const FLOOD = fileURLToPath(new URL('../support/flood.ts', import.meta.url))
const FLOW = '127.0.0.1 . 127.0.0.1 . udp . 40000 . 7000'
const KEY = keyOfElement(FLOW) as FlowKey
const WHOLE = process.env['PICKET_TEST_WHOLE'] === '1'
/** Removals at once put the element in again in some of 100. */
const ROUNDS = WHOLE ? 500 : 100
const UNDER_WAY_MS = 3

describe('the cut sets under a flood', function () {
  this.timeout(120_000)
  let kernel: Kernel
  let flood: ChildProcess | null = null

  const nft = (...args: readonly string[]): string => execFileSync('nsenter', [`--net=/run/netns/${NETNS}`, 'nft', ...args], { encoding: 'utf8' })
  const packets = (counter: string): number => Number(/packets (\d+)/.exec(nft('list', 'counter', 'inet', 'picket', counter))?.[1])
  const held = (): boolean => ['cut-flows-v4', 'restored-flows-v4'].some((set) => nft('list', 'set', 'inet', 'picket', set).includes(FLOW))

  before(async () => {
    execFileSync('ip', ['netns', 'add', NETNS])
    execFileSync('ip', ['-n', NETNS, 'link', 'set', 'lo', 'up'])
    kernel = await openKernel({ access: 'libnftables', netns: `/run/netns/${NETNS}` })
    const objects = [
      ...[NAMES.cut, 'passed'].map((name) => ({ kind: 'counter' as const, name })),
      ...connectionSets(),
      // `passed` drops, so that nobody answers that nobody listens.
      { kind: 'chain' as const, name: 'arriving', base: { type: 'filter', hook: 'input', priority: '0', policy: 'accept' } as const, rules: [...cutRules().filter((rule) => !rule.includes('jump')), 'udp dport 7000 counter name "passed" drop'] },
    ]
    const operations = objects.map((object): Operation => ({ verb: 'add', object, owners: [] }))
    const outcome = await kernel.commit({ table: TABLE, step: 'stage', createsTable: true, operations })
    assert.equal(outcome.kind, 'acknowledged', JSON.stringify(outcome))
    flood = spawn('nsenter', [`--net=/run/netns/${NETNS}`, process.execPath, FLOOD, '40000', '127.0.0.1', '7000', '40000'], { stdio: 'inherit' })
    for (const end = Date.now() + 10_000; packets('passed') === 0; ) {
      assert.ok(Date.now() < end, 'the flood does not begin')
      await pause(20)
    }
  })
  after(async () => {
    flood?.kill('SIGKILL')
    await kernel.close()
    execFileSync('ip', ['netns', 'delete', NETNS])
  })

  for (const [family, from] of [[4, '10.0.0.1 . 10.0.0.2'], [6, 'fd00::1 . fd00::2']] as const) {
    it(`takes thousands of IPv${family} that are cut again while they are on their way out: each step fits the socket`, async () => {
      const set = new CutSet(kernel)
      const keys = Array.from({ length: 3_000 }, (_, i) => keyOfElement(`${from} . tcp . ${20_000 + i} . 80`) as FlowKey)
      for (const step of ['add', 'restore', 'add', 'restore'] as const) assert.deepEqual(await set[step](keys), { done: keys.length, trouble: null })
      while (set.clears) assert.equal((await set.clear()).trouble, null)
      assert.equal(set.size, 0)
      assert.doesNotMatch(nft('list', 'set', 'inet', 'picket', `restored-flows-v${family}`), /20000/)
    })
  }

  it(`rule 81: a connection that was cut and restored ${ROUNDS} times is in no set any more`, async () => {
    const set = new CutSet(kernel)
    const stuck: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      assert.equal((await set.add([KEY])).trouble, null)
      await pause(UNDER_WAY_MS)
      assert.equal((await set.restore([KEY])).trouble, null)
      while (set.clears) {
        await pause(UNDER_WAY_MS)
        assert.equal((await set.clear()).trouble, null)
      }
      if (!held()) continue
      stuck.push(round)
      nft('flush', 'set', 'inet', 'picket', 'cut-flows-v4')
    }
    assert.deepEqual(stuck, [])
    assert.ok(packets(NAMES.cut) > ROUNDS, `only ${packets(NAMES.cut)} packets were cut`)
  })

  it('rule 81: nor is one that was cut in one commit with 1,000 others, which the kernel brings into force one after the other', async () => {
    const set = new CutSet(kernel)
    const others = Array.from({ length: 1_000 }, (_, i) => keyOfElement(`127.0.0.2 . 127.0.0.1 . udp . ${i + 1} . 7000`) as FlowKey)
    for (let round = 0; round < 5; round++) {
      assert.equal((await set.add([...others, KEY])).trouble, null)
      await pause(UNDER_WAY_MS)
      assert.equal((await set.restore([...others, KEY])).trouble, null)
      while (set.clears) {
        await pause(UNDER_WAY_MS)
        assert.equal((await set.clear()).trouble, null)
      }
      assert.equal(held(), false, `round ${round}`)
    }
  })

  it('packets pass from the moment that it is restored', async () => {
    const set = new CutSet(kernel)
    await set.add([KEY])
    await set.restore([KEY])
    // What was under way has ended.
    await pause(50)
    const [cut, passed] = [packets(NAMES.cut), packets('passed')]
    while (set.clears) {
      await set.clear()
      await pause(UNDER_WAY_MS)
    }
    await pause(50)
    assert.equal(packets(NAMES.cut), cut)
    assert.ok(packets('passed') > passed)
  })
})
