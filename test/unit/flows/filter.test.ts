// Filters of records: each name alone against an oracle of one line, together, inverted, and what is refused.
//
// **Invariant:** the oracle shares no line with src/flows: it reads values by other means.
import assert from 'node:assert/strict'
import { FilterError, matches, parseFilter } from '../../../src/flows/filter.ts'
import type { FlowEnd, FlowRecord } from '../../../src/flows/record.ts'
import { agentRecord, allowedRecord, flowRecord, lostRecord, OUTSIDE, randomFlow } from '../../support/flow-records.ts'
import { bitString } from '../../support/oracle-address.ts'
import { randomFrom, type Random } from '../../support/random.ts'

const filterOf = (query: string) => parseFilter(new URLSearchParams(query))
const isShown = (query: string, record: FlowRecord = flowRecord()): boolean => matches(filterOf(query), record)

/** A wildcard as a regular expression. */
const like = (pattern: string, text: string | null | undefined): boolean =>
  typeof text === 'string' && new RegExp(`^${pattern.replaceAll('.', String.raw`\.`).replace(/\*$/, '.*')}$`).test(text)
const named = (value: string, namespace: string | null | undefined, name: string | null | undefined): boolean =>
  value.includes('/') ? like(value.slice(0, value.indexOf('/')), namespace) && like(value.slice(value.indexOf('/') + 1), name) : like(value, name)
const isPod = (value: string, end: FlowEnd): boolean => end.kind === 'pod' && named(value, end.namespace, end.pod)

function inside(value: string, address: string | null | undefined): boolean {
  const [base = '', length] = value.split('/')
  const bits = bitString(base) ?? ''
  return typeof address === 'string' && (base.includes(':') === address.includes(':')) && (bitString(address) ?? '').startsWith(bits.slice(0, length === undefined ? 128 : Number(length)))
}

function hasPort(value: string, { l4, destination }: FlowRecord): boolean {
  const [port = '', protocol] = value.split('/')
  return (protocol === undefined || protocol.toUpperCase() === l4.protocol) && (port === '' || [l4.source_port, l4.destination_port, destination.service?.port].map(String).includes(port))
}

/** Of each name: some values, and whether one of them is of a record. */
const ORACLE: Readonly<Record<string, readonly [values: readonly string[], test: (value: string, record: FlowRecord) => boolean]>> = {
  pod: [['shop/web', 'shop/web*', 'web', 'web-*', 'sh*/api', 'pay/*', '*/web-6d', '*'], (value, { source, destination }) => isPod(value, source) || isPod(value, destination)],
  'from-pod': [['shop/web', 'web*', 'pay/*'], (value, { source }) => isPod(value, source)],
  'to-pod': [['shop/web', 'web*', 'pay/*'], (value, { destination }) => isPod(value, destination)],
  'from-ns': [['shop', 'shop*', 'pay'], (value, { source }) => like(value, source.namespace)],
  'to-ns': [['shop', 'shop*', 'pay'], (value, { destination }) => like(value, destination.namespace)],
  namespace: [['shop', 'shop-*', 'pay'], (value, { source, destination }) => like(value, source.namespace) || like(value, destination.namespace)],
  service: [['pay/api', 'api', 'w*', 'shop/*'], (value, { destination: { service } }) => named(value, service?.namespace, service?.name)],
  ip: [['10.0.0.1', '10.0.0.0/24', '0.0.0.0/0', 'fd00::1', 'fd00::/112', '::/0', '10.0.0.0/31'], (value, { ip, destination }) => [ip.source, ip.destination, destination.service?.cluster_ip].some((address) => inside(value, address))],
  port: [['80', '80/tcp', '443/udp', '/sctp', '/icmp', '57050/tcp'], hasPort],
  verdict: [['FORWARDED', 'dropped'], (value, { verdict }) => verdict === value.toUpperCase()],
  reason: [['POLICY_ALLOW', 'policy_denied', 'CUT'], (value, { reason }) => reason === value.toUpperCase()],
  direction: [['ingress', 'EGRESS'], (value, { direction }) => direction === value.toLowerCase()],
  policy: [['pay/deny', 'deny', 'deny*', 'shop/web'], (value, { policy, also, isolated_by: isolating, nearest_miss: nearest }) =>
    [policy, ...also, ...(isolating?.policies ?? []), nearest?.policy].some((one) => named(value, one?.namespace, one?.name))],
  node: [['node-a', 'node-*', 'node-c'], (value, { node }) => like(value, node)],
}

function some(random: Random, values: readonly string[]): readonly string[] {
  const taken = values.filter(() => random() < 0.3)
  return taken.length > 0 ? taken : [values[Math.floor(random() * values.length)] as string]
}

