// What is shown of errors of unknown kind.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { messageOf } from '../../../src/lib/errors.ts'

describe('errors', () => {
  it('say something of a host with two addresses of which none answers', async () => {
    const both = [{ address: '127.0.0.1', family: 4 }, { address: '::1', family: 6 }]
    const socket = net.connect({ host: 'both.example', port: 1, autoSelectFamily: true, lookup: (_host, _options, callback) => callback(null, both) })
    const [error] = await once(socket, 'error').catch((reason: unknown) => [reason])
    assert.equal(messageOf(error), 'connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED ::1:1')
  })
  it('are their message, or their text', () => {
    assert.deepEqual([messageOf(new Error('a')), messageOf('b'), messageOf(new AggregateError([new Error('x')], 'c'))], ['a', 'b', 'c'])
  })
})
