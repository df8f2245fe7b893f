// What explain says, one mistake of people at a time: why a rule did not allow, through which Service, who decided.
//
// **Invariant:** both families where the question has two.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { Answer, Flow, Half } from '../../../src/explain/answer.ts'
import { NEARNESS } from '../../../src/explain/misses.ts'
import { byText } from '../../../src/lib/sorting.ts'
import type { Profile } from '../../../src/policy/plan.ts'
import { asked, worldOf } from '../../support/explain-world.ts'

type AnyObject = Parameters<typeof worldOf>[0] extends Iterable<infer One> ? One : never

const NAMESPACES: readonly AnyObject[] = [
  { kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'shop' } } },
  { kind: 'Namespace', metadata: { name: 'pay', labels: { team: 'pay' } } },
] as never

function node(name: string, number: number): AnyObject {
  return { kind: 'Node', metadata: { name }, status: { addresses: [`192.168.1.${number}`, `fd00:192::${number}`].map((address) => ({ type: 'InternalIP', address })) } } as never
}

function pod(key: string, number: number, labels: Readonly<Record<string, string>>, more: object = {}): AnyObject {
  const [namespace, name] = key.split('/') as [string, string]
  const ports = [{ name: 'http', containerPort: 8080, protocol: 'TCP' }]
  return {
    apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, labels },
    spec: { nodeName: number % 2 === 1 ? 'n1' : 'n2', containers: [{ name: 'main', ports }], ...more },
    status: { phase: 'Running', podIPs: [`10.1.0.${number}`, `fd00:1::${number}`].map((ip) => ({ ip })) },
  } as never
}

function policy(key: string, spec: object): AnyObject {
  const [namespace, name] = key.split('/') as [string, string]
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name }, spec: { podSelector: {}, ...spec } } as never
}

/** Port 80 leads to 8080 of those pods. */
function service(key: string, endpoints: readonly number[], spec: object = {}): readonly AnyObject[] {
  const [namespace, name] = key.split('/') as [string, string]
  const clusterIPs = ['10.96.0.1', 'fd00:96::1']
  const slices = ([4, 6] as const).map((family) => ({
    apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { namespace, name: `${name}-${family}`, labels: { 'kubernetes.io/service-name': name } }, addressType: `IPv${family}`,
    ports: [{ name: 'web', protocol: 'TCP', port: 8080 }],
    endpoints: endpoints.map((number) => ({ addresses: [family === 4 ? `10.1.0.${number}` : `fd00:1::${number}`], conditions: { ready: true }, nodeName: number % 2 === 1 ? 'n1' : 'n2' })),
  }))
  return [{ apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec: { type: 'ClusterIP', clusterIP: clusterIPs[0], clusterIPs, ports: [{ name: 'web', protocol: 'TCP', port: 80, targetPort: 8080 }], ...spec } }, ...slices] as never
}

const WEB = pod('shop/web', 1, { app: 'web' })
const API = pod('pay/api', 2, { app: 'api' })
const CLUSTER = [...NAMESPACES, node('n1', 1), node('n2', 2), WEB, API]

function ask(more: readonly AnyObject[], port = '8080/TCP', to = 'pay/api', from = 'shop/web', via: string | null = null): Answer {
  return asked(worldOf([...CLUSTER, ...more]), from, to, port, via)
}

/** Of both families, which say the same. */
function halves(answer: Answer, direction: 'ingress' | 'egress'): readonly Half[] {
  assert.deepEqual(answer.flows.map(({ family }) => family), [4, 6])
  return answer.flows.flatMap(({ legs }) => legs.map((leg) => leg[direction]))
}

function whyOf(half: Half | undefined): readonly string[] {
  assert.ok(half?.kind === 'denied', JSON.stringify(half))
  return half.nearest.map(({ rule, why }) => `${rule.name}[${rule.index}] ${why.map(({ kind, text }) => `${kind}: ${text}`).join(' + ')}`)
}

/** The one rule's reasons, of IPv4 and IPv6, addresses made alike. */
function reason(answer: Answer, direction: 'ingress' | 'egress' = 'ingress'): string {
  assert.equal(answer.verdict, 'denied')
  const texts = halves(answer, direction).map((half) => (whyOf(half)[0] ?? '').replaceAll(/fd00:1::/g, '10.1.0.').replaceAll(/fd00:96::/g, '10.96.0.').replaceAll('/128', '/32'))
  assert.equal(new Set(texts).size, 1, texts.join('\n'))
  return texts[0] as string
}

