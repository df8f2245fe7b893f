// When a round of probes may be believed: controls, slow answers, a second try.
//
// The prober here plays a machine that is too busy or a path that is broken, which cannot be had on demand.
import assert from 'node:assert/strict'
import { askRound, type Prober, type Question } from '../../../src/lab/round.ts'
import type { ProbeRequest, ProbeResult } from '../../../src/lab/testbed.ts'

const question: Question = {
  from: { kind: 'pod', key: 'shop/web' },
  fromNode: 'n1',
  to: { key: 'shop/db', node: 'n2' },
  address: '10.0.0.2',
  protocol: 'TCP',
  port: 80,
}

const answered = (by: string, ms = 1): ProbeResult => ({ kind: 'answered', by, source: '10.0.0.1', at: '', ms })
const silent: ProbeResult = { kind: 'silent' }

/** `answer` gets each request and the number of the try, from 1. */
function prober(answer: (request: ProbeRequest, attempt: number) => ProbeResult): Prober & { readonly asked: ProbeRequest[][] } {
  const asked: ProbeRequest[][] = []
  return {
    asked,
    hostPorts: [{ protocol: 'TCP', port: 7 }],
    nodeAddress: (name) => (name === 'n1' ? '192.168.0.1' : null),
    probe: async (requests) => {
      asked.push([...requests])
      return requests.map((one) => answer(one, asked.length))
    },
  }
}

/** All controls pass. */
const wellControlled = (request: ProbeRequest): ProbeResult | null =>
  request.from.kind === 'node' ? answered('shop/db') : request.address === '192.168.0.1' ? answered('n1') : null

describe('a round of probes', () => {
  it('asks with the probes: each destination from its own node, each source pod to its own node', async () => {
    const one = prober((request) => wellControlled(request) ?? silent)
    await askRound(one, [question, { ...question, port: 81 }])
    const controls = one.asked[0]?.slice(2).map(({ from, address, port }) => `${from.kind === 'node' ? from.name : from.kind === 'pod' ? from.key : ''} ${address} ${port}`)
    assert.deepEqual(controls?.sort(), ['n2 10.0.0.2 80', 'n2 10.0.0.2 81', 'shop/web 192.168.0.1 7'])
  })

  it('believes silence where every control passed, and asks once only', async () => {
    const one = prober((request) => wellControlled(request) ?? silent)
    const round = await askRound(one, [question])
    assert.deepEqual(round.kind === 'measured' && round.results, [silent])
    assert.equal(one.asked.length, 1)
  })

  it('asks everything again where a control failed, and believes the second time', async () => {
    const one = prober((request, attempt) => (attempt === 1 && request.from.kind === 'node' ? silent : (wellControlled(request) ?? answered('shop/db'))))
    const round = await askRound(one, [question])
    assert.equal(round.kind, 'measured')
    assert.equal(one.asked.length, 2)
    assert.equal(one.asked[1]?.length, one.asked[0]?.length)
  })

  it('says that nothing can be said where a control fails twice, and which', async () => {
    const round = await askRound(prober((request) => (request.from.kind === 'node' ? silent : answered('n1'))), [question])
    assert.ok(round.kind === 'unusable')
    assert.match(round.reason, /1 of 2 control probes failed.*node n2 -> shop\/db 10\.0\.0\.2 80\/TCP \(no answer\)/)
  })

  it('takes a control that somebody else answered for a failure', async () => {
    const round = await askRound(prober((request) => (request.from.kind === 'node' ? answered('shop/other') : answered('n1'))), [question])
    assert.ok(round.kind === 'unusable')
    assert.match(round.reason, /answered by shop\/other/)
  })

  it('does not believe silence while other answers come close to the deadline', async () => {
    const one = prober((request, attempt) => (request.from.kind === 'node' ? answered('shop/db', attempt === 1 ? 500 : 5) : (wellControlled(request) ?? silent)))
    assert.equal((await askRound(one, [question])).kind, 'measured')
    assert.equal(one.asked.length, 2)
  })

  it('names a probe that could not be sent', async () => {
    const round = await askRound(prober((request) => wellControlled(request) ?? { kind: 'failed', message: 'no socket' }), [question])
    assert.ok(round.kind === 'unusable')
    assert.match(round.reason, /shop\/web -> shop\/db 10\.0\.0\.2 80\/TCP could not be sent: no socket/)
  })
})
