// The options that commands share: what their parsers take and refuse, and plain tables.
//
// **Invariant:** what is refused is refused with a sentence that says what was expected.
import assert from 'node:assert/strict'
import { Command } from 'commander'
import { attachmentOption } from '../../../src/cli/lab-options.ts'
import { durationArgument, formatPort, parsePort } from '../../../src/cli/options.ts'
import { formatTable } from '../../../src/cli/output.ts'

describe('--port', () => {
  it('takes a port, a protocol, or both', () => {
    assert.deepEqual(parsePort('80/tcp'), { protocol: 'TCP', port: 80 })
    assert.deepEqual(parsePort('80'), { protocol: null, port: 80 })
    assert.deepEqual(parsePort('/udp'), { protocol: 'UDP', port: null })
    assert.deepEqual(parsePort('65535/SCTP'), { protocol: 'SCTP', port: 65535 })
  })
  it('refuses the rest', () => {
    for (const text of ['', '/', 'tcp', '0/tcp', '65536', '80/', '80/icmp', '80-90/tcp', ' 80', '-1', '8o', '80/constructor']) {
      assert.throws(() => parsePort(text), /expected PORT\/PROTOCOL/, text)
    }
  })
  it('is written as it was read', () => {
    for (const text of ['80/tcp', '80', '/sctp']) assert.equal(formatPort(parsePort(text)), text)
  })
})

describe('--timeout', () => {
  it('takes durations', () => assert.equal(durationArgument('2m'), 120_000))
  it('refuses the rest', () => assert.throws(() => durationArgument('2'), /expected a duration/))
})

describe('--attachment', () => {
  const parsed = (...args: readonly string[]): unknown => new Command().exitOverride().configureOutput({ writeErr: () => {} }).addOption(attachmentOption()).parse(args, { from: 'user' }).opts()['attachment']
  it('takes veth and bridge, and is veth by itself', () => {
    assert.deepEqual([parsed(), parsed('--attachment', 'bridge'), parsed('--attachment', 'veth')], ['veth', 'bridge', 'veth'])
  })
  it('refuses the rest', () => assert.throws(() => parsed('--attachment', 'tap'), /Allowed choices are veth, bridge/))
})

describe('tables', () => {
  it('are plain columns without trailing blanks', () => {
    assert.equal(formatTable(['name', 'n'], [['a', 1], ['longer', 22]]), 'NAME     N\na        1\nlonger   22')
  })
  it('are a line of headers where there are no rows', () => assert.equal(formatTable(['name', 'n'], []), 'NAME   N'))
})