function ingress(rule: object): AnyObject {
  return policy('pay/in', { policyTypes: ['Ingress'], ingress: [rule] })
}

function egress(rule: object): AnyObject {
  return policy('shop/out', { policyTypes: ['Egress'], egress: [rule] })
}

const FROM_SHOP = { namespaceSelector: { matchLabels: { team: 'shop' } } }
const WEB_OF_SHOP = { ...FROM_SHOP, podSelector: { matchLabels: { app: 'web' } } }

describe('explain: who decides', () => {
  it('says that nothing isolates where no policy selects the pods', () => {
    const answer = ask([])
    assert.equal(answer.verdict, 'allowed')
    for (const half of [...halves(answer, 'egress'), ...halves(answer, 'ingress')]) assert.equal(half.kind, 'not-isolated')
  })

  it('names the rule that allows, its text, and the others that do too', () => {
    const answer = ask([ingress({ from: [WEB_OF_SHOP], ports: [{ port: 8080 }] }), policy('pay/more', { ingress: [{}] })])
    for (const half of halves(answer, 'ingress')) {
      assert.ok(half.kind === 'allowed')
      assert.deepEqual(half.by, { namespace: 'pay', name: 'in', direction: 'ingress', index: 0, text: 'from pods app=web of namespaces team=shop; ports 8080/TCP' })
      assert.deepEqual(half.also.map(({ name, text }) => [name, text]), [['more', 'from everybody; every port']])
      assert.deepEqual(half.isolatedBy, [{ namespace: 'pay', name: 'in' }, { namespace: 'pay', name: 'more' }])
    }
  })

  it('names every policy that isolates where nothing allows, though none has a rule', () => {
    const answer = ask([policy('pay/deny', { policyTypes: ['Ingress'] }), policy('pay/quiet', { policyTypes: ['Ingress'] })])
    assert.equal(answer.verdict, 'denied')
    for (const half of halves(answer, 'ingress')) {
      assert.ok(half.kind === 'denied')
      assert.deepEqual([half.isolatedBy.map(({ name }) => name), half.nearest], [['deny', 'quiet'], []])
    }
    for (const half of halves(answer, 'egress')) assert.equal(half.kind, 'not-isolated')
  })

  it('tells both halves apart: egress may allow what ingress denies', () => {
    const answer = ask([egress({}), ingress({ ports: [{ port: 1 }] })])
    assert.deepEqual(answer.flows[0]?.legs.map((leg) => [leg.egress.kind, leg.ingress.kind]), [['allowed', 'denied']])
  })

  it('rule 58: a node reaches its own pods whatever their policies say, and another node does not', () => {
    const closed = policy('pay/deny', { policyTypes: ['Ingress'] })
    const own = ask([closed], '8080/TCP', '10.1.0.2', '192.168.1.2')
    assert.equal(own.flows[0]?.legs[0]?.ingress.kind, 'exempt')
    assert.equal(ask([closed], '8080/TCP', '10.1.0.2', '192.168.1.1').verdict, 'denied')
  })

  it('rule 62: a pod reaches itself', () => {
    const answer = ask([policy('pay/deny', { policyTypes: ['Ingress', 'Egress'] })], '8080/TCP', 'pay/api', 'pay/api')
    assert.equal(answer.verdict, 'allowed')
    for (const half of halves(answer, 'ingress')) assert.equal(half.kind, 'exempt')
  })

  it('has the answer of the compiled rule: where that is changed, so is the answer', () => {
    const world = worldOf([...CLUSTER, ingress({ from: [WEB_OF_SHOP], ports: [{ port: 8080 }] })])
    assert.equal(asked(world, 'shop/web', 'pay/api', '8080/TCP').verdict, 'allowed')
    const [api] = world.snapshot.pods.where('address', '10.1.0.2')
    assert.ok(api !== undefined)
    const { profiles } = world.planFor(api)
    const get = profiles.get.bind(profiles)
    const change = (rules: (profile: Profile) => Profile['rules']): void => {
      profiles.get = (id) => {
        const profile = get(id)
        return profile && { ...profile, rules: rules(profile) }
      }
    }
    change(({ rules }) => rules.map((rule) => ({ ...rule, ports: [{ protocol: 'TCP', first: 9, last: 9 }] })))
    const changed = asked(world, 'shop/web', 'pay/api', '8080/TCP')
    assert.equal(changed.verdict, 'denied')
    assert.match(whyOf(changed.flows[0]?.legs[0]?.ingress)[0] ?? '', /^in\[0\] compiled: its text seems to allow this/)
    assert.equal(asked(world, 'shop/web', 'pay/api', '9/TCP').verdict, 'allowed')
    change(({ rules }) => rules.map((rule) => ({ ...rule, peers: [] })))
    assert.equal(asked(world, 'shop/web', 'pay/api', '8080/TCP').verdict, 'denied')
    change(({ rules }) => rules.map((rule) => ({ ...rule, peers: 'all', ports: 'all' })))
    assert.equal(asked(world, 'pay/api', 'pay/api', '1/UDP').verdict, 'allowed')
    assert.equal(asked(world, '192.0.2.1', '10.1.0.2', '1/UDP').verdict, 'allowed')
  })
})

