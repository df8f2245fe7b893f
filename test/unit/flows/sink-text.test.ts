// Sinks as texts: what each says, its defaults, and what is refused with which words.
import assert from 'node:assert/strict'
import { matches } from '../../../src/flows/filter.ts'
import { parseSink, parseSinks, SinkError, sinkName } from '../../../src/flows/sink-text.ts'
import { allowedRecord, flowRecord } from '../../support/flow-records.ts'

const withoutFilter = (text: string): unknown => ({ ...parseSink(text), filter: undefined })

describe('texts of sinks', () => {
  it('say where, how, and by which defaults', () => {
    assert.deepEqual(withoutFilter('stdout'), { kind: 'stdout', filter: undefined })
    const file = { kind: 'file', file: '/var/log/picket/audit.log', maxSize: 104_857_600, maxAge: 86_400_000, keep: 5, compress: true, filter: undefined }
    assert.deepEqual(withoutFilter('file:/var/log/picket/audit.log'), file)
    assert.deepEqual(withoutFilter('file:/var/log/picket/audit.log?maxSize=8192&maxAge=1.5h&keep=0&compress=false'), { ...file, maxSize: 8192, maxAge: 5_400_000, keep: 0, compress: false })
    assert.deepEqual(withoutFilter('file:/a%3Fb%20c?maxSize=2Gi'), { ...file, file: '/a?b c', maxSize: 2 ** 31 })
    const syslog = { kind: 'syslog', tls: false, host: 'logs.example', port: 514, ca: null, filter: undefined }
    assert.deepEqual(withoutFilter('syslog+tcp://logs.example:514'), syslog)
    assert.deepEqual(withoutFilter('syslog+tcp://192.0.2.7:601'), { ...syslog, host: '192.0.2.7', port: 601 })
    assert.deepEqual(withoutFilter('syslog+tls://[fd00::5]:6514?ca=/etc/ca.pem'), { ...syslog, tls: true, host: 'fd00::5', port: 6514, ca: '/etc/ca.pem' })
    const otlp = { kind: 'otlp', url: 'https://logs.example:4318/v1/logs', ca: null, filter: undefined }
    assert.deepEqual(withoutFilter('otlp:https://logs.example:4318/v1/logs'), otlp)
    assert.deepEqual(withoutFilter('otlp:https://logs.example:4318?ca=/etc/ca.pem'), { ...otlp, ca: '/etc/ca.pem' })
    assert.deepEqual(withoutFilter('otlp:http://[fd00::5]:4318/a/b'), { ...otlp, url: 'http://[fd00::5]:4318/a/b' })
  })
  it('have a filter each, written in parts, or as one', () => {
    for (const text of ['stdout?filter=verdict=DROPPED&filter=not=port=443', 'stdout?filter=verdict%3DDROPPED%26not%3Dport%3D443']) {
      const { filter } = parseSink(text)
      const l4 = flowRecord().l4
      assert.deepEqual([flowRecord(), allowedRecord(), flowRecord({ l4: { ...l4, destination_port: 443 } })].map((record) => matches(filter, record)), [true, false, false], text)
    }
    assert.equal(matches(parseSink('file:/a?keep=1').filter, allowedRecord()), true)
  })
  it('name each sink', () => {
    assert.deepEqual(['stdout', 'file:/a/b?keep=1', 'syslog+tls://[fd00::5]:6514', 'syslog+tcp://h:1', 'otlp:https://h:4318/v1/logs?ca=/a'].map((text) => sinkName(parseSink(text))), ['stdout', 'file /a/b', 'syslog tls://[fd00::5]:6514', 'syslog tcp://h:1', 'otlp https://h:4318/v1/logs'])
  })
  it('are refused with their own words, the parameter, and what was expected', () => {
    const refused: readonly (readonly [string, RegExp])[] = [
      ['', /^: no such sink; expected stdout, file:PATH, syslog\+tcp:\/\/HOST:PORT, syslog\+tls:\/\/HOST:PORT or otlp:URL$/],
      ['stdout:', /no such sink/], ['syslog://h:1', /no such sink/], ['syslog+udp://h:1', /^syslog\+udp:\/\/h:1: no such sink/], ['https://h', /no such sink/],
      ['stdout?keep=3', /^stdout\?keep=3: keep: no such parameter; expected one of filter$/],
      ['file:/a?maxsize=3', /^file:\/a\?maxsize=\*\*\*: maxsize: no such parameter; expected one of maxSize, maxAge, keep, compress, filter$/],
      ['file:/a?keep=3&keep=4', /keep: found more than once, expected one value$/],
      ['file:audit.log', /found "audit.log", expected file: with an absolute path/], ['file:/', /absolute path/], ['file:/a/', /absolute path/], ['file:/a/../b', /absolute path/], ['file:/../b', /absolute path/], ['file:/a//b', /absolute path/], ['file:/a%00b', /absolute path/], ['file:/a%1b[31m', /absolute path/], ['file:/%ff', /absolute path/],
      ['file:/a?maxSize=8191', /maxSize: found "8191", expected a size from 8Ki to 1Ti, such as 100Mi$/], ['file:/a?maxSize=2Ti', /maxSize/], ['file:/a?maxSize=100MB', /maxSize/], ['file:/a?maxSize=', /maxSize: found ""/],
      ['file:/a?maxAge=1d', /maxAge: found "1d", expected a duration up to 596h, such as 24h$/], ['file:/a?maxAge=597h', /maxAge/],
      ['file:/a?keep=-1', /keep: found "-1", expected a number from 0 to 1000$/], ['file:/a?keep=1001', /keep/],
      ['file:/a?compress=yes', /compress: found "yes", expected true or false$/],
      ['syslog+tcp://h', /^syslog\+tcp:\/\/h: found "h", expected HOST:PORT, such as logs\.example:6514 or \[fd00::5\]:6514$/], ['syslog+tcp://h:0', /HOST:PORT/], ['syslog+tcp://h:65536', /HOST:PORT/], ['syslog+tcp://fd00::5:1', /HOST:PORT/], ['syslog+tcp://u@h:1', /HOST:PORT/], ['syslog+tcp://h:1/x', /HOST:PORT/],
      ['syslog+tcp://h:1?ca=/a', /ca: no such parameter; expected one of filter$/], ['syslog+tls://h:1?ca=a', /ca: found "a", expected an absolute path/],
      ['otlp:h:4318', /^otlp:h:4318: found "h:4318", expected otlp: with a URL without user and query, such as otlp:https:\/\/collector\.example:4318\/v1\/logs$/],
      ['otlp:', /found ""/], ['otlp:ftp://h/v1/logs', /with a URL/], ['otlp:https://', /with a URL/], ['otlp:https://u:p@h/v1/logs', /with a URL without user/], ['otlp:https://h/#x', /with a URL/], ['otlp:https://h:99999/', /with a URL/], ['otlp:https://h\n/', /with a URL/], ['otlp:https://[fd00::zz]/', /with a URL/], ['otlp:HTTPS://h/', /with a URL/],
      ['otlp:http://h/v1/logs?ca=/a', /ca: no such parameter; expected one of filter$/], ['otlp:https://h/?ca=a', /ca: found "a", expected an absolute path/], ['otlp:https://h/?keep=1', /keep: no such parameter; expected one of ca, filter$/], ['otlp:https://h/?filter=pods=x', /filter: pods: no such parameter/],
      ['stdout?filter=', /^stdout\?filter=: filter: found nothing, expected NAME=VALUE/], ['stdout?filter=pods=x', /^stdout\?filter=pods=x: filter: pods: no such parameter/], ['stdout?filter=verdict=MAYBE', /filter: verdict: found "MAYBE", expected /], ['stdout?filter=follow=1', /filter: follow: no such parameter/],
      ['\u001b[31mstdout', /^\\u\{1b\}\[31mstdout: no such sink/],
    ]
    for (const [text, message] of refused) assert.throws(() => parseSink(text), (error) => error instanceof SinkError && message.test(error.message), text)
  })
  it('are refused without the passwords and tokens that stand in them', () => {
    for (const text of ['otlp:https://u:s3cret@h/v1/logs', 'syslog+tls://u:s3cret@h:1', 'otlp:https://h/v1/logs?token=s3cret', 'otlp:https://h/?ca=/a&token=s3cret&filter=port=1', 'https://s3cret@h']) {
      assert.throws(() => parseSink(text), (error) => error instanceof SinkError && !error.message.includes('s3cret') && error.message.includes('***'), text)
    }
  })
  it('are refused where two are the same place', () => {
    assert.equal(parseSinks(['stdout', 'file:/a', 'file:/b', 'syslog+tcp://h:1', 'syslog+tls://h:1', 'otlp:https://h', 'otlp:http://h']).length, 7)
    assert.throws(() => parseSinks(['otlp:https://h', 'otlp:https://h:443/v1/logs']), /the second sink for otlp https:\/\/h\/v1\/logs/)
    assert.throws(() => parseSinks(['file:/a', 'stdout', 'file:/a?keep=1']), /^SinkError: file:\/a\?keep=1: the second sink for file \/a, expected one; join their filters$/)
  })
})
