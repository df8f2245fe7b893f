// Notifications as the kernel sends them -> posts: whose commit it was, and a doubt where one was not told.
import assert from 'node:assert/strict'
import { Generations } from '../../../src/kernel/generations.ts'
import { NoticeFold, type DoubtPost, type NoticePost } from '../../../src/kernel/notice-fold.ts'
import { encodeMessage } from '../../../src/netlink/messages.ts'

const NFTABLES = 10 << 8
const [NEW_RULE, NEW_GENERATION] = [6, 15]

/** `text` with a closing zero, or a number of 32 bits. */
function attribute(type: number, value: string | number): Buffer {
  const payload = typeof value === 'string' ? Buffer.from(`${value}\0`) : Buffer.alloc(4)
  if (typeof value === 'number') payload.writeUInt32BE(value)
  const bytes = Buffer.alloc((4 + payload.length + 3) & ~3)
  bytes.writeUInt16LE(4 + payload.length, 0)
  bytes.writeUInt16LE(type, 2)
  payload.copy(bytes, 4)
  return bytes
}

function message(type: number, port: number, ...attributes: readonly Buffer[]): Uint8Array {
  return encodeMessage({ type: NFTABLES | type, flags: 0, sequence: 0, port }, [Buffer.from([1, 0, 0, 0]), ...attributes])
}

/** One commit: a rule of that chain in that table, and its end. */
function commit(generation: number, table = 'picket', chain = 'a', port = 77): Uint8Array {
  const end = message(NEW_GENERATION, port, attribute(1, generation), attribute(2, 4242), attribute(3, 'nft'))
  return Buffer.concat([message(NEW_RULE, port, attribute(1, table), attribute(2, chain)), end])
}

function folded(): { readonly fold: NoticeFold; readonly posts: (NoticePost | DoubtPost)[] } {
  const posts: (NoticePost | DoubtPost)[] = []
  return { fold: new NoticeFold('inet', 'picket', 1_000, (post) => posts.push(post)), posts }
}

describe('notifications, folded', () => {
  it('rule 108: posts commits that name the table, those of others leave nothing behind', () => {
    const { fold, posts } = folded()
    fold.counted(5, 1_000, 1_001)
    fold.datagram(commit(6), 1_020, 1_010)
    fold.datagram(commit(7, 'others'), 1_030, 1_025)
    fold.datagram(commit(8, 'picket', 'b'), 1_050, 1_040)
    fold.counted(8, 2_500, 2_501)
    const post = { kind: 'commit', port: 77, by: 'nft (process 4242)', sinceMs: 10 }
    assert.deepEqual(posts, [{ ...post, chains: ['a'] }, { ...post, chains: ['b'] }])
  })

  it('rule 108: a commit that nobody told of shows at the next one, whatever table that names', () => {
    const { fold, posts } = folded()
    fold.counted(5, 1_000, 1_001)
    fold.datagram(commit(6), 1_020, 1_010)
    fold.datagram(commit(8, 'others'), 1_500, 1_490)
    fold.datagram(commit(9), 1_520, 1_510)
    assert.deepEqual(posts.slice(1), [{ kind: 'doubt', reason: 'a commit was not told', sinceMs: 500 }, posts[2]])
    assert.equal(posts[2]?.kind, 'commit')
  })

  it('rule 108: where none comes after it, the second question in a row shows it; one that is told late is none', () => {
    const { fold, posts } = folded()
    fold.counted(5, 1_000, 1_001)
    fold.counted(6, 2_500, 2_501)
    fold.datagram(commit(6, 'others'), 2_600, 2_590)
    fold.counted(7, 4_000, 4_001)
    assert.deepEqual(posts, [])
    fold.counted(8, 5_500, 5_501)
    assert.deepEqual(posts, [{ kind: 'doubt', reason: 'a commit was not told', sinceMs: 4_501 }])
    fold.datagram(commit(8, 'others'), 5_600, 5_590)
    fold.counted(8, 7_000, 7_001)
    fold.counted(8, 8_500, 8_501)
    assert.equal(posts.length, 1)
  })

  it('begins anew behind what is known to be lost', () => {
    const { fold, posts } = folded()
    fold.counted(5, 1_000, 1_001)
    fold.lost('the receive buffer was full', 1_100, 1_050)
    fold.datagram(commit(90, 'others'), 1_200, 1_190)
    fold.counted(90, 2_500, 2_501)
    assert.deepEqual(posts, [{ kind: 'doubt', reason: 'the receive buffer was full', sinceMs: 50 }])
  })

  it('counts past 32 bits', () => {
    const generations = new Generations()
    generations.ask(0xffff_fffe)
    assert.deepEqual([0xffff_ffff, 0, 1, 3].map((g) => generations.tell(g)), [false, false, false, true])
  })
})
