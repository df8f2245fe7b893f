// How an answer looks: said once what is the same, hostile names made harmless, and not more than people read.
import assert from 'node:assert/strict'
import { answerText } from '../../../src/cli/explain-text.ts'
import type { Answer, Flow, Half, Miss } from '../../../src/explain/answer.ts'

const OPEN: Half = { kind: 'not-isolated', text: 'no policy isolates it' }

function flow(family: 4 | 6, name: string, ingress: Half): Flow {
  const address = family === 4 ? '10.1.0.2' : 'fd00:1::2'
  const leg = { verdict: ingress.kind === 'denied' ? ('denied' as const) : ('allowed' as const), destination: { kind: 'pod' as const, name, address, node: 'n1' }, port: 80, seenAs: address, egress: OPEN, ingress }
  return { verdict: leg.verdict, family, source: address, sourceNode: 'n1', called: address, protocol: 'TCP', ports: { first: 80, last: 80 }, service: null, legs: [leg] }
}

function textOf(name: string, ingress: Half): string {
  const answer: Answer = { verdict: ingress.kind === 'denied' ? 'denied' : 'allowed', from: name, to: name, flows: [flow(4, name, ingress), flow(6, name, ingress)], problems: [{ code: 'InvalidField', severity: 'error', object: `Pod ${name}`, message: name }] }
  return answerText(answer, '80/tcp', null)
}

const miss = (index: number): Miss => ({ rule: { namespace: 'shop', name: 'web', direction: 'ingress', index, text: 'from nobody; every port' }, why: [{ kind: 'nobody', text: `reason ${index}` }] })

describe('the answer of picket explain, for people', () => {
  it('says what is the same of both families once', () => assert.equal(textOf('shop/web', OPEN).match(/ingress/g)?.length, 1))

  it('says whom the destination sees, where that is somebody else, and what the node says', () => {
    const programmed = { node: 'n1', state: 'not-asked' as const, text: 'node n1: not asked' }
    const [one] = [flow(4, 'shop/web', { ...OPEN, programmed })]
    const flows = [{ ...one, called: '10.96.0.1', legs: one.legs.map((leg) => ({ ...leg, seenAs: '192.168.1.1' })) }]
    assert.equal(answerText({ verdict: 'allowed', from: 'a', to: 'b', flows, problems: [] }, '80/tcp', null), [
      'a -> b on 80/tcp: ALLOWED', '', '10.1.0.2 -> 10.96.0.1:80/TCP -> 10.1.0.2:80 (shop/web), which sees 192.168.1.1: allowed',
      '  egress   no policy isolates it', '  ingress  no policy isolates it', '    node n1: not asked',
    ].join('\n'))
  })

  it('says once of both families what the rule let pass, and what the pod was denied', () => {
    const programmed = { node: 'n1', state: 'programmed' as const, text: 'programmed on node n1' }
    const by = { namespace: 'shop', name: 'web', direction: 'ingress' as const, index: 0, text: 'from everybody' }
    const passed: Half = { kind: 'allowed', text: 'allowed by shop/web', by, also: [], isolatedBy: [], counted: { packets: 1, bytes: 60 }, programmed }
    assert.deepEqual(textOf('shop/web', passed).match(/^ +counted.*$/gm), ['    counted: this rule let pass 1 packet (60 bytes) on node n1'])
    const denied: Half = { kind: 'denied', text: 'no', isolatedBy: [], nearest: [], counted: { packets: 2, bytes: 80 } }
    assert.deepEqual(textOf('shop/web', denied).match(/^ +counted.*$/gm), ['    counted: 2 packets (80 bytes) of this pod were denied'])
  })

  it('says once what is the same of many endpoints, and of their nodes those first that are not as they should be', () => {
    const legs = ['n1', 'n2', 'n3', 'n4', 'n5'].map((node) => {
      const state = node === 'n4' ? ('not-yet' as const) : ('programmed' as const)
      const [one] = [flow(4, `shop/${node}`, { ...OPEN, programmed: { node, state, text: `${state} on ${node}` } }).legs[0]]
      return one
    })
    const text = answerText({ verdict: 'allowed', from: 'a', to: 'b', flows: [{ ...flow(4, 'x', OPEN), legs: legs.flatMap((leg) => leg ?? []) }], problems: [] }, '80/tcp', null)
    assert.match(text, /\(shop\/n5\): allowed\n {2}egress {3}no policy isolates it\n {2}ingress {2}no policy isolates it\n {4}not-yet on n4\n {4}programmed on n1\n {4}programmed on n2\n {4}and 2 more nodes \(-o json\)$/)
    assert.equal(text.match(/ingress/g)?.length, 1)
  })

  it('lets nothing through that a terminal obeys', () => {
    const hostile = 'shop/\u001b[31mweb\u0007\u202e'
    const text = textOf(hostile, { kind: 'denied', text: hostile, isolatedBy: [{ namespace: 'shop', name: hostile }, { namespace: 'shop', name: hostile }], nearest: [{ ...miss(0), why: [{ kind: 'port', text: hostile }] }] })
    assert.match(text, /\\u\{1b\}\[31mweb/)
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f\u202e]/)
  })

  it('shows the three nearest rules, and says how many more there are', () => {
    const text = textOf('shop/web', { kind: 'denied', text: 'isolated', isolatedBy: [], nearest: [0, 1, 2, 3, 4].map(miss) })
    assert.match(text, /reason 2\n {4}and 2 more rules \(-o json\)/)
    assert.doesNotMatch(text, /reason 3/)
  })
})
