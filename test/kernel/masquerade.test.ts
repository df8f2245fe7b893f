// Egress masquerade on real packets: what leaves the cluster comes from the node, what stays keeps the pod's address.
//
// **Invariant:** every expectation is asked in both families and over TCP, UDP and SCTP.
import assert from 'node:assert/strict'
import { FAMILIES, type Address, type Family } from '../../src/model/ip.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, egress, EVERY_PROTOCOL, nodeObject, realPod } from '../support/real-objects.ts'

const WEB = realPod('shop/web', 'n1', 1, { app: 'web' })
const FAR = realPod('shop/far', 'n2', 2, { app: 'far' })
/** Outside of every range of nonMasqueradeCIDRs, and within one. */
const WORLD = ['203.0.113.7', '2001:db8::7'] as const
const OFFICE = ['198.51.100.7', '2001:db8:1::7'] as const
const SOURCE: Readonly<Record<Family, Address>> = { 4: '192.0.2.99', 6: '2001:db8:2::99' }
const FLAGS = ['--masquerade', 'picket', '--non-masquerade-cidrs', '198.51.100.0/24,2001:db8:1::/48']

for (const attachment of ['veth', 'bridge'] as const) describe(`egress masquerade, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [WEB, FAR], attachment, flags: FLAGS, outsideAddresses: [...WORLD, ...OFFICE] })
    lab.put(...lab.testbed.nodes.map((node) => nodeObject(node.name, node.addresses, ['10.88.0.0/16', 'fd00:88::/64'])))
    await lab.settle()
  })
  after(() => lab.close())

  const at = (pair: readonly Address[], family: Family): Address => pair[family === 4 ? 0 : 1] as Address

  /** The source that the other end saw, of each protocol; `-` where nothing came. */
  async function seen(from: string, address: Address): Promise<readonly string[]> {
    const results = await lab.testbed.probe(EVERY_PROTOCOL.map((protocol) => ({ from: lab.source(from), address, protocol, port: 8080 })), 900)
    return [...new Set(results.map((result) => (result.kind === 'answered' ? result.source : '-')))]
  }

  before(() => lab.testbed.serve({ kind: 'outside' }, EVERY_PROTOCOL.map((protocol) => ({ protocol, port: 8080 }))))

  it('what leaves the cluster comes from the node', async () => {
    for (const family of FAMILIES) assert.deepEqual(await seen('shop/web', at(WORLD, family)), [lab.nodeAddress('n1', family)])
  })

  it('to nonMasqueradeCIDRs, pods of other nodes, nodes, and from the node itself it keeps its address', async () => {
    for (const family of FAMILIES) {
      const own = lab.addressOf('shop/web', family)
      assert.deepEqual(await seen('shop/web', at(OFFICE, family)), [own])
      assert.deepEqual(await seen('shop/web', lab.addressOf('shop/far', family)), [own])
      assert.deepEqual(await seen('n1', at(WORLD, family)), [lab.nodeAddress('n1', family)])
      assert.deepEqual(await seen('outside', lab.addressOf('shop/web', family)), [lab.addressOf('outside', family)])
    }
  })

  it('policy judges before: what it denies does not leave, by whatever address', async () => {
    await lab.policies(denyAll('shop'), egress('shop/out', { app: 'web' }, { to: FAMILIES.map((family) => ({ ipBlock: { cidr: family === 4 ? '192.168.0.0/16' : 'fd00::/8' } })) }))
    for (const family of FAMILIES) assert.deepEqual(await seen('shop/web', at(WORLD, family)), ['-'])
    await lab.policies()
  })

  it('a Node with an address for it of its own: picket.dev/egress-source; without it again from the node', async () => {
    const [n1] = lab.testbed.nodes
    assert.ok(n1 !== undefined)
    for (const family of FAMILIES) {
      lab.run('n1', ['ip', 'addr', 'add', `${SOURCE[family]}/${family === 4 ? 32 : 128}`, 'dev', 'lo'])
      lab.run('outside', ['ip', 'route', 'add', `${SOURCE[family]}/${family === 4 ? 32 : 128}`, 'via', lab.nodeAddress('n1', family)])
    }
    const object = nodeObject('n1', n1.addresses, ['10.88.0.0/16', 'fd00:88::/64'])
    lab.put({ ...object, metadata: { ...object.metadata, annotations: { 'picket.dev/egress-source': Object.values(SOURCE).join(',') } } })
    await lab.settle()
    for (const family of FAMILIES) assert.deepEqual(await seen('shop/web', at(WORLD, family)), [SOURCE[family]])
    lab.put(object)
    await lab.settle()
    for (const family of FAMILIES) assert.deepEqual(await seen('shop/web', at(WORLD, family)), [lab.nodeAddress('n1', family)])
  })

  it('a connection goes on while Nodes and ranges change', async () => {
    const flow = await lab.testbed.openFlow(lab.source('shop/web'), WORLD[0], 'TCP', 8080, { packetsPerSecond: 200 })
    for (let round = 0; round < 5; round++) {
      lab.put(nodeObject(`x${round}`, [`192.168.70.${round + 1}`], [`10.${100 + round}.0.0/24`]))
      await lab.settle()
    }
    const { lost, broken } = await flow.stop()
    assert.deepEqual([lost, broken], [0, null])
  })
})
