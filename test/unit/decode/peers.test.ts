// Peers and selectors of a NetworkPolicy.
import assert from 'node:assert/strict'
import { fieldsOf, good, peersOf, policy, strict } from './support.ts'

const from = (...peers: unknown[]) => policy({ ingress: [{ from: peers }] })
const block = (cidr: unknown, except?: unknown) => from({ ipBlock: { cidr, except } })
const expression = (key: unknown, operator: unknown, values?: unknown) => ({ matchExpressions: [{ key, operator, values }] })

describe('decode: peers', () => {
  it('rule 11: from and to absent, null or empty are every peer', () => {
    for (const list of [undefined, null, []]) {
      assert.equal(peersOf(good(policy({ ingress: [{ from: list }] }))), 'all')
      assert.equal(peersOf(good(policy({ egress: [{ to: list }] })), 'egress'), 'all')
    }
  })

  it('rule 12: a podSelector alone means the own namespace', () => {
    assert.deepEqual(peersOf(good(from({ podSelector: { matchLabels: { app: 'web' } } }))), ['namespace shop, pods app=web'])
    assert.deepEqual(peersOf(good(from({ podSelector: {}, namespaceSelector: null }))), ['namespace shop, every pod'])
  })

  it('rule 13: a namespaceSelector alone means all pods there, {} every namespace', () => {
    assert.deepEqual(peersOf(good(from({ namespaceSelector: { matchLabels: { team: 'a' } } }))), ['namespaces team=a, every pod'])
    assert.deepEqual(peersOf(good(from({ namespaceSelector: {}, podSelector: null }))), ['every namespace, every pod'])
  })

  it('rule 14: both in one peer are ANDed, as two peers ORed', () => {
    const n = { matchLabels: { team: 'a' } }
    const p = { matchLabels: { app: 'web' } }
    assert.deepEqual(peersOf(good(from({ namespaceSelector: n, podSelector: p }))), ['namespaces team=a, pods app=web'])
    assert.deepEqual(peersOf(good(from({ namespaceSelector: n }, { podSelector: p }))), ['namespaces team=a, every pod', 'namespace shop, pods app=web'])
  })

  it('rule 23: an empty, null or unreadable peer matches nothing', () => {
    for (const peer of [{}, null, 'x', [], { podSelector: null }, { podSelector: 'x' }, { namespaceSelector: [] }, { ipBlock: 'x' }, { ipBlock: {} }]) {
      assert.deepEqual(peersOf(strict(from(peer))), [])
      assert.deepEqual(peersOf(strict(from(peer, { podSelector: {} }))), ['namespace shop, every pod'])
    }
  })

  it('ipBlock together with selectors matches nothing', () => {
    const decoded = from({ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} })
    assert.deepEqual([peersOf(strict(decoded)), fieldsOf(decoded)], [[], ['spec.ingress[0].from[0]']])
  })

  it('rule 25: an unreadable selector of a peer makes the whole peer match nothing', () => {
    const unreadable = expression('app', 'Matches', ['x'])
    for (const peer of [{ podSelector: unreadable }, { namespaceSelector: unreadable, podSelector: {} }, { namespaceSelector: {}, podSelector: unreadable }]) {
      assert.deepEqual(peersOf(strict(from(peer))), [])
    }
  })
})

describe('decode: ipBlock', () => {
  it('rule 51: host bits are cleared, /0, /32 and /128 work', () => {
    for (const [text, canonical] of [['10.0.0.1/24', '10.0.0.0/24'], ['0.0.0.0/0', '0.0.0.0/0'], ['10.0.0.1/32', '10.0.0.1/32'], ['FD00:0::1/64', 'fd00::/64'], ['::/0', '::/0'], ['fd00::1/128', 'fd00::1/128']]) {
      assert.deepEqual(peersOf(good(block(text))), [canonical])
    }
  })

  it('rule 57: what is no CIDR matches nothing', () => {
    for (const text of ['10.0.0.1', '10.0.0.0/33', '010.0.0.0/8', 'fd00::/129', '::ffff:10.0.0.0/104', 'fe80::1%eth0/64', '10.0/8', '', 8, null, ['10.0.0.0/8']]) {
      assert.deepEqual(peersOf(strict(block(text))), [])
    }
  })

  it('rules 46, 49: except is kept in canonical form, once', () => {
    assert.deepEqual(peersOf(good(block('0.0.0.0/0', ['0.0.0.0/1', '128.0.0.0/1']))), ['0.0.0.0/0 -0.0.0.0/1 -128.0.0.0/1'])
    assert.deepEqual(peersOf(good(block('10.0.0.0/8', ['10.1.2.3/16', '10.1.0.0/16']))), ['10.0.0.0/8 -10.1.0.0/16'])
    assert.deepEqual(peersOf(good(block('fd00::/8', ['fd00:1::/32']))), ['fd00::/8 -fd00:1::/32'])
    assert.deepEqual(peersOf(good(block('fd00::/8', null))), ['fd00::/8'])
  })

  it('an unreadable except makes the whole peer match nothing', () => {
    for (const except of ['10.1.0.0/16', ['10.1.0.0'], ['10.1.0.0/16', null], [{}]]) assert.deepEqual(peersOf(strict(block('10.0.0.0/8', except))), [])
  })

  it('rule 50: an except outside of the block or of the other family is an error without effect', () => {
    for (const except of ['11.0.0.0/16', 'fd00::/16']) {
      const decoded = block('10.0.0.0/8', [except, '10.1.0.0/16'])
      assert.deepEqual([peersOf(strict(decoded)), fieldsOf(decoded)], [['10.0.0.0/8 -10.1.0.0/16'], ['spec.ingress[0].from[0].ipBlock.except[0]']])
    }
  })

  it('an except that takes all of the block away is an error and takes it away', () => {
    assert.deepEqual(peersOf(strict(block('10.0.0.0/8', ['10.0.0.0/8']))), ['10.0.0.0/8 -10.0.0.0/8'])
    assert.deepEqual(peersOf(strict(block('fd00::/16', ['::/0']))), ['fd00::/16 -::/0'])
  })
})

