// What is told of bridges: that inet does not see their packets, and pods whose port is not found.
import assert from 'node:assert/strict'
import { bridgeProblems, BridgedPods } from '../../../src/agent/bridge-filter.ts'
import type { Attachment } from '../../../src/policy/plan.ts'

const told = (four: string | null, six: string | null): readonly string[] =>
  bridgeProblems((file) => (file.endsWith('ip6tables') ? six : four)).map(({ code, object, message }) => `${code} ${object}: ${message}`)

function pod(...by: Attachment['by']): Attachment {
  return { pod: 'pod/web', namespace: 'shop', name: 'web', by, sourcePrefixes: [], ingress: 'open', egress: 'open', closed: false }
}

describe('what is told of bridges', () => {
  it('rule 89: each family by itself, and what to do where the setting is 0 or not there', () => {
    assert.deepEqual(told('1', '1'), [])
    const [four, ...others] = told('0', '1')
    assert.match(four ?? '', /^NotEnforced sysctl net\.bridge\.bridge-nf-call-iptables: it is 0: IPv4 policies .*sysctl -w net\.bridge\.bridge-nf-call-iptables=1\)$/)
    assert.deepEqual(others, [])
    assert.match(told('1', null)[0] ?? '', /bridge-nf-call-ip6tables: it is not there: IPv6 .*modprobe br_netfilter/)
  })

  it('counts pods on a bridge, and tells those without a port until it is found', () => {
    const bridged = new BridgedPods()
    const waiting = pod({ via: 'address', address: '10.0.0.1', port: null })
    const found = pod({ via: 'address', address: '10.0.0.1', port: { index: 7, name: 'p7', mac: '02:00:00:00:00:07', bridge: 'cni0' } })
    assert.equal(bridged.changed(new Map([['pod/web', { before: null, after: pod({ via: 'interface', interface: 'veth1', address: '10.0.0.1' }) }]])), false)
    assert.equal(bridged.size, 0)
    assert.equal(bridged.changed(new Map([['pod/web', { before: null, after: waiting }]])), true)
    assert.deepEqual(bridged.unpinned().map(({ code, object }) => [code, object]), [['NotEnforced', 'Pod shop/web']])
    assert.equal(bridged.changed(new Map([['pod/web', { before: waiting, after: found }]])), false)
    assert.deepEqual([bridged.size, bridged.unpinned()], [1, []])
    bridged.changed(new Map([['pod/web', { before: found, after: null }]]))
    assert.equal(bridged.size, 0)
  })
})
