// The watcher on a real folder: every way in which files change, and what happens when they cannot be read.
import assert from 'node:assert/strict'
import { byText } from '../../../src/lib/sorting.ts'
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, open, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { folderDigest } from '../../../src/manifests/digest.ts'
import { watchManifests } from '../../../src/manifests/watch.ts'
import { Folder, pod, texts } from './support.ts'

const one = 'manifest:Pod/shop/one#1'
const two = 'manifest:Pod/shop/two#1'

describe('manifests: watching', () => {
  let folder: Folder
  beforeEach(async () => {
    folder = await Folder.make()
    await mkdir(folder.dir)
  })
  afterEach(() => folder.remove())

  it('rule 103: the first batch holds everything and ends with synced, once', async () => {
    await folder.write('a.yaml', `${pod('one')}---\n${pod('two')}`)
    await folder.write('deep/er/b.json', JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } }))
    const first = await folder.watch()
    assert.deepEqual(texts(first.events), [`+ ${one}`, `+ ${two}`, '+ manifest:Node/n1#1', 'synced'])
    assert.deepEqual([first.problems, first.covers.files], [[], 2])
    await folder.replace('c.yaml', pod('three'))
    assert.deepEqual(texts((await folder.next()).events), ['+ manifest:Pod/shop/three#1'])
  })

  it('an empty folder is synced too', async () => {
    assert.deepEqual(texts((await folder.watch()).events), ['synced'])
  })

  it('files written in place, replaced by rename, moved, removed; folders made, moved, removed', async () => {
    await folder.watch()
    await folder.write('a.yaml', pod('one'))
    assert.deepEqual(texts((await folder.next()).events), [`+ ${one}`])
    await folder.replace('a.yaml', pod('one', '  labels: {v: "2"}\n'))
    assert.deepEqual(texts((await folder.next()).events), [`+ ${one}`])
    await rename(folder.at('a.yaml'), folder.at('z.yml'))
    assert.deepEqual(texts((await folder.next()).events), [`+ ${one}`])
    await folder.write('x/y/b.yaml', pod('two'))
    assert.deepEqual(texts((await folder.next()).events), [`+ ${two}`])
    await folder.write('x/y/b.yaml', pod('two', '  labels: {v: "2"}\n'))
    assert.deepEqual(texts((await folder.next()).events), [`+ ${two}`])
    await rename(folder.at('x'), folder.at('w'))
    assert.deepEqual(texts((await folder.next()).events), [`+ ${two}`])
    await folder.write('w/y/b.yaml', pod('two', '  labels: {v: "3"}\n'))
    assert.deepEqual(texts((await folder.next()).events), [`+ ${two}`])
    await rm(folder.at('w'), { recursive: true })
    assert.deepEqual(texts((await folder.next()).events), [`- ${two}`])
    await unlink(folder.at('z.yml'))
    assert.deepEqual(texts((await folder.next()).events), [`- ${one}`])
  })

  it('names that begin with a dot and other extensions are ignored', async () => {
    await folder.watch()
    for (const name of ['.a.yaml', 'a.yaml~', 'a.yaml.swp', 'README', '.git/a.yaml', 'a.YAML']) await folder.write(name, pod('one'))
    assert.deepEqual(await folder.quiet(100), [])
  })

  it('files that are written together arrive together', async () => {
    await folder.watch()
    await Promise.all(Array.from({ length: 40 }, (_, i) => folder.write(`p${i}.yaml`, pod(`p${i}`))))
    assert.equal((await folder.next()).events.length, 40)
    assert.deepEqual(await folder.quiet(100), [])
  })

  it('a change is told within about 50 ms', async () => {
    await folder.watch()
    const took: number[] = []
    for (let i = 0; i < 15; i += 1) {
      await folder.replace('a.yaml', pod('one', `  labels: {v: "${i}"}\n`))
      const since = performance.now()
      await folder.next()
      took.push(performance.now() - since)
    }
    const median = took.sort((a, b) => a - b)[7] as number
    assert.ok(median < 50, `median ${median} ms`)
  })

  it('a file that is emptied and then filled, or written piece by piece, takes nothing away', async () => {
    await folder.write('a.yaml', `${pod('one')}---\n${pod('two')}`)
    await folder.watch()
    const handle = await open(folder.at('a.yaml'), 'w')
    await new Promise((done) => setTimeout(done, 40))
    await handle.writeFile(`${pod('one')}---\napiVer`)
    await new Promise((done) => setTimeout(done, 60))
    await handle.writeFile(`sion: v1\nkind: Pod\nmetadata: {namespace: shop, name: two}\n`)
    await handle.close()
    for (const batch of await folder.quiet(200)) assert.equal(batch.events.some((e) => e.verb === 'delete'), false)
    assert.deepEqual(folder.batches.at(-1)?.problems, [])
  })

  it('a file that stays empty gives nothing', async () => {
    await folder.write('a.yaml', pod('one'))
    await folder.watch()
    await writeFile(folder.at('a.yaml'), '')
    assert.deepEqual(texts((await folder.next()).events), [`- ${one}`])
  })

  it('a damaged document keeps what the file gave, names it, and the problem goes with its cause', async () => {
    await folder.write('a.yaml', `${pod('one')}---\n${pod('two')}`)
    await folder.watch()
    await folder.write('a.yaml', `${pod('one')}---\nkind: [\n`)
    const bad = await folder.next()
    assert.deepEqual([bad.events, bad.problems.map((p) => [p.code, p.source])], [[], [['MalformedDocument', 'a.yaml, document 2']]])
    assert.equal(bad.covers.digest, await folderDigest(folder.dir))
    await folder.write('b.yaml', pod('three'))
    assert.deepEqual(texts((await folder.next()).events), ['+ manifest:Pod/shop/three#1'])
    await folder.write('a.yaml', pod('one'))
    const mended = await folder.next()
    assert.deepEqual([texts(mended.events), mended.problems], [[`- ${two}`], []])
  })

  it('a ConfigMap: links through ..data that is swapped', async () => {
    await folder.write('..v1/a.yaml', pod('one'))
    await symlink('..v1', folder.at('..data'))
    await symlink('..data/a.yaml', folder.at('a.yaml'))
    assert.deepEqual(texts((await folder.watch()).events), [`+ ${one}`, 'synced'])
    await folder.write('..v2/a.yaml', pod('one', '  labels: {v: "2"}\n'))
    await symlink('..v2', folder.at('..data_tmp'))
    await rename(folder.at('..data_tmp'), folder.at('..data'))
    assert.deepEqual(texts((await folder.next(1_000)).events), [`+ ${one}`])
    await rm(folder.at('..v1'), { recursive: true })
    assert.deepEqual(await folder.quiet(80), [])
  })

  it('links to folders are followed, loops and dead links are problems', async () => {
    await folder.write('.real/a.yaml', pod('one'))
    await symlink('.real', folder.at('link'))
    await symlink('..', folder.at('.real/loop'))
    await symlink('nowhere.yaml', folder.at('dead.yaml'))
    const first = await folder.watch()
    assert.deepEqual(texts(first.events), [`+ ${one}`, 'synced'])
    assert.deepEqual(first.problems.map((p) => p.object), ['folder link/loop', 'file dead.yaml'])
    await writeFile(folder.at('nowhere.yaml'), pod('two'))
    const both = await folder.next(3_000)
    assert.equal(both.events.length > 0, true)
  })

  it('a target of a link outside of the folder is found by the timer', async () => {
    await writeFile(folder.at('../outside.yaml'), pod('one'))
    await symlink('../outside.yaml', folder.at('a.yaml'))
    await folder.watch({ rescanMs: 60 })
    await writeFile(folder.at('../outside.yaml'), pod('two'))
    assert.deepEqual(texts((await folder.next()).events), [`- ${one}`, `+ ${two}`])
  })

  it('too large, not UTF-8, no regular file: problems, and the objects stay', async () => {
    await folder.write('a.yaml', pod('one'))
    await folder.watch({ mostBytes: 200 })
    await folder.write('a.yaml', `${pod('one')}# ${'x'.repeat(200)}`)
    const large = await folder.next()
    assert.deepEqual([large.events, large.problems.map((p) => [p.code, p.object]), large.covers.files], [[], [['UnreadableFile', 'file a.yaml']], 0])
    assert.match(large.problems[0]?.message ?? '', /found \d+ bytes, expected at most 200/)
    await folder.write('a.yaml', Buffer.from([0xff, 0xfe, 0x61]))
    assert.match((await folder.next()).problems[0]?.message ?? '', /UTF-8/)
    await folder.write('a.yaml', pod('one'))
    const mended = await folder.next()
    assert.deepEqual([mended.events, mended.problems], [[], []])
    execFileSync('mkfifo', [folder.at('pipe.yaml')])
    assert.match((await folder.next()).problems[0]?.message ?? '', /no regular file/)
  })

  it('the folder vanishes: nothing is deleted, a problem says so, and it comes back', async () => {
    await folder.write('a.yaml', pod('one'))
    const first = await folder.watch()
    await rename(folder.dir, `${folder.dir}.away`)
    const lost = await folder.next()
    assert.deepEqual([lost.events, lost.problems.map((p) => p.code), lost.covers], [[], ['FolderVanished'], first.covers])
    await mkdir(`${folder.dir}.new`)
    await writeFile(`${folder.dir}.new/b.yaml`, pod('two'))
    await rename(`${folder.dir}.new`, folder.dir)
    const back = await folder.next()
    assert.deepEqual([texts(back.events), back.problems], [[`- ${one}`, `+ ${two}`], []])
    await folder.replace('b.yaml', pod('two', '  labels: {v: "2"}\n'))
    assert.deepEqual(texts((await folder.next(1_000)).events), [`+ ${two}`])
  })

  it('a folder that is a link which is swapped', async () => {
    const real = `${folder.dir}.1`
    await rm(folder.dir, { recursive: true })
    await mkdir(real)
    await mkdir(`${folder.dir}.2`)
    await writeFile(`${real}/a.yaml`, pod('one'))
    await writeFile(`${folder.dir}.2/a.yaml`, pod('two'))
    await symlink(real, folder.dir)
    await folder.watch()
    await symlink(`${folder.dir}.2`, `${folder.dir}.tmp`)
    await rename(`${folder.dir}.tmp`, folder.dir)
    assert.deepEqual(texts((await folder.next(1_000)).events), [`- ${one}`, `+ ${two}`])
  })

  it('a folder that is missing, or is a file, is refused with one sentence', async () => {
    const options = { onBatch: () => assert.fail('nothing to tell') }
    const refused = { name: 'PicketError', code: 'ManifestFolder', exit: 2 }
    await assert.rejects(watchManifests(folder.at('nowhere'), options), refused)
    await folder.write('file', 'x')
    await assert.rejects(watchManifests(folder.at('file'), options), refused)
    await assert.rejects(folderDigest(folder.at('nowhere')), refused)
  })

  it('nothing is told after close', async () => {
    await folder.watch()
    await folder.write('a.yaml', pod('one'))
    await folder.close()
    await folder.write('b.yaml', pod('two'))
    assert.deepEqual(await folder.quiet(100), [])
  })

  it('what cannot be read for lack of a right keeps its objects; so does a whole folder of them', async () => {
    await folder.write('a.yaml', pod('one'))
    await folder.write('sub/b.yaml', pod('two'))
    await chmod(dirname(folder.dir), 0o755)
    // Root may read everything, so the test gives that up for a moment.
    const root = process.geteuid?.() === 0
    await folder.watch()
    try {
      await chmod(folder.at('a.yaml'), 0)
      await chmod(folder.at('sub'), 0)
      if (root) process.seteuid?.(65_534)
      await new Promise((done) => setTimeout(done, 30))
      const problems = async (): Promise<readonly (readonly [string, string])[]> => (await folder.next(3_000)).problems.map((p) => [p.code, p.object] as const)
      let last = await problems()
      while (last.length < 2) last = await problems()
      assert.deepEqual([...last].sort(([a], [b]) => byText(String(a), String(b))), [['UnreadableFile', 'file a.yaml'], ['UnreadableFolder', 'folder sub']])
    } finally {
      if (root) process.seteuid?.(0)
      await chmod(folder.at('sub'), 0o755)
    }
    assert.equal(folder.batches.slice(1).flatMap((b) => b.events).length, 0)
  })

  it('links that lead in a circle are unreadable files', async () => {
    await symlink('loop.yaml', folder.at('loop.yaml'))
    assert.deepEqual((await folder.watch()).problems.map((p) => [p.code, p.object]), [['UnreadableFile', 'file loop.yaml']])
  })
})

describe('manifests: digest', () => {
  it('a batch covers exactly the folder, whatever is changed, and folderDigest agrees', async () => {
    const folder = await Folder.make()
    await mkdir(folder.dir)
    try {
      const first = await folder.watch()
      assert.equal(first.covers.digest, await folderDigest(folder.dir))
      const changes: (() => Promise<unknown>)[] = [
        () => folder.write('b.yaml', pod('one')),
        () => folder.write('a/b.yaml', '# nothing'),
        () => folder.write('B.yaml', 'kind: ['),
        () => folder.replace('b.yaml', `# comment\n${pod('one')}`),
        () => rename(folder.at('a'), folder.at('c')),
        () => unlink(folder.at('b.yaml')),
      ]
      const digests = new Set([first.covers.digest])
      for (const change of changes) {
        await change()
        const { covers } = await folder.next()
        assert.equal(covers.digest, await folderDigest(folder.dir))
        digests.add(covers.digest)
      }
      assert.equal(digests.size, changes.length + 1)
      assert.equal((await readFile(folder.at('B.yaml'), 'utf8')).length, 7)
    } finally {
      await folder.remove()
    }
  })
})
