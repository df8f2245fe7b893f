// The two ways into the real kernel, in a network namespace of their own: the conformance suite, and what happens when
// a worker or a process is lost, a right is missing, or somebody else writes.
//
// **Invariant:** only the namespace that this file makes is touched, and it is gone afterwards.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf, PicketError } from '../../src/lib/errors.ts'
import { LibnftablesRunner } from '../../src/kernel/libnftables.ts'
import { NftProcessRunner } from '../../src/kernel/nft-process.ts'
import { openKernel } from '../../src/kernel/open.ts'
import { TextKernel } from '../../src/kernel/text-kernel.ts'
import type { Element, NftSet, Transaction } from '../../src/nft/objects.ts'
import { tableBlock } from '../support/table-text.ts'
import { conformance } from './conformance.ts'

const NETNS = `picket-kernel-${process.pid}`
const PATH = `/run/netns/${NETNS}`
const TABLE = { family: 'inet', name: 'picket' } as const
const nft = (...args: string[]): string => execFileSync('nsenter', [`--net=${PATH}`, 'nft', ...args], { encoding: 'utf8' })
const ADDRESSES: NftSet = { kind: 'set', name: 'pods/A/v4', key: ['ip saddr'], flags: [] }

function elements(list: readonly Element[], createsTable = false): Transaction {
  const add = { verb: 'add', object: ADDRESSES, owners: [] } as const
  return { table: TABLE, step: 'switch', createsTable, operations: [add, { verb: 'add-elements', set: ADDRESSES, elements: list, owners: [] }] }
}