describe('explain: the nearest miss', () => {
  const cases: readonly (readonly [string, AnyObject, 'ingress' | 'egress', string])[] = [
    ['a port', ingress({ from: [WEB_OF_SHOP], ports: [{ port: 80 }, { port: 9000, endPort: 9100 }] }), 'ingress', 'in[0] port: port 8080 not in [80, 9000-9100]'],
    ['a port, of two protocols', ingress({ ports: [{ port: 80 }, { port: 53, protocol: 'UDP' }] }), 'ingress', 'in[0] port: port 8080/TCP not in [80/TCP, 53/UDP]'],
    ['a protocol', ingress({ ports: [{ port: 8080, protocol: 'UDP' }] }), 'ingress', 'in[0] protocol: it allows 8080/UDP, and this is TCP'],
    ['a name that the pod does not have', ingress({ ports: [{ port: 'https' }] }), 'ingress', 'in[0] named-port: pay/api has no port named https/TCP'],
    ['labels of the pod', ingress({ from: [{ ...FROM_SHOP, podSelector: { matchLabels: { app: 'shop', role: 'front' } } }] }), 'ingress', 'in[0] pod-labels: pod shop/web does not match app=shop,role=front'],
    ['labels of the namespace', ingress({ from: [{ namespaceSelector: { matchLabels: { team: 'bank' } } }] }), 'ingress', 'in[0] namespace-labels: namespace shop does not match team=bank'],
    ['the namespace, where the peer names none', ingress({ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }), 'ingress', 'in[0] namespace: it selects pods of namespace pay, not of shop'],
    ['both labels', ingress({ from: [{ namespaceSelector: { matchLabels: { team: 'bank' } }, podSelector: { matchLabels: { app: 'x' } } }] }), 'ingress', 'in[0] namespace-and-pod-labels: namespace shop does not match team=bank, and pod shop/web does not match app=x'],
    ['peer and port', ingress({ from: [{ ...FROM_SHOP, podSelector: { matchLabels: { app: 'x' } } }], ports: [{ port: 1 }] }), 'ingress', 'in[0] port: port 8080 not in [1] + pod-labels: pod shop/web does not match app=x'],
    ['an egress peer', egress({ to: [{ podSelector: {} }] }), 'egress', 'out[0] namespace: it selects pods of namespace shop, not of pay'],
    ['a name at the other end', egress({ to: [{ namespaceSelector: {} }], ports: [{ port: 'grpc' }] }), 'egress', 'out[0] named-port: pay/api has no port named grpc/TCP'],
    ['a name toward a block (rule 42)', egress({ to: [{ ipBlock: { cidr: '10.1.0.0/16' } }, { ipBlock: { cidr: 'fd00:1::/64' } }], ports: [{ port: 'http' }] }), 'egress', 'out[0] named-port: a port by its name is one of the pods that a selector means: toward an ipBlock it allows nothing'],
    ['a name of another protocol', ingress({ ports: [{ port: 'http', protocol: 'UDP' }] }), 'ingress', 'in[0] named-port: pay/api has no port named http/UDP'],
  ]
  for (const [title, object, direction, expected] of cases) {
    it(`is of ${title}`, () => assert.equal(reason(ask([object]), direction), expected))
  }

  it('is of a block, of its except, and of the other family', () => {
    const block = (cidr: string, ...except: string[]): AnyObject => ingress({ from: [{ ipBlock: { cidr, ...(except.length === 0 ? {} : { except }) } }] })
    const first = (object: AnyObject): readonly string[] => halves(ask([object]), 'ingress').flatMap(whyOf)
    assert.deepEqual(first(block('10.2.0.0/16')), ['in[0] ip-block: block 10.2.0.0/16 does not hold 10.1.0.1', 'in[0] family: block 10.2.0.0/16 is IPv4, and fd00:1::1 is IPv6'])
    assert.deepEqual(first(block('fd00::/16', 'fd00:1::/32')), ['in[0] family: block fd00::/16 is IPv6, and 10.1.0.1 is IPv4', 'in[0] except: block fd00::/16 holds fd00:1::1, but its except fd00:1::/32 takes it out'])
    assert.match(whyOf(ask([ingress({ from: [{ podSelector: {} }] })], '8080/TCP', '10.1.0.2', '192.0.2.9').flows[0]?.legs[0]?.ingress)[0] ?? '', /not-a-pod: it selects every pod of namespace pay, and 192\.0\.2\.9 is the address of no pod/)
  })

  it('has every kind of reason on the page, each once, and no other', () => {
    const page = readFileSync(new URL('../../../deploy/docs/explain.md', import.meta.url), 'utf8').split('## Why a rule did not allow it')[1]?.split('|---|---|')[1] ?? ''
    const kinds = [...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, kind]) => kind as string)
    assert.deepEqual([...kinds].sort(byText), [...NEARNESS].sort(byText))
  })

  it('stands first: of many rules the one with the least against it', () => {
    const many = policy('pay/in', { policyTypes: ['Ingress'], ingress: [
      { from: [{ ipBlock: { cidr: '172.16.0.0/12' } }], ports: [{ port: 1 }] },
      { from: [{ namespaceSelector: { matchLabels: { team: 'bank' } } }] },
      { from: [WEB_OF_SHOP], ports: [{ port: 80 }] },
    ] })
    for (const half of halves(ask([many]), 'ingress')) assert.deepEqual(whyOf(half).map((text) => text.slice(0, 5)), ['in[2]', 'in[1]', 'in[0]'])
  })

  it('of several peers is the nearest one', () => {
    const rule = { from: [{ ipBlock: { cidr: '172.16.0.0/12' } }, { ...FROM_SHOP, podSelector: { matchLabels: { app: 'x' } } }] }
    assert.equal(reason(ask([ingress(rule)])), 'in[0] pod-labels: pod shop/web does not match app=x')
  })

  it('tells of a policy that cannot be read, which isolates and allows nothing', () => {
    const answer = ask([ingress({ from: [{ ipBlock: { cidr: 'nonsense' } }] })])
    assert.equal(answer.verdict, 'denied')
    assert.ok(answer.problems.some(({ object }) => object === 'NetworkPolicy pay/in'), JSON.stringify(answer.problems))
  })
})

