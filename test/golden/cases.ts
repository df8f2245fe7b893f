// What the goldens show: small clusters on one node, each about one thing that the table says.
//
// **Invariant:** names are file names, and titles say what to look for.
import { parseCidr, type Cidr } from '../../src/model/ip.ts'
import type { Node } from '../../src/model/objects.ts'
import type { EndpointSlice, Service } from '../../src/model/service.ts'
import { node, service, slice } from '../support/builders.ts'
import type { RawPeer, RawPolicy } from '../support/manifests.ts'
import type { PipelineOptions } from '../support/pipeline.ts'
import type { ClusterSketch, PodSketch } from '../support/states.ts'

export interface GoldenCase {
  readonly name: string
  readonly title: string
  /**
   * The static chains that judge; those about a packet's source, and of counting; what is remembered of connections; the sets of pods and
   * interfaces; the sets and the chains that lead to pods on a bridge; those of the second table; the way of a packet to an endpoint, and
   * its ends; what it looks up there to be translated, and else; or profiles with their sets, and what leads to them.
   */
  readonly shows: 'chains' | 'sources' | 'connections' | 'pods' | 'bridged' | 'bridged-chains' | 'pins' | 'pin-chains' | 'service-way' | 'service-ends' | 'services' | 'service-sets' | 'profiles'
  readonly cluster: ClusterSketch
  readonly options?: Partial<PipelineOptions>
  readonly rows?: { readonly nodes: readonly Node[]; readonly services: readonly Service[]; readonly slices: readonly EndpointSlice[] }
}

function pod(namespace: string, app: string, fields: Partial<PodSketch> = {}): PodSketch {
  return { namespace, labels: { app }, node: 1, families: 'both', life: 'running', hostNetwork: false, age: 0, ports: [], ...fields }
}

/** Pod 1 (shop, web) on this node; 2 (shop, api) and 3 (ops, batch) on the other. */
function cluster(policies: readonly RawPolicy['spec'][], pods: readonly PodSketch[] = PODS): ClusterSketch {
  return { namespaces: { shop: { team: 'one' }, ops: { team: 'two' } }, pods, policies: policies.map((spec) => ({ namespace: 'shop', spec })), nodes: 2 }
}

const PODS = [pod('shop', 'web'), pod('shop', 'api', { node: 2 }), pod('ops', 'batch', { node: 2 })]
const WEB = { matchLabels: { app: 'web' } }
const API: RawPeer = { podSelector: { matchLabels: { app: 'api' } } }
const http = (port: number): PodSketch['ports'] => [{ name: 'http', port, where: 'first' }]

const cidr = (text: string): Cidr => parseCidr(text) as Cidr
/** A ClusterIP; a balancer with source ranges, affinity and policy Local; an external address; nobody who serves. Of web and api. */
const ROWS: GoldenCase['rows'] = {
  nodes: [node({ name: 'n1', uid: 'n1', addresses: ['192.168.1.1'], podCidrs: [cidr('10.1.1.0/24')] })],
  services: [
    service({ name: 'plain', clusterIps: ['10.96.0.10', 'fd00:96::10'] }),
    service({
      name: 'front', clusterIps: ['10.96.0.11'], ports: [{ name: '', protocol: 'TCP', port: 443, nodePort: 30_443 }],
      loadBalancerIps: ['203.0.113.1'], sourceRanges: [cidr('198.51.100.0/24')], externalPolicy: 'Local', affinity: 10_800,
    }),
    service({ name: 'names', clusterIps: ['10.96.0.12'], externalIps: ['203.0.113.2'], ports: [{ name: '', protocol: 'UDP', port: 53, nodePort: null }] }),
    service({ name: 'nobody', clusterIps: ['10.96.0.13'] }),
  ],
  slices: [
    ...(['plain', 'front'] as const).map((of) => slice([{ address: '10.1.1.1', node: 'n1' }, { address: '10.1.2.1', node: 'n2' }], { service: of, name: of })),
    slice([{ address: 'fd00:1:1::1', node: 'n1' }], { service: 'plain', name: 'plain-six' }),
    slice([{ address: '10.1.2.1', node: 'n2' }], { service: 'names', name: 'names', ports: [{ name: '', protocol: 'UDP', port: 5353 }] }),
  ],
}

