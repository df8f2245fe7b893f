// The audit of a real agent under real packets: who was denied and why, with the names of the packets' time.
//
// Records are read from GET /flows on the agent's socket. **Invariant:** each test looks at records of its own ports only.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AgentRecord, AuditRecord, FlowRecord } from '../../src/flows/record.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, ingress, realPod, type PlainObject, type RealPod } from '../support/real-objects.ts'
import { echoRequest, tcpPacket, udpPacket, type Packet } from '../support/real-packets.ts'
import { forge, pause } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'

const READER = fileURLToPath(new URL('../support/read-nflog.ts', import.meta.url))

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n1', 2, { app: 'web' })
const FAR = realPod('shop/far', 'n2', 3, { app: 'far' })

type Annotations = Readonly<Record<string, string>>
const annotated = (policy: PlainObject, annotations: Annotations): PlainObject => ({ ...policy, metadata: { ...policy.metadata, annotations } })
const peer = (app: string): object => ({ podSelector: { matchLabels: { app } } })

for (const attachment of attachments()) describe(`the audit of an agent, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster
  let nextPort = 20_000

  before(async () => {
    lab = await RealCluster.open({ attachment, namespaces: { shop: {} }, pods: [DB, WEB, FAR], flags: ['--service-proxy', 'picket'] })
  })
  after(() => lab.close())

  /** Starts the agent of a node, and waits until it holds everything and reads. */
  async function start(node: string, flags: readonly string[] = []): Promise<void> {
    await lab.agents.start(node, flags)
    await lab.settle()
    for (const end = Date.now() + 10_000; ; await pause(20)) {
      const { audit } = (await lab.agents.status(node)) as unknown as { readonly audit?: { readonly healthy: boolean } }
      if (audit?.healthy === true) return
      assert.ok(Date.now() < end, 'it does not read')
    }
  }

  /** All that node tells, the oldest first. */
  async function records(node: string, query = ''): Promise<readonly AuditRecord[]> {
    const answer = await lab.agents.get(node, `/flows${query}`)
    assert.equal(answer?.status, 200, answer?.body)
    return answer.body.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as AuditRecord)
  }

  const isFlow = (record: AuditRecord): record is FlowRecord => record.type === 'verdict'

  /** Those of that destination port, as soon as they say so many packets, or after 3 s. */
  async function flows(node: string, port: number, packets: number): Promise<readonly FlowRecord[]> {
    for (const end = Date.now() + 8_000; ; await pause(50)) {
      const found = (await records(node)).filter(isFlow).filter(({ l4 }) => l4.destination_port === port)
      if (found.reduce((sum, { count }) => sum + count, 0) >= packets || Date.now() > end) return found
    }
  }

  const packets = (found: readonly FlowRecord[]): number => found.reduce((sum, { count }) => sum + count, 0)
  const port = (): number => (nextPort += 1)

  function send(from: RealPod, to: RealPod, destination: number, { protocol = 'UDP', source = 40_000, times = 1 } = {}): void {
    const one = (address: string, index: number): Packet => {
      const ends = { from: address, to: to.addresses[index] as string }
      return protocol === 'UDP' ? udpPacket(ends, { source, destination }) : tcpPacket(ends, { source, destination }, 'syn')
    }
    forge(lab, from.key, ...Array.from({ length: times }, () => from.addresses.map(one)).flat())
  }

  it('a deny-all with no rules is logged at both ends of the way, of both families, with who, what and why', async () => {
    await lab.policies(denyAll('shop'))
    const at = port()
    send(FAR, DB, at, { protocol: 'TCP' })
    const found = await flows('n2', at, 2)
    assert.deepEqual(found.map(({ ip }) => ip.family).sort((a, b) => a - b), [4, 6])
    for (const record of found) {
      const { verdict, reason, direction, is_reply, l4, source, destination, isolated_by, nearest_miss, policy, node, count, undecided, ruleset_revision, sampled } = record
      assert.deepEqual([verdict, reason, direction, is_reply, node, count, sampled], ['DROPPED', 'POLICY_DENIED', 'egress', false, 'n2', 1, 1])
      assert.deepEqual([l4.protocol, l4.source_port, l4.destination_port, l4.tcp_flags], ['TCP', 40_000, at, ['SYN']])
      assert.deepEqual([source.kind, source.namespace, source.pod, source.uid, source.labels, source.node], ['pod', 'shop', 'far', FAR.uid, { app: 'far' }, 'n2'])
      assert.deepEqual([destination.kind, destination.namespace, destination.pod, destination.uid, destination.service], ['pod', 'shop', 'db', DB.uid, null])
      assert.deepEqual(isolated_by, { total: 1, policies: [{ kind: 'NetworkPolicy', namespace: 'shop', name: 'deny-all', uid: 'policy:shop/deny-all' }] })
      assert.deepEqual([nearest_miss, policy, undecided], [null, null, []])
      assert.ok((ruleset_revision ?? 0) > 0)
    }
    await lab.policies(ingress('shop/in', { app: 'db' }))
    const then = port()
    send(FAR, DB, then)
    const received = await flows('n1', then, 2)
    assert.deepEqual(received.map(({ direction, l4, isolated_by }) => `${direction} ${l4.protocol} ${isolated_by?.policies[0]?.name}`), ['ingress UDP in', 'ingress UDP in'])
  })

  it('says which rule came nearest, and why it did not allow it', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }, { from: [peer('web')], ports: [{ protocol: 'UDP', port: 8080 }] }))
    const at = port()
    send(WEB, DB, at)
    for (const { nearest_miss: miss } of await flows('n1', at, 2)) {
      assert.deepEqual([miss?.policy.name, miss?.rule], ['in', 0])
      assert.match(miss?.why ?? '', /8080/)
    }
    assert.equal(packets(await flows('n1', at, 2)), 2)
  })

  it('packets of one kind are one record, or two; their number is exact', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }))
    const at = port()
    for (let round = 0; round < 5; round++) send(WEB, DB, at, { times: 2 })
    const found = await flows('n1', at, 20)
    assert.equal(packets(found), 20)
    assert.ok(found.length <= 4, `${found.length} records`)
  })

  it('an annotation has allowed connections logged within 2 s: once, with the rule and those that allow it too, and no reply', async () => {
    const policy = ingress('shop/in', { app: 'db' }, { from: [peer('web')] }, { ports: [{ protocol: 'UDP', port: 8080 }, { protocol: 'TCP', port: 8080 }] })
    await lab.policies(policy)
    await lab.policies(annotated(policy, { 'audit.picket.dev/log': 'all', 'audit.picket.dev/label': 'checkout' }))
    const before = Date.now()
    const flow = await lab.flow('shop/web', 'shop/db', 'UDP', 4)
    const six = await lab.flow('shop/web', 'shop/db', 'TCP', 6)
    await pause(1_000)
    const { answered } = await flow.stop()
    await six.stop()
    assert.ok(answered > 20, 'replies came')
    const found = (await records('n1')).filter(isFlow).filter(({ verdict, first_seen }) => verdict === 'FORWARDED' && Date.parse(first_seen) >= before - 5)
    assert.deepEqual(found.map(({ ip, l4 }) => `${l4.protocol} ${ip.family}`).sort(), ['TCP 6', 'UDP 4'], JSON.stringify(found.map(({ ip, l4 }) => [ip, l4])))
    for (const { reason, direction, count, policy: by, also, is_reply, label, source } of found) {
      assert.deepEqual([reason, direction, count, is_reply, label, source.pod], ['POLICY_ALLOW', 'ingress', 1, false, 'checkout', 'web'])
      assert.deepEqual([by?.name, by?.direction, also.map(({ name }) => name)], ['in', 'ingress', ['in']])
      assert.deepEqual(new Set([by?.index, ...also.map(({ index }) => index)]), new Set([0, 1]))
    }
    await lab.policies(annotated(policy, { 'audit.picket.dev/log': 'none' }))
    const at = port()
    send(FAR, DB, at, { protocol: 'TCP' })
    await pause(500)
    assert.deepEqual((await records('n1')).filter(isFlow).filter(({ l4 }) => l4.destination_port === at), [], 'none means none')
  })

  it('the Service that was called is named', async () => {
    const addresses = ['10.96.0.20', 'fd00:96::20']
    lab.put({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'db', namespace: 'shop', uid: 'service:db' }, spec: { clusterIP: addresses[0], clusterIPs: addresses, ipFamilies: ['IPv4', 'IPv6'], ports: [{ protocol: 'UDP', port: 53, targetPort: 5353 }] } } as unknown as PlainObject)
    for (const [index, address] of DB.addresses.entries()) {
      lab.put({ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: `db-${index}`, namespace: 'shop', uid: `slice:${index}`, labels: { 'kubernetes.io/service-name': 'db' } }, addressType: `IPv${index === 0 ? 4 : 6}`, endpoints: [{ addresses: [address], conditions: { ready: true }, nodeName: 'n1' }], ports: [{ name: '', protocol: 'UDP', port: 5353 }] } as unknown as PlainObject)
    }
    await lab.policies(ingress('shop/in', { app: 'db' }))
    forge(lab, WEB.key, ...WEB.addresses.map((from, index) => udpPacket({ from, to: addresses[index] as string }, { source: 40_500, destination: 53 })))
    const found = await flows('n1', 5353, 2)
    assert.deepEqual(found.map(({ destination }) => destination.service), addresses.map((cluster_ip) => ({ namespace: 'shop', name: 'db', port: 53, cluster_ip })))
    assert.deepEqual(found.map(({ destination }) => destination.pod), ['db', 'db'])
  })

  it('a pod that goes, and its address with another pod within a second: each packet has its own sender\'s name', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }))
    const at = port()
    for (const [round, name] of ['one', 'two', 'three'].entries()) {
      const pod = realPod(`shop/${name}`, 'n1', 40, { app: name })
      await lab.addPods(pod)
      await lab.settle()
      send(pod, DB, at, { source: 41_000 + round })
      await lab.endPod(pod.key)
      lab.drop(`Pod ${pod.key}`)
      await lab.settle()
    }
    const found = await flows('n1', at, 6)
    const names = found.map(({ l4, source, undecided }) => `${l4.source_port} ${source.pod} ${undecided.map(({ field }) => field).join()}`)
    assert.deepEqual([...new Set(names)].sort(), ['41000 one ', '41001 two ', '41002 three '])
  })

  it('an address that goes from pod to pod on another node: packets that are otherwise alike are told apart', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }))
    const at = port()
    for (const name of ['four', 'five', 'six']) {
      const pod = realPod(`shop/${name}`, 'n2', 41, { app: name })
      await lab.addPods(pod)
      await lab.settle()
      send(pod, DB, at, { source: 41_500, times: 3 })
      await pause(250)
      send(pod, DB, at, { source: 41_500, times: 2 })
      await pause(100)
      await lab.endPod(pod.key)
      lab.drop(`Pod ${pod.key}`)
      await lab.settle()
    }
    const found = await flows('n1', at, 30)
    const counts = new Map<string, number>()
    for (const { source, count, undecided } of found) {
      const name = `${source.pod} ${undecided.map(({ field, why }) => `${field} ${why}`).join()}`
      counts.set(name, (counts.get(name) ?? 0) + count)
    }
    assert.deepEqual([...counts], [['four ', 10], ['five ', 10], ['six ', 10]])
  })

  it('a ruleset that changes under a flood leaves no record unresolved, and the counts are exact', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }, { from: [peer('nobody')] }))
    const at = port()
    let sent = 0
    for (let round = 0; round < 6; round++) {
      const names = [...Array(1 + (round % 3)).keys()].map((index) => ingress(`shop/p${index}`, { app: 'db' }, { from: [peer(`nobody-${round}`)] }))
      const changing = lab.policies(ingress('shop/in', { app: 'db' }, { from: [peer('nobody')], ports: [{ protocol: 'UDP', port: 1000 + round }] }), ...names)
      for (let burst = 0; burst < 4; burst++) {
        send(WEB, DB, at, { source: 42_000 + round })
        sent += 2
        await pause(5)
      }
      await changing
    }
    const found = await flows('n1', at, sent)
    assert.equal(packets(found), sent)
    for (const { isolated_by, undecided } of found) {
      assert.ok((isolated_by?.total ?? 0) >= 1)
      assert.deepEqual(undecided.filter(({ why, field }) => why === 'unresolved' || !['ruleset_revision', 'policy.generation'].includes(field)), [])
    }
  })

  it('what is spoofed, and who is not a pod of this cluster, are told apart', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }))
    const at = port()
    forge(lab, 'outside', ...DB.addresses.map((to, index) => udpPacket({ from: lab.addressOf('outside', index === 0 ? 4 : 6), to }, { source: 43_000, destination: at })))
    const found = await flows('n1', at, 2)
    assert.deepEqual(found.map(({ source }) => [source.kind, source.pod]), [['external', null], ['external', null]])
    forge(lab, WEB.key, echoRequest({ from: WEB.addresses[0] as string, to: DB.addresses[0] as string }, 7))
    for (const end = Date.now() + 5_000; ; await pause(50)) {
      const icmp = (await records('n1')).filter(isFlow).filter(({ l4 }) => l4.protocol === 'ICMP')
      if (icmp.length === 0 && Date.now() < end) continue
      assert.deepEqual([icmp[0]?.source.pod, icmp[0]?.l4.icmp?.type, icmp[0]?.l4.destination_port], ['web', 8, null])
      break
    }
    if (attachment === 'bridge') return
    const spoof = port()
    forge(lab, WEB.key, ...FAR.addresses.map((from, index) => udpPacket({ from, to: DB.addresses[index] as string }, { source: 43_001, destination: spoof })))
    const spoofed = await flows('n1', spoof, 2)
    assert.deepEqual(spoofed.map(({ reason, source, direction }) => [reason, source.pod, direction]), [['SPOOFED', 'web', null], ['SPOOFED', 'web', null]])
  })

  it('a query of the socket filters, and a bad one is refused by name', async () => {
    const at = port()
    await lab.policies(ingress('shop/in', { app: 'db' }))
    send(WEB, DB, at)
    await flows('n1', at, 2)
    const some = (await records('n1', `?port=${at}/udp&from-pod=shop/web&verdict=DROPPED`)).filter(isFlow)
    assert.equal(packets(some), 2)
    assert.deepEqual((await records('n1', `?port=${at}&from-pod=shop/far`)).filter(isFlow), [])
    const refused = await lab.agents.get('n1', '/flows?verdict=MAYBE')
    assert.equal(refused?.status, 400)
    assert.match(refused.body, /verdict/)
  })

  // What follows does not depend on how pods are attached.
  if (attachment === 'bridge') return

  it('an agent that is started again reads on, says so, and knows the rules that another one made', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }))
    await lab.agents.stop('n1', 'SIGKILL')
    await start('n1', ['--service-proxy', 'picket'])
    const started = (await records('n1')).filter((record): record is AgentRecord => record.type === 'agent')
    assert.deepEqual(started.map(({ event, node }) => [event, node]), [['started', 'n1']])
    const at = port()
    send(WEB, DB, at)
    const found = await flows('n1', at, 2)
    assert.deepEqual(found.map(({ isolated_by, source }) => [isolated_by?.policies[0]?.name, source.pod]), [['in', 'web'], ['in', 'web']])
    const status = (await lab.agents.status('n1')) as unknown as { readonly problems: readonly { readonly code: string }[] }
    assert.deepEqual(status.problems.filter(({ code }) => code.startsWith('Audit')), [])
  })

  it('sinks get what their filter lets pass', async () => {
    const file = path.join(lab.places.folder, 'flows.log')
    const other = path.join(lab.places.folder, 'other.log')
    writeFileSync(other, '')
    await lab.agents.stop('n1')
    await start('n1', ['--audit-sinks', `file:${file}`, '--audit-sinks', `file:${other}?filter=verdict=FORWARDED`])
    const at = port()
    send(WEB, DB, at)
    const found = await flows('n1', at, 2)
    assert.equal(packets(found), 2)
    await lab.agents.stop('n1')
    const lines = (name: string): readonly AuditRecord[] => readFileSync(name, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as AuditRecord)
    assert.equal(packets(lines(file).filter(isFlow).filter(({ l4 }) => l4.destination_port === at)), 2)
    assert.deepEqual(lines(file).filter(({ type }) => type === 'agent').map((one) => (one as AgentRecord).event), ['started', 'stopped'])
    assert.deepEqual(lines(other).filter(isFlow), [])
    await start('n1')
  })

  it('a group that somebody else reads is a problem that names the setting, nothing else stops, and it is read once it is free', async () => {
    await lab.agents.stop('n2')
    const holder = spawn('nsenter', [`--net=${lab.testbed.netnsOf(lab.source('n2'))}`, '--', process.execPath, READER, '61'], { stdio: ['pipe', 'pipe', 'inherit'] })
    try {
      await once(holder.stdout, 'data')
      await lab.agents.start('n2')
      await lab.policies(denyAll('shop'))
      await lab.check({ denied: ['shop/far -> shop/db 8080/*'] })
      const problem = await audited('n2', true)
      assert.match(problem ?? '', /auditGroup/)
    } finally {
      holder.stdin.end()
      await once(holder, 'exit')
    }
    assert.equal(await audited('n2', false), null)
    const at = port()
    send(FAR, DB, at)
    assert.equal(packets(await flows('n2', at, 2)), 2)
  })

  /** The message of AuditGroupTaken, as soon as there is one, or none. */
  async function audited(node: string, isTaken: boolean): Promise<string | null> {
    for (const end = Date.now() + 25_000; ; await pause(200)) {
      const { problems } = (await lab.agents.status(node)) as unknown as { readonly problems: readonly { readonly code: string; readonly message: string }[] }
      const found = problems.find(({ code }) => code === 'AuditGroupTaken')?.message ?? null
      if ((found !== null) === isTaken || Date.now() > end) return found
    }
  }
})
