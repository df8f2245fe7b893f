// Objects by UID and by name, where names are used again.
import assert from 'node:assert/strict'
import { Named } from '../../../src/operator/named.ts'

describe('objects by name', () => {
  it('the last that was said counts, and the deletion of the one before changes nothing', () => {
    const named = new Named<string>()
    named.set('u1', 'web', 'first')
    named.set('u2', 'web', 'second')
    named.set('u1', null, null)
    assert.deepEqual([named.get('web'), named.size, [...named.keys()]], ['second', 1, ['u2']])
    named.set('u2', null, null)
    assert.deepEqual([named.get('web'), named.size, [...named.keys()]], [null, 0, []])
  })
  it('tells each name of which something was said once', () => {
    const named = new Named<string>()
    named.set('u1', 'web', 'first')
    named.set('u1', 'web', 'other')
    named.set('u2', 'db', 'one')
    assert.deepEqual([...named.take()], ['web', 'db'])
    assert.deepEqual([...named.take()], [])
    named.set('u2', null, null)
    assert.deepEqual([[...named.take()], [...named.names()]], [['db'], ['web']])
  })
  it('one that has no name is not held', () => {
    const named = new Named<string>()
    named.set('u1', null, 'nameless')
    assert.deepEqual([named.size, [...named.keys()]], [0, []])
  })
})
