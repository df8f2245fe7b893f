// Policy behind the Service NAT, on two nodes and real packets: the node where a packet enters translates and judges, and the one
// where the endpoint is judges what comes. Between them are routes, or a VXLAN.
//
// Services have one endpoint each, so that every probe is about one way. **Invariant:** every expectation is asked in both families,
// by every kind of address that the Service has.
import assert from 'node:assert/strict'
import { FAMILIES, type Address, type Family } from '../../src/model/ip.ts'
import type { ProbeRequest, ProbeResult } from '../../src/lab/testbed.ts'
import { layOverlay, tunnelAddress } from '../support/overlay.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, egress, EVERY_PROTOCOL, ingress, realPod, type PlainObject } from '../support/real-objects.ts'
import { attachments } from '../support/sample.ts'
import { nodePortOf, serviceObject, sliceObjects } from '../support/service-objects.ts'
import { WireWatch } from '../support/real-wire.ts'

const HERE = realPod('shop/here', 'n1', 1, { app: 'server', at: 'n1' })
const THERE = realPod('shop/there', 'n2', 2, { app: 'server' })
const CLIENT = realPod('shop/client', 'n1', 3, { app: 'client' })
const OTHER = realPod('shop/other', 'n1', 4, { app: 'other' })
const PODS = [HERE, THERE, CLIENT, OTHER]
const FLAGS = ['--service-proxy', 'picket', '--service-cidrs', '10.96.0.0/16,fd00:96::/112']

/** Service -> its number, which is in all of its addresses. */
const NUMBERS = { here: 10, there: 11, keeps: 12, both: 13, 'host-there': 14, 'host-here': 15 } as const
type Name = keyof typeof NUMBERS
/** What the first node translates; `node port of n2` is asked of the second. */
const KINDS = ['cluster', 'node port', 'balancer', 'external'] as const
type Kind = (typeof KINDS)[number] | 'node port of n2'
const FROM_OUTSIDE: readonly Kind[] = ['node port', 'balancer', 'external']
/** Silence is waited for. */
const DEADLINE_MS = 700
/** Where each host of the lab listens. */
const HOST_PORT = 7061

function addressOf(lab: RealCluster, name: Name, kind: Kind, family: Family): Address {
  const number = NUMBERS[name]
  const end = family === 4 ? String(number) : number.toString(16)
  switch (kind) {
    case 'cluster': return `${family === 4 ? '10.96.0.' : 'fd00:96::'}${end}`
    case 'node port': return lab.nodeAddress('n1', family)
    case 'node port of n2': return lab.nodeAddress('n2', family)
    case 'balancer': return `${family === 4 ? '203.0.113.' : 'fd00:203::'}${end}`
    case 'external': return `${family === 4 ? '198.51.100.' : 'fd00:198::'}${end}`
  }
}

function serviceOf(lab: RealCluster, name: Name, spec: Readonly<Record<string, unknown>> = {}): PlainObject {
  const of = (kind: Kind): readonly Address[] => FAMILIES.map((family) => addressOf(lab, name, kind, family))
  return serviceObject(`shop/${name}`, NUMBERS[name], { type: 'LoadBalancer', externalIPs: of('external'), ...spec }, { loadBalancer: { ingress: of('balancer').map((ip) => ({ ip })) } })
}

/** Whose endpoint is a node itself: an API server, or another pod on the host network. */
function hostService(lab: RealCluster, name: Name, node: string): readonly PlainObject[] {
  const pod = realPod(`shop/${name}`, node, 0, null, { addresses: FAMILIES.map((family) => lab.nodeAddress(node, family)) })
  const slices = sliceObjects(`shop/${name}`, [pod]).map((slice) => ({ ...slice, ports: (slice['ports'] as readonly object[]).map((one) => ({ ...one, port: HOST_PORT })) }))
  return [serviceOf(lab, name), ...slices]
}

const peer = (app: string) => ({ podSelector: { matchLabels: { app } } })
const blocks = (addresses: readonly Address[]) => addresses.map((address) => ({ ipBlock: { cidr: `${address}/${address.includes(':') ? 128 : 32}` } }))

