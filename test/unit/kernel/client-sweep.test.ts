// Which entries of affinity maps lead to nobody's endpoint, of made-up ones; on the real kernel: test/kernel/client-sweep.test.ts.
import assert from 'node:assert/strict'
import { astray, type ClientSweep } from '../../../src/kernel/client-sweep.ts'
import type { HeldElement } from '../../../src/netlink/set-elements.ts'

const [ONE, TWO] = [0x10000, 0x80020000]

function key(mark: number, client: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(mark)
  bytes.writeUInt32BE(client, 4)
  return bytes
}
const port = (number: number): Buffer => Buffer.of(number >> 8, number & 255, 0, 0)
const four = (n: number): Buffer => Buffer.of(10, 1, 0, n)
const six = (n: number): Buffer => Buffer.concat([Buffer.from('fd10000000000000000000000000', 'hex'), Buffer.of(0, n)])
const held = (of: Buffer, data: Buffer | null): HeldElement => ({ key: of, data, expiresIn: 1_000 })
const valid = (mark: number, address: Buffer, number: number): Buffer => Buffer.concat([key(mark, 0).subarray(0, 4), address, port(number).subarray(0, 2)])
const told = (sweep: ClientSweep, clients: readonly HeldElement[], ports: readonly HeldElement[] = []): readonly string[] =>
  astray(sweep, clients, ports).map((all) => all.map((one) => `${one.set} ${Buffer.from(one.key).readUInt32BE(4)} ${Buffer.from(one.data).toString('hex')}`).join(', '))

describe('entries of affinity maps', () => {
  const v4: ClientSweep = { map: 'a', ports: null, addressLength: 4, judged: [ONE], valid: Buffer.concat([valid(ONE, four(1), 80), valid(TWO, four(2), 80)]) }
  const v6: ClientSweep = { map: 'a', ports: 'p', addressLength: 16, judged: [ONE, TWO], valid: Buffer.concat([valid(ONE, six(1), 80), valid(ONE, six(2), 81), valid(TWO, six(3), 80)]) }

  it('IPv4: go by list, address and port, of the lists that are asked for, or of all', () => {
    const clients = [held(key(ONE, 1), Buffer.concat([four(1), port(80)])), held(key(ONE, 2), Buffer.concat([four(1), port(81)])), held(key(ONE, 3), Buffer.concat([four(2), port(80)])), held(key(TWO, 4), Buffer.concat([four(1), port(80)]))]
    assert.deepEqual(told(v4, clients), ['a 2 0a01000100510000', 'a 3 0a01000200500000'])
    assert.deepEqual(told({ ...v4, judged: null }, clients), ['a 2 0a01000100510000', 'a 3 0a01000200500000', 'a 4 0a01000100500000'])
    assert.deepEqual(told({ ...v4, judged: [] }, clients), [])
  })
  it('IPv6: go with their port, of another map; of two lists each has its own', () => {
    const clients = [1, 2, 3].flatMap((n) => [held(key(ONE, n), six(n)), held(key(TWO, n), six(n))])
    const ports = [1, 2, 3].flatMap((n) => [held(key(ONE, n), port(80)), held(key(TWO, n), port(80))])
    const both = (n: number): string => `a ${n} ${six(n).toString('hex')}, p ${n} 00500000`
    assert.deepEqual(told(v6, clients, ports), [both(1), both(2), both(2), both(3)].sort((x, y) => Number(x[2]) - Number(y[2])))
    assert.deepEqual(told({ ...v6, judged: [TWO] }, clients, ports), [both(1), both(2)])
  })
  it('IPv6: one whose port has not come yet stays where its address is valid; a port without an address goes', () => {
    assert.deepEqual(told(v6, [held(key(ONE, 1), six(1)), held(key(ONE, 2), six(9)), held(key(TWO, 3), six(1))]), [`a 2 ${six(9).toString('hex')}`, `a 3 ${six(1).toString('hex')}`])
    assert.deepEqual(told(v6, [], [held(key(ONE, 7), port(80)), held(key(0x30000, 8), port(80))]), ['p 7 00500000'])
  })
  it('what leads nowhere at all is left alone', () => assert.deepEqual(told({ ...v4, judged: null }, [held(key(ONE, 1), null)]), []))
})
