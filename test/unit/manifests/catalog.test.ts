// Identity, duplicates, and what a damaged file keeps.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Catalog } from '../../../src/manifests/catalog.ts'
import { readDocuments } from '../../../src/manifests/documents.ts'
import { damagedFile, readObjects } from '../../../src/manifests/objects.ts'
import { pod, texts } from './support.ts'

async function set(catalog: Catalog, path: string, ...documents: string[]): Promise<void> {
  catalog.setFile(path, readObjects(path, await readDocuments(documents.join('---\n'))))
}

describe('manifests: identity', () => {
  it('rule 97: removed and created again is another object, an edit is not', async () => {
    const catalog = new Catalog()
    await set(catalog, 'a.yaml', pod('web'))
    assert.deepEqual(texts(catalog.settle().events), ['+ manifest:Pod/shop/web#1'])
    await set(catalog, 'a.yaml', pod('web', '  labels: {a: b}\n'))
    assert.deepEqual(texts(catalog.settle().events), ['+ manifest:Pod/shop/web#1'])
    catalog.removeFile('a.yaml')
    assert.deepEqual(texts(catalog.settle().events), ['- manifest:Pod/shop/web#1'])
    await set(catalog, 'b.yaml', pod('web'))
    assert.deepEqual(texts(catalog.settle().events), ['+ manifest:Pod/shop/web#2'])
  })

  it('rule 94: another metadata.uid under the same name is a deletion and a creation', async () => {
    const catalog = new Catalog()
    await set(catalog, 'a.yaml', pod('web', '  uid: u1\n'))
    assert.deepEqual(texts(catalog.settle().events), ['+ u1'])
    await set(catalog, 'a.yaml', pod('web', '  uid: u2\n'))
    assert.deepEqual(texts(catalog.settle().events), ['- u1', '+ u2'])
    await set(catalog, 'a.yaml', pod('web'))
    assert.deepEqual(texts(catalog.settle().events), ['- u2', '+ manifest:Pod/shop/web#3'])
  })

  it('rule 94: objects say in which order they were created, and an edit does not change it', async () => {
    const catalog = new Catalog()
    const orders = (): number[] => catalog.settle().events.flatMap((e) => (e.verb === 'upsert' ? [e.object.order] : []))
    await set(catalog, 'b.yaml', pod('old'))
    assert.deepEqual(orders(), [1])
    await set(catalog, 'a.yaml', pod('new'))
    assert.deepEqual(orders(), [2])
    await set(catalog, 'b.yaml', pod('old', '  labels: {a: b}\n'))
    assert.deepEqual(orders(), [1])
  })

  it('an object that moves to another file stays the same', async () => {
    const catalog = new Catalog()
    await set(catalog, 'a.yaml', pod('web'))
    catalog.settle()
    catalog.removeFile('a.yaml')
    await set(catalog, 'b.yaml', pod('web'))
    const { events } = catalog.settle()
    assert.deepEqual(texts(events), ['+ manifest:Pod/shop/web#1'])
    assert.equal(events[0]?.verb === 'upsert' && events[0].object.source, 'b.yaml, document 1')
  })

  it('a file that says the same in other words says nothing', async () => {
    const catalog = new Catalog()
    await set(catalog, 'a.yaml', pod('web'))
    catalog.settle()
    await set(catalog, 'a.yaml', `# a comment\n${pod('web')}`)
    assert.deepEqual(catalog.settle().events, [])
  })

  it('a deletion names its object', async () => {
    const catalog = new Catalog()
    await set(catalog, 'a.yaml', 'apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n')
    catalog.settle()
    catalog.removeFile('a.yaml')
    assert.deepEqual(catalog.settle().events, [{ verb: 'delete', uid: 'manifest:Node/n1#1', kind: 'Node', namespace: null, name: 'n1' }])
  })

  it('names that no object may have do not meet', async () => {
    const catalog = new Catalog()
    const named = (namespace: string, name: string) => `apiVersion: v1\nkind: Pod\nmetadata: {namespace: "${namespace}", name: "${name}"}\n`
    await set(catalog, 'a.yaml', named('a/b', 'c'), named('a', 'b/c'), named('a', 'b%002fc'))
    const { events, problems } = catalog.settle()
    assert.deepEqual([new Set(texts(events)).size, problems], [3, []])
  })
})