for (const network of ['routes', 'VXLAN'] as const) for (const attachment of attachments()) describe(`policy behind Services, ${network} between nodes, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: PODS, attachment, flags: FLAGS })
    if (network === 'VXLAN') layOverlay(lab, PODS)
    // Every address of a Service is found by way of the first node, by n2 too.
    for (const where of ['outside', 'n2']) for (const family of FAMILIES) {
      const word = family === 4 ? '-4' : '-6'
      lab.run(where, ['ip', word, 'route', 'replace', 'default', 'via', lab.nodeAddress('n1', family), 'dev', 'uplink'])
    }
    lab.put(
      serviceOf(lab, 'here'), ...sliceObjects('shop/here', [HERE]),
      serviceOf(lab, 'there'), ...sliceObjects('shop/there', [THERE]),
      serviceOf(lab, 'keeps', { externalTrafficPolicy: 'Local' }), ...sliceObjects('shop/keeps', [HERE, THERE]),
      serviceOf(lab, 'both'), ...sliceObjects('shop/both', [HERE, THERE]),
      ...hostService(lab, 'host-there', 'n2'), ...hostService(lab, 'host-here', 'n1'),
    )
    await lab.settle()
  })
  after(() => lab.close())

  /** Who asks which address, and what is to be seen: who answers and the source that it saw, or silence. */
  interface Expectation {
    readonly from: string
    readonly to: Name
    readonly kinds: readonly Kind[]
    /** `denied`, or the endpoint's own view: which pod, and whose address came. */
    readonly sees: 'denied' | { readonly pod: string; readonly source: (family: Family) => Address }
  }
  const expected = (from: string, to: Name, kinds: readonly Kind[], sees: Expectation['sees']): Expectation => ({ from, to, kinds, sees })
  const at = (pod: string, source: string): Expectation['sees'] => ({ pod, source: (family) => lab.addressOf(source, family) })
  /** Of n1 as the endpoint on n2 sees it: what goes out to another node's pod gets the address of the interface that it leaves by. */
  const first = (family: Family): Address => (network === 'VXLAN' ? tunnelAddress('n1', family) : lab.nodeAddress('n1', family))
  const masqueraded: Expectation['sees'] = { pod: 'shop/there', source: first }

  async function expect(...expectations: readonly Expectation[]): Promise<void> {
    const asked = expectations.flatMap(({ from, to, kinds, sees }) => kinds.flatMap((kind) => FAMILIES.flatMap((family) => EVERY_PROTOCOL.map((protocol) => {
      const port = kind.startsWith('node port') ? nodePortOf(NUMBERS[to], protocol) : 80
      const request: ProbeRequest = { from: lab.source(from), address: addressOf(lab, to, kind, family), protocol, port }
      const wanted = sees === 'denied' ? '-' : `${sees.pod} saw ${sees.source(family)}`
      return { request, wanted: `${from} -> ${to} by ${kind} v${family} ${protocol}: ${wanted}`, told: `${from} -> ${to} by ${kind} v${family} ${protocol}: ` }
    }))))
    const results = await lab.testbed.probe(asked.map(({ request }) => request), DEADLINE_MS)
    assert.deepEqual(asked.map(({ told }, i) => told + seen(results[i] as ProbeResult)), asked.map(({ wanted }) => wanted))
  }

  function seen(result: ProbeResult): string {
    return result.kind === 'answered' ? `${result.by} saw ${result.source}` : result.kind === 'silent' ? '-' : `${result.kind}: ${result.message}`
  }

  it('without policies: to each endpoint by each address; pods and clients of policy Local keep their address, others get that of the node', async () => {
    const tunnel = network === 'VXLAN' ? new WireWatch(lab, 'n2', { through: 'iifname vx0' }) : null
    await expect(
      expected('shop/client', 'here', ['cluster'], at('shop/here', 'shop/client')),
      expected('shop/client', 'there', ['cluster'], at('shop/there', 'shop/client')),
      expected('shop/client', 'here', FROM_OUTSIDE, at('shop/here', 'n1')),
      expected('shop/client', 'there', FROM_OUTSIDE, masqueraded),
      expected('outside', 'here', KINDS, at('shop/here', 'n1')),
      expected('outside', 'there', KINDS, masqueraded),
      expected('outside', 'keeps', FROM_OUTSIDE, at('shop/here', 'outside')),
      expected('n1', 'here', KINDS, at('shop/here', 'n1')),
      expected('n1', 'there', KINDS, masqueraded),
    )
    if (tunnel === null) return
    assert.ok((tunnel.counts()['through'] ?? 0) > 20)
    tunnel.close()
  })

  it('rules 43, 64, 65, 66, 70: who is selected as a peer comes in, by its own address only; no other pod does as a node, and no other node', async () => {
    await lab.policies(ingress('shop/in', { app: 'server' }, { from: [peer('client')], ports: EVERY_PROTOCOL.map((protocol) => ({ protocol, port: 8080 })) }))
    await expect(
      expected('shop/client', 'here', ['cluster'], at('shop/here', 'shop/client')),
      expected('shop/client', 'there', ['cluster'], at('shop/there', 'shop/client')),
      // Judged on the first node, and masqueraded afterwards.
      expected('shop/client', 'here', FROM_OUTSIDE, at('shop/here', 'n1')),
      // Masqueraded by the first node, and judged on the second, which sees no pod.
      expected('shop/client', 'there', FROM_OUTSIDE, 'denied'),
      expected('shop/client', 'there', ['node port of n2'], at('shop/there', 'n2')),
      expected('shop/other', 'here', KINDS, 'denied'),
      expected('shop/other', 'there', [...KINDS, 'node port of n2'], 'denied'),
      expected('outside', 'here', KINDS, 'denied'),
      expected('outside', 'there', KINDS, 'denied'),
      expected('outside', 'keeps', FROM_OUTSIDE, 'denied'),
      // The own node of a pod is let in (rule 58), the other one is not (rule 60).
      expected('n1', 'here', KINDS, at('shop/here', 'n1')),
      expected('n1', 'there', KINDS, 'denied'),
      expected('n2', 'there', ['cluster'], at('shop/there', 'n2')),
      expected('n2', 'here', ['cluster'], 'denied'),
    )
  })

  it('rules 43, 54: the port of the Service or of the node, and the address of the Service, allow nothing', async () => {
    const ports = (Object.keys(NUMBERS) as readonly Name[]).flatMap((name) => EVERY_PROTOCOL.flatMap((protocol) => [{ protocol, port: 80 }, { protocol, port: nodePortOf(NUMBERS[name], protocol) }]))
    const addresses = KINDS.filter((kind) => kind !== 'node port').flatMap((kind) => FAMILIES.map((family) => addressOf(lab, 'host-there', kind, family)))
    await lab.policies(ingress('shop/in', { app: 'server' }, { ports }), egress('shop/out', { app: 'other' }, { to: blocks(addresses) }))
    await expect(
      expected('shop/client', 'here', KINDS, 'denied'),
      expected('shop/client', 'there', KINDS, 'denied'),
      expected('outside', 'keeps', FROM_OUTSIDE, 'denied'),
      expected('shop/other', 'host-there', KINDS, 'denied'),
      expected('shop/client', 'host-there', ['cluster'], at('n2', 'shop/client')),
    )
  })

  it('rules 55, 66, 67: an ipBlock is held against the client, on the first node and where policy Local keeps its address; on the second against the first', async () => {
    const outside = FAMILIES.map((family) => lab.addressOf('outside', family))
    await lab.policies(ingress('shop/in', { app: 'server' }, { from: blocks(outside) }))
    await expect(
      expected('outside', 'here', KINDS, at('shop/here', 'n1')),
      expected('outside', 'keeps', FROM_OUTSIDE, at('shop/here', 'outside')),
      expected('outside', 'keeps', ['node port of n2'], at('shop/there', 'outside')),
      expected('outside', 'there', KINDS, 'denied'),
      expected('shop/client', 'here', KINDS, 'denied'),
    )
    await lab.policies(ingress('shop/in', { app: 'server' }, { from: blocks(FAMILIES.map(first)) }))
    await expect(
      expected('outside', 'there', KINDS, masqueraded),
      expected('n1', 'there', KINDS, masqueraded),
      expected('outside', 'here', KINDS, 'denied'),
      expected('outside', 'keeps', [...FROM_OUTSIDE, 'node port of n2'], 'denied'),
      expected('shop/client', 'there', ['cluster'], 'denied'),
    )
  })

  it('rules 8, 43, 64: egress is judged by the pod that was chosen; by the address that was asked where another node translates it', async () => {
    await lab.policies(egress('shop/out', { app: 'client' }))
    await expect(expected('shop/client', 'here', KINDS, 'denied'), expected('shop/client', 'there', [...KINDS, 'node port of n2'], 'denied'))
    const toServers = { to: [peer('server')], ports: EVERY_PROTOCOL.map((protocol) => ({ protocol, port: 8080 })) }
    await lab.policies(egress('shop/out', { app: 'client' }, toServers))
    await expect(
      expected('shop/client', 'here', ['cluster'], at('shop/here', 'shop/client')),
      expected('shop/client', 'there', ['cluster'], at('shop/there', 'shop/client')),
      expected('shop/client', 'here', FROM_OUTSIDE, at('shop/here', 'n1')),
      expected('shop/client', 'there', FROM_OUTSIDE, masqueraded),
      expected('shop/client', 'there', ['node port of n2'], 'denied'),
      expected('shop/client', 'host-there', KINDS, 'denied'),
    )
    await lab.policies(egress('shop/out', { app: 'client' }, { to: blocks(FAMILIES.map((family) => lab.nodeAddress('n2', family))) }))
    await expect(
      expected('shop/client', 'there', ['node port of n2'], at('shop/there', 'n2')),
      expected('shop/client', 'there', KINDS, 'denied'),
    )
  })

  it('rules 63, 64: a pod to which everything is denied reaches itself through its Service, and not the other endpoint', async () => {
    const outcomes = async (): Promise<readonly string[]> => {
      const requests = FAMILIES.flatMap((family) => Array.from({ length: 20 }, (): ProbeRequest => ({ from: lab.source('shop/here'), address: addressOf(lab, 'both', 'cluster', family), protocol: 'TCP', port: 80 })))
      return [...new Set((await lab.testbed.probe(requests, DEADLINE_MS)).map(seen))].sort()
    }
    // The other one lets everybody in.
    await lab.policies(ingress('shop/in', { at: 'n1' }), egress('shop/out', { at: 'n1' }))
    const itself = FAMILIES.map((family) => `shop/here saw ${lab.nodeAddress('n1', family)}`)
    assert.deepEqual(await outcomes(), ['-', ...itself].sort())
    await lab.policies()
    assert.deepEqual(await outcomes(), [...itself, ...FAMILIES.map((family) => `shop/there saw ${lab.addressOf('shop/here', family)}`)].sort())
  })

  it('rule 69: a host port is judged at the pod\'s port, beside Services', async () => {
    await lab.policies()
    // As the portmap plugin writes it.
    const rules = FAMILIES.map((family) => {
      const [word, to] = family === 4 ? ['ip', HERE.addresses[0]] : ['ip6', `[${HERE.addresses[1]}]`]
      return `table ${word} hostport { chain in { type nat hook prerouting priority dstnat; fib daddr type local meta l4proto { tcp, udp } th dport 8888 dnat to ${to}:8080; }; }\n`
    })
    lab.nft('n1', rules.join(''))
    const ask = async (...from: readonly string[]): Promise<readonly string[]> => {
      const requests = from.flatMap((one) => FAMILIES.flatMap((family) => (['TCP', 'UDP'] as const).map((protocol): ProbeRequest => ({ from: lab.source(one), address: lab.nodeAddress('n1', family), protocol, port: 8888 }))))
      return (await lab.testbed.probe(requests, DEADLINE_MS)).map(seen)
    }
    const told = FAMILIES.flatMap((family) => [1, 2].map(() => `shop/here saw ${lab.addressOf('outside', family)}`))
    const silence = ['-', '-', '-', '-']
    assert.deepEqual(await ask('outside'), told)
    const outside = blocks(FAMILIES.map((family) => lab.addressOf('outside', family)))
    const ports = (port: number) => (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, port }))
    await lab.policies(ingress('shop/in', { app: 'server' }, { from: outside, ports: ports(8888) }))
    assert.deepEqual(await ask('outside'), silence)
    await lab.policies(ingress('shop/in', { app: 'server' }, { from: outside, ports: ports(8080) }))
    assert.deepEqual(await ask('outside', 'shop/other'), [...told, ...silence])
    lab.nft('n1', 'delete table ip hostport\ndelete table ip6 hostport\n')
  })

  it('rules 61, 68, 71: endpoints on hosts: what a pod sends is judged by their address, but for its own node; the hosts are not filtered', async () => {
    await lab.policies(denyAll('shop'))
    await expect(
      expected('shop/client', 'host-there', KINDS, 'denied'),
      expected('shop/client', 'host-here', ['cluster'], at('n1', 'shop/client')),
      expected('outside', 'host-there', KINDS, at('n2', 'n1')),
      expected('n1', 'host-there', KINDS, at('n2', 'n1')),
    )
    await lab.policies(denyAll('shop'), egress('shop/out', { app: 'client' }, { to: blocks(FAMILIES.map((family) => lab.nodeAddress('n2', family))), ports: EVERY_PROTOCOL.map((protocol) => ({ protocol, port: HOST_PORT })) }))
    await expect(
      expected('shop/client', 'host-there', ['cluster'], at('n2', 'shop/client')),
      expected('shop/client', 'host-there', FROM_OUTSIDE, at('n2', 'n1')),
      expected('shop/other', 'host-there', KINDS, 'denied'),
    )
  })
})