describe('kernel', function () {
  this.timeout(60_000)
  before(() => void execFileSync('ip', ['netns', 'add', NETNS]))
  after(() => void execFileSync('ip', ['netns', 'delete', NETNS]))

  for (const access of ['libnftables', 'nft'] as const) {
    conformance(access, async () => {
      const kernel = await openKernel({ access, netns: PATH })
      assert.match(kernel.description, access === 'nft' ? /^nft v?[0-9]/ : /^libnftables [0-9]/)
      return { kernel, close: () => kernel.close() }
    })

    it(`rule 108: ${access}: reads a foreign change back, and tells changed rules from unchanged ones`, async () => {
      const kernel = await openKernel({ access, netns: PATH })
      const chain = { kind: 'chain', name: 'a', rules: ['ip saddr 10.0.0.1 counter accept', 'drop'] } as const
      await kernel.commit({ ...elements([{ key: '10.0.0.1' }], true) })
      await kernel.commit({ table: TABLE, step: 'stage', createsTable: false, operations: [{ verb: 'add', object: chain, owners: [] }] })
      const first = await kernel.readBack(TABLE)
      const again = await kernel.readBack(TABLE)
      nft('add', 'element', 'inet', 'picket', 'pods/A/v4', '{ 10.0.0.2 }')
      nft('insert', 'rule', 'inet', 'picket', 'a', 'accept')
      const changed = await kernel.readBack(TABLE)
      assert.ok(first.kind === 'table' && again.kind === 'table' && changed.kind === 'table')
      assert.equal(first.rules.get('a'), again.rules.get('a'))
      assert.notEqual(first.rules.get('a'), changed.rules.get('a'))
      assert.deepEqual([...(changed.state.sets.get('pods/A/v4')?.elements.keys() ?? [])].sort(), ['10.0.0.1', '10.0.0.2'])
      await kernel.deleteTable(TABLE)
      await kernel.close()
    })
  }

  it('writes tables as text that nft loads and lists the same', async () => {
    const kernel = await openKernel({ access: 'nft', netns: PATH })
    await kernel.commit(elements([{ key: '10.0.0.1' }, { key: '10.0.0.2' }], true))
    const before = await kernel.readBack(TABLE)
    assert.ok(before.kind === 'table')
    await kernel.deleteTable(TABLE)
    const loaded = spawnSync('nsenter', [`--net=${PATH}`, 'nft', '-f', '-'], { input: tableBlock(TABLE, before.state).replaceAll('ipv4_addr', 'ip saddr') })
    assert.equal(loaded.status, 0, loaded.stderr.toString())
    const after = await kernel.readBack(TABLE)
    assert.ok(after.kind === 'table')
    assert.deepEqual(after.state, before.state)
    await kernel.deleteTable(TABLE)
    await kernel.close()
  })

  it('answers unknown when the worker is lost, and goes on with a new one', async () => {
    const runner = new LibnftablesRunner(PATH)
    const kernel = new TextKernel('libnftables', runner)
    assert.deepEqual(await kernel.commit(elements([], true)), { kind: 'acknowledged' })
    const many = Array.from({ length: 50_000 }, (_, i): Element => ({ key: `10.0.${i >> 8}.${i & 255}` }))
    const commit = kernel.commit(elements(many))
    setTimeout(() => void runner.worker?.terminate(), 20)
    const outcome = await commit
    assert.equal(outcome.kind, 'unknown')
    assert.equal((await kernel.readBack(TABLE)).kind, 'table')
    assert.deepEqual(await kernel.deleteTable(TABLE), { kind: 'acknowledged' })
    await kernel.close()
  })

  const runners = [['libnftables', () => new LibnftablesRunner(PATH)], ['nft', () => new NftProcessRunner(PATH)]] as const
  for (const [name, make] of runners) {
    it(`${name}: answers unknown within the deadline, and nothing of it lands after the next answer`, async () => {
      const kernel = new TextKernel(name, make(), { commit: 60, list: 10_000 })
      const many = Array.from({ length: 200_000 }, (_, i): Element => ({ key: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` }))
      const start = performance.now()
      const outcome = await kernel.commit(elements(many, true))
      assert.ok(performance.now() - start < 3_000)
      assert.equal(outcome.kind, 'unknown')
      const sizes: number[] = []
      for (let i = 0; i < 3; i++) {
        const read = await kernel.readBack(TABLE)
        sizes.push(read.kind === 'table' ? (read.state.sets.get(ADDRESSES.name)?.elements.size ?? 0) : -1)
      }
      assert.ok(sizes.every((size) => size === sizes[0] && (size === -1 || size === many.length)), String(sizes))
      await kernel.close()
      nft('flush', 'ruleset')
    })
  }

  it('says in one line what is missing: the right', () => {
    const open = new URL('../../src/kernel/open.ts', import.meta.url)
    // As a module of its own: a worker cannot be started from --eval.
    const script = `import { openKernel } from '${open.href}'
      for (const access of ['libnftables', 'nft']) {
        try { await openKernel({ access }); console.log('opened') } catch (error) { console.log(error.code + ': ' + error.message) }
      }`
    const folder = mkdtempSync(join(tmpdir(), 'picket-kernel-'))
    chmodSync(folder, 0o755)
    const file = join(folder, 'try.mjs')
    writeFileSync(file, script)
    const result = spawnSync('setpriv', ['--reuid=65534', '--clear-groups', process.execPath, file], { cwd: '/', encoding: 'utf8' })
    rmSync(folder, { recursive: true })
    const lines = result.stdout.trim().split('\n')
    assert.equal(lines.length, 2, result.stdout + result.stderr)
    for (const line of lines) assert.match(line, /^NotPermitted: no right to change nftables .*; run as root, or with CAP_NET_ADMIN$/)
  })

  it('says in one line what is missing: the namespace', async () => {
    for (const access of ['libnftables', 'nft'] as const) {
      await assert.rejects(openKernel({ access, netns: '/run/netns/picket-nowhere' }), (error) => {
        assert.ok(error instanceof PicketError, messageOf(error))
        assert.match(error.message, /picket-nowhere/)
        assert.doesNotMatch(error.message, /\n/)
        return true
      })
    }
  })
})