describe('manifests: duplicates', () => {
  it('of the same object the file first by path counts, and the problem names both', async () => {
    const catalog = new Catalog()
    await set(catalog, 'b.yaml', pod('web', '  labels: {from: b}\n'))
    await set(catalog, 'a.yaml', pod('web', '  labels: {from: a}\n'))
    const { events, problems } = catalog.settle()
    assert.equal(events[0]?.verb === 'upsert' && events[0].object.source, 'a.yaml, document 1')
    assert.deepEqual(problems.map((p) => [p.code, p.object, p.source]), [['DuplicateObject', 'Pod shop/web', 'b.yaml, document 1']])
    assert.match(problems[0]?.message ?? '', /^the same object stands in a.yaml, document 1 too/)
    catalog.removeFile('a.yaml')
    const after = catalog.settle()
    assert.deepEqual([texts(after.events), after.problems], [['+ manifest:Pod/shop/web#1'], []])
  })

  it('two objects of one UID: likewise, also in one file', async () => {
    const catalog = new Catalog()
    await set(catalog, 'a.yaml', pod('one', '  uid: u1\n'), pod('two', '  uid: u1\n'))
    const { events, problems } = catalog.settle()
    assert.deepEqual([texts(events), problems.map((p) => [p.object, p.source])], [['+ u1'], [['Pod shop/two', 'a.yaml, document 2']]])
    assert.match(problems[0]?.message ?? '', /same UID \(Pod shop\/one\)/)
  })
})

describe('manifests: damage', () => {
  it('what a damaged file does not give any more stays, what it gives is taken', async () => {
    const catalog = new Catalog()
    await set(catalog, 'a.yaml', pod('one'), pod('two'), pod('three'))
    catalog.settle()
    await set(catalog, 'a.yaml', pod('one', '  labels: {a: b}\n'), 'kind: [Pod\n')
    const { events, problems } = catalog.settle()
    assert.deepEqual([texts(events), problems.length], [['+ manifest:Pod/shop/one#1'], 1])
    await set(catalog, 'a.yaml', pod('one', '  labels: {a: b}\n'), pod('two'))
    const after = catalog.settle()
    assert.deepEqual([texts(after.events).at(0), after.problems], ['- manifest:Pod/shop/three#1', []])
  })

  it('it stays through further damage, and goes with the file', async () => {
    const catalog = new Catalog()
    await set(catalog, 'a.yaml', pod('one'))
    catalog.settle()
    await set(catalog, 'a.yaml', 'kind: [Pod\n')
    catalog.setFile('a.yaml', damagedFile('a.yaml', 'it cannot be read'))
    assert.deepEqual([catalog.settle().events, catalog.settle().problems.map((p) => p.code)], [[], ['UnreadableFile']])
    catalog.removeFile('a.yaml')
    assert.deepEqual(texts(catalog.settle().events), ['- manifest:Pod/shop/one#1'])
  })

  it('a readable file counts before what a damaged one gave', async () => {
    const catalog = new Catalog()
    await set(catalog, 'a.yaml', pod('one', '  uid: u1\n'))
    catalog.settle()
    await set(catalog, 'a.yaml', 'kind: [Pod\n')
    await set(catalog, 'b.yaml', pod('one', '  uid: u2\n'))
    assert.deepEqual(texts(catalog.settle().events), ['- u1', '+ u2'])
  })

  it('rules 94, 97: whatever happens to the files, events applied in order give exactly the objects, by UID', async () => {
    const content = fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'c'), uid: fc.constantFrom('', '  uid: u1\n', '  uid: u2\n') }), { maxLength: 3 })
    const step = fc.record({ path: fc.constantFrom('1.yaml', '2.yaml'), content: fc.option(content), settle: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const catalog = new Catalog()
        const held = new Map<string, string>()
        const wanted = new Map<string, readonly { name: string; uid: string }[]>()
        const ever = new Set<string>()
        const apply = (): void => {
          for (const event of catalog.settle().events) {
            if (event.verb === 'delete') assert.equal(held.delete(event.uid), true)
            if (event.verb !== 'upsert') continue
            if (!held.has(event.object.uid) && event.object.uid.startsWith('manifest:')) assert.equal(ever.has(event.object.uid), false)
            ever.add(event.object.uid)
            held.set(event.object.uid, event.object.name)
          }
        }
        for (const { path, content: pods, settle } of steps) {
          if (pods === null) catalog.removeFile(path)
          else await set(catalog, path, ...pods.map((p) => pod(p.name, p.uid)))
          if (pods === null) wanted.delete(path)
          else wanted.set(path, pods)
          if (settle) apply()
        }
        apply()
        const names = new Set<string>()
        const uids = new Set<string>()
        for (const path of [...wanted.keys()].sort()) {
          for (const { name, uid } of wanted.get(path) ?? []) {
            if (names.has(name) || (uid !== '' && uids.has(uid))) continue
            names.add(name)
            uids.add(uid)
          }
        }
        assert.deepEqual([...held.values()].sort(), [...names].sort())
      }),
      { numRuns: 200 },
    )
  })
})