describe('explain: through Services', () => {
  const API_SERVICE = service('pay/api', [2])

  function only({ flows }: Answer): Flow {
    assert.deepEqual(flows.map(({ family }) => family), [4, 6])
    return flows[0] as Flow
  }

  it('judges the endpoint, at its own port', () => {
    const answer = ask([...API_SERVICE, ingress({ from: [WEB_OF_SHOP], ports: [{ port: 8080 }] })], '80/TCP', 'pay/svc/api')
    assert.equal(answer.verdict, 'allowed')
    const flow = only(answer)
    assert.deepEqual([flow.service?.name, flow.service?.outcome, flow.called], ['api', 'translated', '10.96.0.1'])
    assert.deepEqual(flow.legs.map(({ destination, port }) => [destination.name, destination.address, port]), [['pay/api', '10.1.0.2', 8080]])
  })

  it('gives the same answer for the address of the Service', () => {
    const more = [...API_SERVICE, ingress({ ports: [{ port: 1 }] })]
    assert.deepEqual(ask(more, '80/TCP', '10.96.0.1').flows, ask(more, '80/TCP', 'pay/svc/api').flows.filter(({ family }) => family === 4))
  })

  it("says so where a rule allows the Service's port, or its address, instead of the pod's", () => {
    assert.equal(reason(ask([...API_SERVICE, ingress({ ports: [{ port: 80 }] })], '80/TCP', 'pay/svc/api')), "in[0] service-port: it allows 80/TCP, the Service's port; policies see the pod's, which is 8080/TCP")
    const blocks = { to: [{ ipBlock: { cidr: '10.96.0.1/32' } }, { ipBlock: { cidr: 'fd00:96::1/128' } }] }
    assert.match(reason(ask([...API_SERVICE, egress(blocks)], '80/TCP', 'pay/svc/api'), 'egress'), /^out\[0\] service-address: block 10\.96\.0\.1\/32 holds 10\.96\.0\.1, the Service's address; policies see the endpoint's, which is 10\.1\.0\.2$/)
  })

  it('tells endpoints apart: some are allowed', () => {
    const other = pod('pay/old', 3, { app: 'old' })
    const answer = ask([other, ...service('pay/api', [2, 3]), policy('pay/in', { podSelector: { matchLabels: { app: 'old' } }, policyTypes: ['Ingress'] })], '80/TCP', 'pay/svc/api')
    assert.equal(answer.verdict, 'some')
    for (const { legs } of answer.flows) assert.deepEqual(Object.fromEntries(legs.map(({ destination, verdict }) => [destination.name, verdict])), { 'pay/api': 'allowed', 'pay/old': 'denied' })
  })

  it('says what a Service without endpoints, or without that port, does', () => {
    assert.equal(only(ask(service('pay/api', []), '80/TCP', 'pay/svc/api')).service?.outcome, 'no-endpoint')
    const missing = only(ask(API_SERVICE, '81/TCP', 'pay/svc/api'))
    assert.deepEqual([missing.verdict, missing.service?.outcome, missing.service?.text], ['denied', 'no-such-port', 'it has no port 81/TCP, but 80/TCP'])
    assert.equal(only(ask(service('pay/api', [2], { internalTrafficPolicy: 'Local' }), '80/TCP', 'pay/svc/api')).service?.outcome, 'no-local-endpoint')
  })

  it('asks for every port of the Service where none is named', () => {
    assert.deepEqual(ask(API_SERVICE, '/TCP', 'pay/svc/api').flows.map(({ ports }) => ports.first), [80, 80])
  })

  it('takes a headless Service for its endpoints', () => {
    const headless = service('pay/api', [2], { clusterIP: 'None', clusterIPs: ['None'] })
    const flow = only(ask(headless, '8080/TCP', 'pay/svc/api'))
    assert.deepEqual([flow.service?.outcome, flow.called, flow.verdict], ['headless', '10.1.0.2', 'allowed'])
  })

  it('lets the endpoint see the node where that masquerades, and asks for the node where it matters', () => {
    const balanced = service('pay/api', [2], { type: 'LoadBalancer', externalIPs: ['203.0.113.5'] })
    const onlyNode = ingress({ from: [{ ipBlock: { cidr: '192.168.1.1/32' } }] })
    assert.throws(() => ask(balanced, '80/TCP', '203.0.113.5', '198.51.100.1'), { code: 'NodeNeeded', exit: 2, message: /--via NODE/ })
    assert.equal(ask([...balanced, onlyNode], '80/TCP', '203.0.113.5', '198.51.100.1', 'n1').verdict, 'allowed')
    // On the endpoint's own node it is judged before its source is changed.
    assert.equal(ask([...balanced, onlyNode], '80/TCP', '203.0.113.5', '198.51.100.1', 'n2').verdict, 'denied')
  })

  it('takes the node whose address is called for the one where the call enters', () => {
    const ports = [{ name: 'web', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30080 }]
    const exposed = service('pay/api', [2], { type: 'NodePort', ports })
    const seen = (to: string, from = '198.51.100.1', port = '30080/TCP'): unknown => ask(exposed, port, to, from).flows.map(({ service: step, legs }) => [step?.name, legs.map(({ destination, seenAs }) => `${destination.name} sees ${seenAs}`)])
    assert.deepEqual(seen('192.168.1.2'), [['api', ['pay/api sees 198.51.100.1']]])
    assert.deepEqual(seen('192.168.1.1'), [['api', ['pay/api sees 192.168.1.1']]])
    assert.deepEqual(seen('192.168.1.1', '198.51.100.1', '22/TCP'), [[undefined, ['n1 sees 198.51.100.1']]])
    // What a pod sends to another node's port is changed on the way there, and again.
    assert.throws(() => ask(exposed, '30080/TCP', '192.168.1.2', 'shop/web'), { code: 'NodePortElsewhere', exit: 2, message: /30080\/TCP is a node port of another node, n2: ask for the Service itself/ })
  })
})