export const GOLDEN_CASES: readonly GoldenCase[] = [
  { name: 'static', title: 'the static chains', shows: 'chains', cluster: cluster([]) },
  { name: 'static-sources', title: 'who sends as whom, and whose drops are counted where', shows: 'sources', cluster: cluster([]) },
  { name: 'static-connections', title: 'connections that were cut', shows: 'connections', cluster: cluster([]) },
  { name: 'static-lenient', title: 'newPods allow, INVALID passes, first packets only', shows: 'chains', cluster: cluster([]), options: { newPods: 'allow', dropInvalid: false, establishedConnections: 'keep' } },
  { name: 'static-node-egress', title: 'nodeEgress enforce', shows: 'chains', cluster: cluster([]), options: { nodeEgress: 'enforce', podAttachment: 'interface' } },
  { name: 'static-patterns', title: 'pods on cali*, too', shows: 'chains', cluster: cluster([]), options: { podInterfaces: ['cali*'] } },
  { name: 'pods', title: 'no policy selects the pod (rule 1)', shows: 'pods', cluster: cluster([]) },
  { name: 'bridged', title: 'a pod on a bridge, with a source prefix (rules 70, 87)', shows: 'bridged', cluster: cluster([{ podSelector: WEB, ingress: [] }]) },
  { name: 'bridged-chains', title: 'what leads to pods on a bridge, and to the counters of what they are denied', shows: 'bridged-chains', cluster: cluster([{ podSelector: WEB, ingress: [] }]) },
  { name: 'bridge-pins', title: 'the second table: a pod with its port, MAC, addresses and source prefix (rule 87)', shows: 'pins', cluster: cluster([]) },
  { name: 'bridge-chains', title: 'the second table: its static chains', shows: 'pin-chains', cluster: cluster([]) },
  { name: 'service-way', title: 'the way of a packet to an endpoint', shows: 'service-way', cluster: cluster([]), options: { services: {} } },
  { name: 'service-ends', title: 'what no endpoint took, and what leaves with another source', shows: 'service-ends', cluster: cluster([]), options: { services: {} } },
  { name: 'services', title: 'Services of each kind: who asks where -> mark -> endpoint', shows: 'services', cluster: cluster([]), options: { services: {} }, rows: ROWS },
  { name: 'service-sets', title: 'the same: who may ask, who stays, what is masqueraded', shows: 'service-sets', cluster: cluster([]), options: { services: {} }, rows: ROWS },
  { name: 'default-deny', title: 'rules [] in both directions (rule 5)', shows: 'profiles', cluster: cluster([{ podSelector: {}, policyTypes: ['Ingress', 'Egress'] }]) },
  { name: 'allow-all', title: 'rules [{}] (rule 5)', shows: 'profiles', cluster: cluster([{ podSelector: {}, ingress: [{}] }]) },
  { name: 'selector', title: 'one peer, one port', shows: 'profiles', cluster: cluster([{ podSelector: WEB, ingress: [{ from: [API], ports: [{ port: 80 }] }] }]) },
  {
    name: 'namespaces',
    title: 'both selectors in one peer, and as two peers (rule 14)',
    shows: 'profiles',
    cluster: cluster([{ podSelector: WEB, ingress: [{ from: [{ ...API, namespaceSelector: { matchLabels: { team: 'two' } } }, API, { namespaceSelector: {} }] }] }]),
  },
  {
    name: 'ports',
    title: 'exact ports, ranges, whole protocols, everything',
    shows: 'profiles',
    cluster: cluster([
      {
        podSelector: WEB,
        ingress: [
          { from: [API], ports: [{ port: 80 }, { port: 443 }, { port: 53, protocol: 'UDP' }] },
          { from: [API], ports: [{ port: 7000, endPort: 7010 }, { protocol: 'SCTP' }] },
          { from: [{ podSelector: { matchLabels: { app: 'admin' } } }] },
          { ports: [{ port: 8080 }] },
        ],
      },
    ]),
  },
  {
    name: 'ip-blocks',
    title: 'ipBlocks of both families, excepts nested and repeated (rules 46-52)',
    shows: 'profiles',
    cluster: cluster([
      {
        podSelector: WEB,
        policyTypes: ['Egress'],
        egress: [
          { to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '10.1.0.0/16', '10.0.0.0/8'] } }, { ipBlock: { cidr: '10.1.2.3/24' } }], ports: [{ port: 80 }] },
          { to: [{ ipBlock: { cidr: '2001:db8::/32', except: ['2001:db8:1::/48'] } }] },
        ],
      },
    ]),
  },
  {
    name: 'named-port-ingress',
    title: 'one name, other numbers on two selected pods (rules 35, 37)',
    shows: 'profiles',
    cluster: cluster([{ podSelector: {}, ingress: [{ from: [API], ports: [{ port: 'http' }] }] }], [pod('shop', 'web', { ports: http(80) }), pod('shop', 'web', { ports: http(8080) })]),
  },
  {
    name: 'named-port-egress',
    title: 'pairs of address and port, no cross product (rules 36, 37)',
    shows: 'profiles',
    cluster: cluster([{ podSelector: WEB, egress: [{ to: [{ namespaceSelector: {} }], ports: [{ port: 'http' }, { port: 443 }] }] }], [
      pod('shop', 'web', { families: 'four' }),
      pod('shop', 'api', { node: 2, ports: http(80) }),
      pod('ops', 'batch', { node: 2, ports: http(8080) }),
    ]),
  },
  {
    name: 'union',
    title: 'more peers for one port than it may have sets',
    shows: 'profiles',
    cluster: cluster([
      { podSelector: WEB, policyTypes: ['Ingress'], ingress: [{ from: [...Array.from({ length: 8 }, (_, i): RawPeer => ({ podSelector: { matchLabels: { app: i === 0 ? 'api' : `a${i}` } } })), { ipBlock: { cidr: '10.1.2.0/28' } }], ports: [{ port: 80 }] }] },
    ]),
  },
  {
    name: 'two-policies',
    title: 'two policies select the pod: their union (rule 7)',
    shows: 'profiles',
    cluster: cluster([
      { podSelector: WEB, ingress: [{ from: [API], ports: [{ port: 80 }] }] },
      { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'two' } } }], ports: [{ port: 80 }, { port: 81 }] }] },
    ]),
  },
  { name: 'shared-profile', title: 'two pods, one profile', shows: 'profiles', cluster: cluster([{ podSelector: {}, policyTypes: ['Egress'], egress: [{ ports: [{ port: 53, protocol: 'UDP' }] }] }], [pod('shop', 'web'), pod('shop', 'api', { families: 'six' })]) },
  {
    name: 'unreadable',
    title: 'what cannot be read opens nothing, and isolates (rules 25, 33, 57)',
    shows: 'profiles',
    cluster: cluster([{ podSelector: WEB, policyTypes: ['Ingres'], ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/33' } }, API], ports: [{ port: 80 }, { port: 90, endPort: 80 }] }, { from: [{}] }] }]),
  },
  {
    name: 'logged',
    title: 'what is denied is logged, one of 100 of what is allowed, with a label (audit.picket.dev)',
    shows: 'profiles',
    cluster: {
      ...cluster([]),
      policies: [
        { namespace: 'shop', spec: { podSelector: WEB, ingress: [{ ports: [{ port: 80 }] }] } },
        { namespace: 'shop', spec: { podSelector: WEB, ingress: [{ ports: [{ port: 443 }] }] }, annotations: { 'audit.picket.dev/log': 'all', 'audit.picket.dev/sample': '1/100', 'audit.picket.dev/label': 'checkout' } },
      ],
    },
    options: { auditLog: 'deny' },
  },
]
