// Which UDP ports of Services are looked at after a change, and whose entries stay: case by case, and against conntrack played
// through (a port is looked at whenever an entry that was right before the change is to go after it).
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { keptOf, udpChanges, type KeptPort, type UdpEndpoint, type UdpPort } from '../../../src/nat/stale.ts'

const FAMILIES = [
  { vip: '10.96.0.10', pods: ['10.1.0.1', '10.1.0.2', '10.1.0.3'] },
  { vip: 'fd00:96::10', pods: ['fd00:1::1', 'fd00:1::2', 'fd00:1::3'] },
] as const

for (const { vip, pods } of FAMILIES) describe(`stale: ports that are looked at (${vip})`, () => {
  const [a, b] = pods
  const endpoint = (address: string, serving = true, port = 53): UdpEndpoint => ({ address, port, serving })
  const dns = (...endpoints: readonly UdpEndpoint[]): readonly UdpPort[] => [{ address: vip, port: 53, endpoints }]
  /** Whose entries stay, of each port that is looked at. */
  const kept = (before: readonly UdpPort[], after: readonly UdpPort[]): readonly string[] =>
    dueAfter(before, after).map((look) => `${look.isServed ? 'served' : 'unserved'}: ${look.keeps.map(({ address, port }) => `${address} ${port}`).join(', ')}`)

  it('one that is new: somebody may have called it before', () => {
    assert.deepEqual(kept([], dns(endpoint(a))), [`served: ${a} 53`])
    assert.deepEqual(kept([], dns()), ['unserved: '])
  })
  it('one that was served by nobody', () => {
    assert.deepEqual(kept(dns(), dns(endpoint(a))), [`served: ${a} 53`])
    assert.deepEqual(kept(dns(endpoint(a, false)), dns(endpoint(a))), [`served: ${a} 53`])
  })
  it('one that lost somebody, by address, port or condition', () => {
    assert.deepEqual(kept(dns(endpoint(a), endpoint(b)), dns(endpoint(b))), [`served: ${b} 53`])
    assert.deepEqual(kept(dns(endpoint(a)), dns(endpoint(a, true, 5353))), [`served: ${a} 5353`])
    assert.deepEqual(kept(dns(endpoint(a), endpoint(b)), dns(endpoint(a, false), endpoint(b))), [`served: ${b} 53`])
  })
  it('not one that only won somebody, nor one that nothing happened to, nor one that is gone', () => {
    assert.deepEqual(kept(dns(endpoint(a)), dns(endpoint(b), endpoint(a))), [])
    assert.deepEqual(kept(dns(endpoint(a)), dns(endpoint(a))), [])
    assert.deepEqual(kept(dns(endpoint(a)), []), [])
  })
  it('one that only won somebody is told all the same: entries that lead there are none of an earlier state', () => {
    const told = (before: readonly UdpPort[], after: readonly UdpPort[]) => udpChanges(before, after).map(({ isDue, keeps }) => [isDue, keeps.length])
    assert.deepEqual(told(dns(endpoint(a)), dns(endpoint(b), endpoint(a))), [[false, 2]])
    assert.deepEqual(told(dns(endpoint(a)), dns(endpoint(a), endpoint(b, false))), [])
    assert.deepEqual(told(dns(endpoint(a, false)), dns(endpoint(b, false), endpoint(a, false))), [[false, 2]])
  })
  it('one that nobody serves any more is told all the same: entries that nobody translated stay from now on', () => {
    const told = (before: readonly UdpPort[], after: readonly UdpPort[]) => udpChanges(before, after).map(({ isDue, isServed, keeps }) => [isDue, isServed, keeps.length])
    assert.deepEqual(told(dns(endpoint(a)), dns(endpoint(a, false))), [[false, false, 1]])
    assert.deepEqual(told(dns(endpoint(a), endpoint(b)), dns(endpoint(b, false), endpoint(a, false))), [[false, false, 2]])
    assert.deepEqual(told(dns(endpoint(a, false)), dns(endpoint(a, false))), [])
  })
  it('its last endpoint keeps its clients while it does not serve, until another serves or it is gone (rule 95)', () => {
    assert.deepEqual(kept(dns(endpoint(a)), dns(endpoint(a, false))), [])
    assert.deepEqual(kept(dns(endpoint(a, false)), dns(endpoint(a, false), endpoint(b))), [`served: ${b} 53`])
    assert.deepEqual(kept(dns(endpoint(a, false)), dns()), ['unserved: '])
    assert.deepEqual(kept(dns(endpoint(a), endpoint(b, false)), dns(endpoint(b, false))), [`unserved: ${b} 53`])
  })
})

const dueAfter = (before: readonly UdpPort[], after: readonly UdpPort[]): readonly KeptPort[] => udpChanges(before, after).filter(({ isDue }) => isDue)

describe('stale: ports that are looked at', () => {
  it('whenever an entry that was right goes: none is left behind by any history', () => {
    const [{ vip, pods }] = FAMILIES
    const state = fc.option(fc.subarray([...pods]).chain((listed) => fc.tuple(...listed.map((address) => fc.boolean().map((serving) => ({ address, port: 53, serving }))))))
    const staysBy = (look: KeptPort, to: string): boolean => look.keeps.some(({ address }) => address === to) || (!look.isServed && to === vip)
    fc.assert(
      fc.property(fc.array(state, { minLength: 1, maxLength: 8 }), (states) => {
        // Clients of everybody who can be reached in a state: who serves, or the address itself while nobody does.
        let held = new Set<string>([vip, ...pods])
        let before: readonly UdpPort[] = []
        for (const endpoints of states) {
          const after: readonly UdpPort[] = endpoints === null ? [] : [{ address: vip, port: 53, endpoints }]
          for (const look of dueAfter(before, after)) held = new Set([...held].filter((to) => staysBy(look, to)))
          const [port] = after
          if (port === undefined) held = new Set([vip, ...pods])
          else {
            for (const to of held) assert.ok(staysBy(keptOf(port), to), `an entry to ${to} is left behind`)
            for (const { address } of port.endpoints.filter(({ serving }) => serving)) held.add(address)
          }
          before = after
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