describe('explain: ports and parties', () => {
  it('answers for every port of a protocol in ranges', () => {
    const answer = ask([ingress({ ports: [{ port: 80 }, { port: 1000, endPort: 2000 }, { port: 2001 }, { port: 'http' }] })], '/TCP')
    assert.equal(answer.verdict, 'some')
    const ranges = (family: number): readonly string[] => answer.flows.filter((flow) => flow.family === family).map(({ ports, verdict }) => `${ports.first}-${ports.last} ${verdict}`)
    assert.deepEqual(ranges(4), ['1-79 denied', '80-80 allowed', '81-999 denied', '1000-2001 allowed', '2002-8079 denied', '8080-8080 allowed', '8081-65535 denied'])
    assert.deepEqual(ranges(6), ranges(4))
  })

  it('says which number a name stands for', () => {
    assert.equal(reason(ask([ingress({ ports: [{ port: 'http' }] })], '80/TCP')), 'in[0] port: port 80 not in [http] (8080)')
  })

  it('answers for every protocol of a port', () => {
    const answer = ask([ingress({ ports: [{ port: 8080, protocol: 'UDP' }] })], '8080')
    assert.deepEqual(answer.flows.filter(({ family }) => family === 6).map(({ protocol, verdict }) => [protocol, verdict]), [['TCP', 'denied'], ['UDP', 'allowed'], ['SCTP', 'denied']])
  })

  it('knows no policy at the other end outside, and a pod on its node\'s network as the node', () => {
    const out = ask([], '443/TCP', '192.0.2.9')
    assert.equal(out.flows[0]?.legs[0]?.ingress.kind, 'no-policy')
    const host = pod('shop/host', 5, {}, { hostNetwork: true })
    const [flow] = ask([host, policy('shop/deny', { policyTypes: ['Ingress', 'Egress'] })], '1/TCP', 'pay/api', 'shop/host').flows
    assert.deepEqual([flow?.source, flow?.verdict, flow?.legs[0]?.egress.kind], ['192.168.1.1', 'allowed', 'no-policy'])
  })

  const mistakes: readonly (readonly [string, string, readonly AnyObject[], RegExp])[] = [
    ['web', 'pay/api', [], /^--from "web": expected NAMESPACE\/POD, NAMESPACE\/svc\/NAME or an address; with -n/],
    ['shop/svc/web', 'pay/api', [], /^--from "shop\/svc\/web": a Service calls nobody; name one of its pods: kubectl get endpointslices -n shop -l/],
    ['10.0.0.0/24', 'pay/api', [], /^--from "10\.0\.0\.0\/24": a block is not one end; expected one address of it/],
    ['10.0.0.300', 'pay/api', [], /^--from "10\.0\.0\.300": expected NAMESPACE\/POD/],
    ['shop/web', 'pay/svc', [], /^--to "pay\/svc": there is no Pod pay\/svc; kubectl get pods -n pay/],
    ['shop/web', 'pay/svc/none', [], /^--to "pay\/svc\/none": there is no Service pay\/none; kubectl get services -n pay/],
    ['shop/web', 'a/b/c/d', [], /--to "a\/b\/c\/d": expected NAMESPACE\/POD, NAMESPACE\/svc\/NAME or an address/],
    ['10.1.0.1', 'fd00:1::2', [], /no addresses of one IP family/],
    ['shop/none', 'pay/api', [], /^--from "shop\/none": there is no Pod shop\/none/],
  ]
  for (const [from, to, more, message] of mistakes) {
    it(`refuses ${from} -> ${to}`, () => assert.throws(() => ask(more, '80/TCP', to, from), { exit: 2, message }))
  }
})
