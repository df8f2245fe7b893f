// What the kernel tells of its nf_tables, on the real kernel: other people's commits, and nothing that packets do.
//
// **Invariant:** only the namespace that this file makes is touched, and it is gone afterwards.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import type { ForeignChange, Kernel } from '../../src/kernel/kernel.ts'
import { LibnftablesRunner } from '../../src/kernel/libnftables.ts'
import { Notices } from '../../src/kernel/notices.ts'
import { openKernel } from '../../src/kernel/open.ts'
import { TextKernel } from '../../src/kernel/text-kernel.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { pause } from '../support/real-wire.ts'

const NETNS = `picket-notices-${process.pid}`
const PATH = `/run/netns/${NETNS}`
const TABLE = { family: 'inet', name: 'picket' } as const
const run = (...args: string[]): string => execFileSync('nsenter', [`--net=${PATH}`, ...args], { encoding: 'utf8' })
const nft = (text: string): string => execFileSync('nsenter', [`--net=${PATH}`, 'nft', '-f', '-'], { input: text, encoding: 'utf8' })

describe('notifications of nf_tables', function () {
  this.timeout(30_000)
  before(() => {
    execFileSync('ip', ['netns', 'add', NETNS])
    run('ip', 'link', 'set', 'lo', 'up')
  })
  after(() => void execFileSync('ip', ['netns', 'delete', NETNS]))

  async function watched(access: 'libnftables' | 'nft', test: (kernel: Kernel, changes: ForeignChange[]) => Promise<void>): Promise<void> {
    const kernel = await openKernel({ access, netns: PATH })
    const changes: ForeignChange[] = []
    await kernel.watch(TABLE, (change) => changes.push(change))
    try {
      await test(kernel, changes)
    } finally {
      await kernel.close()
      nft('flush ruleset')
    }
  }

  for (const access of ['libnftables', 'nft'] as const) {
    it(`rule 108: ${access}: tells others' commits with their chains, and never its own`, () =>
      watched(access, async (kernel, changes) => {
        const chain = { kind: 'chain', name: 'a', rules: ['accept'] } as const
        for (let i = 0; i < 20; i++) {
          const outcome = await kernel.commit({ table: TABLE, step: 'switch', createsTable: true, operations: [{ verb: 'add', object: { ...chain, name: `a${i}` }, owners: [] }] })
          assert.equal(outcome.kind, 'acknowledged')
          if (i === 10) nft('add table inet others\nadd chain inet others a\nadd table ip picket')
        }
        await pause(200)
        assert.equal(changes.length, 0, JSON.stringify(changes))
        nft('add rule inet picket a1 drop\nadd rule inet picket a2 drop')
        nft('add chain inet picket b')
        await pause(200)
        assert.deepEqual(changes.map((c) => (c.chains === 'all' ? 'all' : [...c.chains].sort())), [['a1', 'a2'], []])
        for (const { by, sinceMs } of changes) {
          assert.match(by, /^nft \(process \d+\)$/)
          assert.ok(sinceMs >= 0 && sinceMs < 2_000, String(sinceMs))
        }
      }))
  }

  it('rule 108: libnftables: commits of the worker that took a lost one\'s place are its own', async () => {
    const runner = new LibnftablesRunner(PATH)
    const kernel = new TextKernel('libnftables', runner, undefined, PATH)
    const changes: ForeignChange[] = []
    await kernel.watch(TABLE, (change) => changes.push(change))
    const commit = (name: string): ReturnType<Kernel['commit']> => kernel.commit({ table: TABLE, step: 'switch', createsTable: true, operations: [{ verb: 'add', object: { kind: 'chain', name, rules: [] }, owners: [] }] })
    assert.equal((await commit('a')).kind, 'acknowledged')
    await runner.worker?.terminate()
    assert.equal((await commit('b')).kind, 'acknowledged')
    await pause(300)
    assert.deepEqual(changes, [])
    await kernel.close()
    nft('flush ruleset')
  })

  for (const access of ['libnftables', 'nft'] as const) {
    it(`rule 108: ${access}: elements that it changes by netlink are its own, those of others are told`, () =>
      watched(access, async (kernel, changes) => {
        nft('add table inet picket\nadd set inet picket s { type ipv4_addr; flags dynamic,timeout; timeout 1h; size 65536; }')
        await pause(200)
        const before = changes.length
        assert.ok(before > 0)
        for (let batch = 0; batch < 20; batch++) {
          const keys = Uint8Array.from({ length: 1_000 * 4 }, (_, i) => [10, batch, i >> 10, (i >> 2) & 255][i & 3] as number)
          assert.deepEqual(await kernel.changeElements(TABLE, [{ verb: 'add', set: 's', keys, keyLength: 4 }]), { kind: 'acknowledged' })
        }
        assert.ok((await kernel.takeElements(TABLE, [{ set: 's', keyLength: 4, quietest: 100 }]))?.[0]?.length === 400)
        await pause(300)
        assert.equal(changes.length, before, JSON.stringify(changes))
        nft('add element inet picket s { 192.0.2.1 }\nadd element inet picket s { 192.0.2.2 }')
        await pause(200)
        assert.equal(changes.length, before + 1)
      }))
  }

  it('rule 108: says nothing of elements that packets make, and that expire', () =>
    watched('libnftables', async (_, changes) => {
      nft(`add table inet picket
add set inet picket seen { type ipv4_addr; flags dynamic,timeout; timeout 200ms; size 64; }
add chain inet picket out { type filter hook output priority 0; }
add rule inet picket out update @seen { ip daddr }`)
      await pause(200)
      const before = changes.length
      for (let i = 1; i < 10; i++) run('bash', '-c', `echo x > /dev/udp/127.0.0.${i}/9`)
      assert.match(run('nft', 'list', 'set', 'inet', 'picket', 'seen'), /127\.0\.0\./)
      await pause(600)
      assert.doesNotMatch(run('nft', 'list', 'set', 'inet', 'picket', 'seen'), /127\.0\.0\./)
      assert.equal(changes.length, before)
    }))

  it('tells a doubt where more is said than it can read', async () => {
    const posts: string[] = []
    const notices = new Notices({ table: TABLE, netns: PATH, clock: systemClock, onPost: (post) => posts.push(post.kind), receiveBufferBytes: 2_048 })
    await notices.started
    nft('add table inet others\nadd set inet others s { type ipv4_addr; }')
    const many = Array.from({ length: 5_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`).join(', ')
    nft(`add element inet others s { ${many} }`)
    await pause(400)
    await notices.close()
    nft('flush ruleset')
    assert.ok(posts.includes('doubt'), posts.join())
  })

  it('rule 108: tells a doubt within 5 s where the kernel tells nothing, and none where everything was told', async () => {
    const posts: string[][] = [[], []]
    const [deaf, hearing] = [0, undefined].map((groups, index) => new Notices({
      table: TABLE, netns: PATH, clock: systemClock, onPost: (post) => posts[index]?.push(post.kind), ...(groups === undefined ? {} : { groups }),
    })) as [Notices, Notices]
    await Promise.all([deaf.started, hearing.started])
    await pause(1_600)
    assert.deepEqual(posts, [[], []])
    nft('add table inet picket\nadd chain inet picket a')
    const end = Date.now() + 5_000
    while (posts[0]?.length === 0 && Date.now() < end) {
      nft('add table inet others')
      await pause(100)
    }
    await pause(200)
    assert.deepEqual(posts, [['doubt'], ['commit']])
    await Promise.all([deaf.close(), hearing.close()])
    nft('flush ruleset')
  })

  it('says in one line where it cannot listen', async () => {
    const notices = new Notices({ table: TABLE, netns: '/run/netns/picket-nowhere', clock: systemClock, onPost: () => undefined })
    await assert.rejects(notices.started, /cannot listen to the notifications of nf_tables: .*picket-nowhere/)
  })
})
