// The lines that probers and servers exchange, and the answer that a person with curl gets.
//
// **Invariant:** text only.
import assert from 'node:assert/strict'
import { httpResponse, isHttpRequest, parseReply, parseStreamRequest, replyText, socketText, streamRequest } from '../../../src/lab/wire.ts'

const WEB = { key: 'shop/web', instance: '12' }

describe('the lab\'s lines', () => {
  it('a reply is read back as it was written', () => {
    assert.deepEqual(parseReply(`${replyText('p1-0', WEB, 'fd00::1', socketText('fd00::2', 80))}\n`), { token: 'p1-0', by: WEB, source: 'fd00::1', at: '[fd00::2]:80' })
    assert.equal(socketText('10.0.0.2', 80), '10.0.0.2:80')
  })

  it('what is no reply is null', () => {
    for (const text of ['', 'p1-0', 'HTTP/1.1 200 OK', 'a b c d', 'a b c d e f']) assert.equal(parseReply(text), null, text)
  })

  it('a request for a stream is read back as it was written; another token is none', () => {
    assert.deepEqual(parseStreamRequest(streamRequest('d1:', 500)), { prefix: 'd1:', perSecond: 500 })
    for (const token of ['p1-0', 'stream:500:', 'stream:0:d', 'stream:10001:d', 'stream:x:d']) assert.equal(parseStreamRequest(token), null, token)
  })

  it('a request of HTTP is told from a token', () => {
    assert.equal(isHttpRequest('GET / HTTP/1.1'), true)
    assert.equal(isHttpRequest('POST /a?b HTTP/1.0'), true)
    for (const line of ['GET', 'GET /', 'p1-0', 'GET / HTTP/2']) assert.equal(isHttpRequest(line), false, line)
  })

  it('HTTP is answered with the pod\'s name and the right length; HEAD without the body', () => {
    const [head, body] = httpResponse('GET / HTTP/1.1', WEB, '10.0.0.2:80', '10.0.0.1').split('\r\n\r\n') as [string, string]
    assert.equal(body, 'shop/web at 10.0.0.2:80, asked by 10.0.0.1\n')
    assert.match(head, new RegExp(`Content-Length: ${body.length}\\b`))
    assert.equal(httpResponse('HEAD / HTTP/1.1', WEB, '10.0.0.2:80', '10.0.0.1'), `${head}\r\n\r\n`)
  })
})