describe('decode: selectors', () => {
  const pods = (podSelector: unknown) => policy({ podSelector })

  it('rules 16, 17, 18: operators and matchLabels are all ANDed, in canonical form', () => {
    const selector = {
      matchLabels: { b: '1', 'x.io/a': '' },
      matchExpressions: [
        { key: 'c', operator: 'In', values: ['z', 'y', 'z'] },
        { key: 'd', operator: 'NotIn', values: ['q', 'p'] },
        { key: 'e', operator: 'Exists' },
        { key: 'f', operator: 'DoesNotExist', values: [] },
      ],
    }
    assert.equal(good(pods(selector)).pods.text, '!f,b=1,c in (y,z),d notin (p,q),e,x.io/a=')
  })

  it('rule 19: an empty value is a value', () => {
    assert.deepEqual(good(pods({ matchLabels: { k: '' } })).pods.requirements, [{ key: 'k', operator: 'In', values: [''] }])
  })

  it('equal selectors have equal text, however they are written', () => {
    assert.equal(good(pods({ matchLabels: { a: '1' } })).pods.text, good(pods(expression('a', 'In', ['1']))).pods.text)
  })

  it('rule 25: an unreadable requirement of spec.podSelector is left out, so that more pods are selected', () => {
    const cases: [unknown, string][] = [
      [expression('a', 'In', []), 'values'],
      [expression('a', 'In'), 'values'],
      [expression('a', 'NotIn', []), 'values'],
      [expression('a', 'Exists', ['x']), 'values'],
      [expression('a', 'DoesNotExist', ['x']), 'values'],
      [expression('a', 'Gt', ['1']), 'operator'],
      [expression('a', 'in', ['1']), 'operator'],
      [expression('a', undefined, ['1']), 'operator'],
      [expression('a', 'In', ['x', 5]), 'values[1]'],
      [expression('a', 'In', ['sp ace']), 'values[0]'],
      [expression('a', 'In', 'x'), 'values'],
      [expression('', 'Exists'), 'key'],
      [expression('/a', 'Exists'), 'key'],
      [expression('a/b/c', 'Exists'), 'key'],
      [expression(undefined, 'Exists'), 'key'],
    ]
    for (const [selector, field] of cases) {
      const decoded = pods({ matchLabels: { app: 'web' }, ...(selector as object) })
      assert.equal(strict(decoded).pods.text, 'app=web')
      assert.deepEqual(fieldsOf(decoded), [`spec.podSelector.matchExpressions[0].${field}`])
    }
    assert.equal(strict(pods({ matchLabels: { app: 'web', 'bad key': 'x', tier: 5 } })).pods.text, 'app=web')
    assert.equal(strict(pods({ matchLabels: { app: 'web' }, matchExpressions: [null, 'x'] })).pods.text, 'app=web')
  })

  it('rule 25: a wholly unreadable podSelector selects every pod of the namespace', () => {
    for (const selector of ['x', [], 7, { matchLabels: 'x' }, { matchExpressions: {} }]) assert.equal(strict(pods(selector)).pods.text, '')
  })

  it('label keys that every object has in JavaScript are ordinary keys', () => {
    const selector = JSON.parse('{"matchLabels": {"constructor": "a", "__proto__": "b"}}')
    assert.deepEqual(fieldsOf(pods(selector)), ['spec.podSelector.matchLabels[__proto__]'])
    assert.equal(strict(pods(selector)).pods.text, 'constructor=a')
  })
})
