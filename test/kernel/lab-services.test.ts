// `picket lab` with Services, as a user has it: asked by name, by node port, by a load balancer's address; under a policy; edited.
//
// Runs the real command line. **Invariant:** the lab has a name of this run's own, and is gone at the end.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ProbeAnswer } from '../../src/lab/daemon-protocol.ts'
import { placesOf } from '../../src/lab/places.ts'
import { endLeftovers } from '../../src/lab/remains.ts'
import { lab } from '../support/lab-command.ts'

const CASES = fileURLToPath(new URL('../cases/services.json', import.meta.url))

const pod = (name: string, node: string, labels: string, port: number): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop, labels: ${labels}}\nspec: {nodeName: ${node}, containers: [{name: c, image: x, ports: [{name: http, containerPort: ${port}}]}]}\n`
const service = (name: string, spec: string): string => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: shop}\nspec: ${spec}\n`

for (const attachment of ['veth', 'bridge']) describe(`picket lab with Services, pods on ${attachment}`, function () {
  this.timeout(60_000)
  const name = `${attachment.slice(0, 1)}s${process.pid}`
  const places = placesOf(name)
  const dir = mkdtempSync(path.join(os.tmpdir(), 'picket-lab-test-'))
  const write = (file: string, text: string): void => writeFileSync(path.join(dir, file), text)

  before(async () => {
    write('pods.yaml', [pod('web-1', 'n1', '{app: web}', 8080), pod('web-2', 'n2', '{app: web}', 9090), pod('client', 'n1', '{app: client}', 80)].join('---\n'))
    write('services.yaml', [
      service('web', '{type: NodePort, ipFamilyPolicy: PreferDualStack, selector: {app: web}, ports: [{port: 80, targetPort: http, nodePort: 30080}]}'),
      service('front', '{type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, targetPort: http}]}'),
      service('empty', '{selector: {app: nobody}, ports: [{port: 80}]}'),
    ].join('---\n'))
    const { status, out, err } = await lab(['up', '--name', name, '-f', dir, '--nodes', '2', '--attachment', attachment])
    assert.equal(status, 0, err)
    assert.match(out, /^shop\/web +NodePort +10\.96\.0\.10 fd00:96::a +80\/tcp +node:30080\/tcp$/m)
    assert.match(out, /lab probe .*--to shop\/svc\/\w+ --port 80\/tcp/)
  })
  after(async () => {
    await lab(['down', '--name', name])
    await endLeftovers(places)
    rmSync(dir, { recursive: true, force: true })
  })

  async function probe(from: string, to: string, port: string): Promise<ProbeAnswer> {
    const { out, err } = await lab(['probe', '--name', name, '--from', from, '--to', to, '--port', port, '-o', 'json'])
    assert.notEqual(out, '', err)
    return JSON.parse(out) as ProbeAnswer
  }
  /** Who answers, in tries until as many as there should be have, and four at least: to miss one of two in 24 is as likely as 1 in 8 million. */
  async function answersOf(from: string, to: string, port: string, most = 2): Promise<readonly string[]> {
    const seen = new Set<string>()
    for (let round = 0; round < (most === 1 ? 1 : 6) && seen.size < most; round++) {
      const answers = await Promise.all(Array.from({ length: 4 }, () => probe(from, to, port)))
      for (const { probes } of answers) for (const { by, result } of probes) seen.add(by ?? result)
    }
    return [...seen].sort()
  }

  const BOTH = ['shop/web-1', 'shop/web-2']

  it('a pod and a node reach the pods of a Service by its name, in both families', async () => {
    assert.deepEqual((await probe('shop/client', 'shop/svc/web', '80/tcp')).probes.map(({ address }) => address), ['10.96.0.10', 'fd00:96::a'])
    assert.deepEqual(await answersOf('shop/client', 'shop/svc/web', '80/tcp'), BOTH)
    assert.deepEqual(await answersOf('node:n2', 'shop/svc/web', '80/tcp'), BOTH)
  })

  it('the outside host reaches them by a node port of either node', async () => {
    assert.deepEqual(await answersOf('outside', 'node:n1', '30080/tcp'), BOTH)
    assert.deepEqual(await answersOf('outside', 'fd00:61::12', '30080/tcp'), BOTH)
  })

  it('externalTrafficPolicy Local leads from outside to the pod of the first node that has one', async () => {
    assert.deepEqual(await answersOf('outside', 'shop/svc/front', '80/tcp', 1), ['shop/web-1'])
  })

  it('a Service without endpoints refuses', async () => {
    const { reaches, probes } = await probe('shop/client', 'shop/svc/empty', '80/tcp')
    assert.equal(reaches, false)
    assert.deepEqual(probes.map(({ result }) => result), ['rejected'])
  })

  it('rule 43: a policy of the pods holds by way of the Service; an edit takes effect', async () => {
    write('policy.yaml', 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: shop}\nspec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}]}]}\n')
    assert.deepEqual(await answersOf('outside', 'node:n1', '30080/tcp', 1), ['denied'])
    assert.deepEqual(await answersOf('shop/client', 'shop/svc/web', '80/tcp'), ['denied', 'shop/web-1'])
    rmSync(path.join(dir, 'policy.yaml'))
    assert.deepEqual(await answersOf('outside', 'node:n1', '30080/tcp'), BOTH)
  })

  it('a pod that is removed, and one that is added, change who answers', async () => {
    write('pods.yaml', [pod('web-3', 'n2', '{app: web}', 9090), pod('client', 'n1', '{app: client}', 80)].join('---\n'))
    assert.deepEqual(await answersOf('shop/client', 'shop/svc/web', '80/tcp', 1), ['shop/web-3'])
    assert.deepEqual(await answersOf('outside', 'shop/svc/front', '80/tcp', 1), ['shop/web-3'])
  })
})