describe('a filter of records', () => {
  for (const [name, [values, test]] of Object.entries(ORACLE)) {
    it(`${name}: each value is true of what the oracle says, and inverted of the rest`, () => {
      const random = randomFrom(8)
      const records = Array.from({ length: 400 }, () => randomFlow(random))
      for (const value of values) {
        const query = new URLSearchParams([[name, value]])
        const not = new URLSearchParams([['not', `${name}=${value}`]])
        for (const record of records) {
          assert.equal(matches(parseFilter(query), record), test(value, record), `${value} ${JSON.stringify(record)}`)
          assert.equal(matches(parseFilter(not), record), !test(value, record), `not ${value} ${JSON.stringify(record)}`)
        }
      }
    })
  }

  it('of several names: values are alternatives, names must all match, what is inverted must not', () => {
    const random = randomFrom(88)
    let shown = 0
    for (let round = 0; round < 3000; round += 1) {
      const record = randomFlow(random)
      const names = Object.keys(ORACLE).filter((name) => name !== 'namespace' && random() < 0.12)
      const inverted = Object.keys(ORACLE).filter(() => random() < 0.08)
      const query = new URLSearchParams()
      const expected: boolean[] = []
      const add = (name: string, isInverted: boolean): void => {
        const [values, test] = ORACLE[name] as (typeof ORACLE)[string]
        const taken = some(random, values)
        // In a list, or repeated.
        if (isInverted) query.append('not', `${name}=${taken.join(',')}`)
        else if (random() < 0.5) query.append(name, taken.join(','))
        else for (const value of taken) query.append(name, value)
        expected.push(taken.some((value) => test(value, record)) !== isInverted)
      }
      for (const name of names) add(name, false)
      for (const name of inverted) add(name, true)
      const is = matches(parseFilter(query), record)
      assert.equal(is, expected.every(Boolean), `${query.toString()} ${JSON.stringify(record)}`)
      if (is) shown += 1
    }
    assert.ok(shown > 300 && shown < 2700, `${shown} of 3000`)
  })

  it('a name without a namespace is of the namespaces that are asked for', () => {
    assert.ok(isShown('pod=web-6d'))
    assert.ok(isShown('pod=web-6d&namespace=shop'))
    assert.ok(!isShown('pod=web-6d&namespace=pay'), 'the record is of pay, too, its web-6d is not')
    assert.ok(isShown('pod=shop/web-6d&namespace=pay'))
    assert.ok(isShown('policy=default-deny&namespace=pay'))
    assert.ok(!isShown('policy=default-deny&namespace=shop'))
    assert.ok(!isShown('namespace=shop&not=pod=web-6d'))
    assert.ok(isShown('namespace=pay&not=pod=web-6d'), 'inverted, too: pay has no web-6d')
  })

  it('a Service that has no endpoint is called in its namespace', () => {
    const record = allowedRecord({ reason: 'NO_ENDPOINT', destination: { ...OUTSIDE, kind: 'service', service: { namespace: 'pay', name: 'api', port: 80, cluster_ip: '10.96.0.20' } } })
    assert.ok(isShown('to-ns=pay', record) && isShown('namespace=pay', record) && isShown('service=pay/api', record))
    assert.ok(!isShown('to-ns=shop', record))
  })

  it('lost records and those of agents are held back by nothing but the node', () => {
    for (const record of [lostRecord(), agentRecord()]) {
      assert.ok(matches(filterOf('pod=no/body&verdict=FORWARDED&not=ip=0.0.0.0/0'), record))
      assert.ok(matches(filterOf('node=node-*'), record))
      assert.ok(!matches(filterOf('node=node-b'), record))
      assert.ok(!matches(filterOf('not=node=node-a'), record))
    }
  })

  it('refuses a wrong value with the parameter, what was found and what was expected', () => {
    const refusals: readonly (readonly [query: string, message: RegExp])[] = [
      ['pod=Shop/Web', /^pod: found "Shop\/Web", expected NAMESPACE\/NAME or NAME/],
      ['pod=a/b/c', /^pod: found "a\/b\/c"/],
      ['to-pod=we*b', /^to-pod: found "we\*b"/],
      ['from-pod=/web', /^from-pod: found "\/web"/],
      ['service=pay/svc/api', /^service: found/],
      ['from-ns=a/b', /^from-ns: found "a\/b", expected a name/],
      [`to-ns=${'a'.repeat(254)}`, /^to-ns: found/],
      ['ip=10.0.0', /^ip: found "10\.0\.0", expected an address or a CIDR/],
      ['ip=10.0.0.1/33', /^ip: found/],
      ['port=0', /^port: found "0", expected PORT\/PROTOCOL/],
      ['port=65536/tcp', /^port: found/],
      ['port=80/http', /^port: found/],
      ['port=80/icmp', /^port: found/],
      ['port=/', /^port: found/],
      ['port=80-90', /^port: found/],
      ['verdict=DENIED', /^verdict: found "DENIED", expected one of FORWARDED, DROPPED$/],
      ['reason=POLICY', /^reason: found "POLICY", expected one of POLICY_ALLOW, /],
      ['direction=in', /^direction: found "in", expected one of ingress, egress$/],
      ['node=%1b[2Jx', /^node: found "\\u\{1b\}\[2Jx"/],
      ['verdict=', /^verdict: found "", expected a value/],
      ['pod=web,,api', /^pod: found "web,,api", expected a value, or several/],
      ['not=web', /^not: found "web", expected NAME=VALUE/],
      ['not=not=verdict=DROPPED', /^not: found/],
      ['not=pod=', /^pod: found ""/],
      ['not=verdict=NO', /^verdict: found "NO"/],
      ['colour=red', /^colour: no such parameter; expected one of pod, .*, not$/],
      ['%1b[2J=red', /^\\u\{1b\}\[2J: no such parameter/],
    ]
    for (const [query, message] of refusals) assert.throws(() => filterOf(query), (error) => error instanceof FilterError && error.exit === 2 && message.test(error.message) && !error.message.includes('\u001b'), query)
  })

  it('leaves alone what stands beside the filters', () => {
    assert.ok(matches(parseFilter(new URLSearchParams('follow=1&verdict=DROPPED'), ['follow']), flowRecord()))
    assert.throws(() => parseFilter(new URLSearchParams('fellow=1'), ['follow']), /fellow: no such parameter; expected one of .*, follow$/)
  })

  it('takes a record of a file as it is, also where an address in it is none', () => {
    assert.ok(!isShown('ip=10.0.0.0/8', flowRecord({ ip: { source: 'x', destination: '', family: 4 } })))
  })
})