describe('picket lab run, scenarios', function () {
  this.timeout(60_000)
  const dir = mkdtempSync(path.join(os.tmpdir(), 'picket-lab-test-'))
  after(() => rmSync(dir, { recursive: true, force: true }))

  it('one line of JSON a flow with the keys that were promised, and a status', async () => {
    const { status, out, err } = await lab(['run', CASES, '--case', '1', '--attachment', 'bridge', '-o', 'json'])
    assert.equal(status, 0, `${out}${err}`)
    const lines = out.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual(lines.map((line) => Object.keys(line)), lines.map(() => ['scenario', 'flow', 'observed', 'masq', 'shares']))
    assert.deepEqual(lines.map(({ scenario, flow, observed, masq }) => [scenario, flow, observed, masq]), [
      [1, 'pod to cluster IP', ['10.31.0.1:80', '10.31.2.1:80'], false],
      [1, 'external to nodePort', ['10.31.0.1:80', '10.31.2.1:80'], true],
      [1, 'node to nodePort', ['10.31.0.1:80', '10.31.2.1:80'], null],
      [1, 'external to nodePort on secondary IP', ['10.31.0.1:80', '10.31.2.1:80'], true],
    ])
  })

  it('a line says REJECT, DROP, or nothing where the packet kept its destination; of what was expected it says nothing', async () => {
    const scenario = (family: 4 | 6): object => {
      const [node, pods, services, vip, unused, end, client, nowhere] = family === 4
        ? ['192.168.0.2', '10.0.0.0/8', '172.27.0.0/16', '172.27.0.41', '172.27.0.99', '10.31.0.1', '10.0.0.2', '8.8.8.8']
        : ['2001:db8::1', 'fd00:10::/64', 'fd00:172:30::/112', 'fd00:172:30::41', 'fd00:172:30::99', 'fd00:10::a', 'fd00:10::2', '2001:db8:7::8']
      const flow = (name: string, destIP: string | undefined, destPort: number): object => ({ name, sourceIP: client, destIP, destPort, output: 'DROP' })
      return {
        env: { nodeIPs: [node], podCIDR: pods, serviceCIDRs: [services] },
        services: [{ ns: 'shop', name: 'a', clusterIP: vip, ports: [{ name: 'p', port: 80 }] }],
        slices: [{ ns: 'shop', service: 'a', name: 'a-1', endpoints: [{ address: end, nodeName: 'elsewhere' }], ports: [{ name: 'p', port: 8080 }] }],
        flows: [flow('served', vip, 80), flow('unknown port', vip, 81), flow('unused address', unused, 80), flow('nowhere', nowhere, 80)],
      }
    }
    writeFileSync(path.join(dir, 'fates.json'), JSON.stringify({ scenarios: [scenario(4), scenario(6)] }))
    const { status, out, err } = await lab(['run', path.join(dir, 'fates.json'), '-o', 'json'])
    assert.equal(status, 1, `${out}${err}`)
    assert.deepEqual(out.trimEnd().split('\n').map((line) => JSON.parse(line) as unknown), ['10.31.0.1:8080', '[fd00:10::a]:8080'].flatMap((end, number) => [
      { scenario: number, flow: 'served', observed: [end], masq: false, shares: { [end]: 1 } },
      { scenario: number, flow: 'unknown port', observed: 'REJECT', masq: null, shares: {} },
      { scenario: number, flow: 'unused address', observed: 'DROP', masq: null, shares: {} },
      { scenario: number, flow: 'nowhere', observed: '', masq: false, shares: {} },
    ]))
  })

  it('status 1 for a mismatch, in words', async () => {
    const file = JSON.parse(readFileSync(CASES, 'utf8')) as { scenarios: { flows: { output: unknown }[] }[] }
    const [, scenario] = file.scenarios
    assert.ok(scenario?.flows[0] !== undefined)
    scenario.flows[0].output = 'DROP'
    writeFileSync(path.join(dir, 'cases.json'), JSON.stringify({ scenarios: [scenario] }))
    const { status, out } = await lab(['run', path.join(dir, 'cases.json')])
    assert.equal(status, 1)
    assert.match(out, /^\[1\/1\] MISMATCH 0 +node ports on chosen addresses \(4 flows;/m)
    assert.match(out, /pod to cluster IP: expected DROP, observed 10\.31\.0\.1:80 10\.31\.2\.1:80$/m)
  })

  it('cleans up after Ctrl-C', async () => {
    const { status, err } = await lab(['run', CASES], /ok +0 /)
    assert.equal(status, 2)
    assert.match(err, /interrupted by SIGINT; the lab was removed/)
  })
})
