// The lab's testbed on the real kernel: who answers whom, what a rule of the node does to it, and that nothing is left over.
//
// **Invariant:** namespaces of this file's own prefix only; the machine's own network is compared, never changed.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { namespacesOf } from '../../src/lab/leftovers.ts'
import { openTestbed } from '../../src/lab/open-testbed.ts'
import type { PodSpec, ProbeRequest, ProbeResult, ProbeSource, Testbed } from '../../src/lab/testbed.ts'
import { familyOf } from '../../src/model/ip.ts'
import { PROTOCOLS } from '../../src/model/objects.ts'

const PREFIX = 'pk-testbed-'
const PORTS = PROTOCOLS.flatMap((protocol) => [8080, 9090].map((port) => ({ protocol, port })))
/** Milliseconds: ample for a busy machine; a test whose probes are all answered never waits for it. */
const ANSWERED = 5000
/** For probes of which some are denied: those that are not must answer within it. */
const DENIED = 1500

function podOn(node: string, key: string, last: number): PodSpec {
  return { key, node, addresses: [`10.88.0.${last}`, `fd00:88::${last}`], ports: PORTS }
}

const PODS = [podOn('n1', 'shop/web', 1), podOn('n2', 'shop/api', 2), podOn('n1', 'shop/db', 3), podOn('n2', 'other/web', 4)]
const sourceOf = (pod: PodSpec): ProbeSource => ({ kind: 'pod', key: pod.key })

interface Expected extends ProbeRequest {
  readonly to: string
}

function everyProbe(sources: readonly ProbeSource[], targets: readonly PodSpec[]): readonly Expected[] {
  const to = (pod: PodSpec) => pod.addresses.flatMap((address) => pod.ports.map((port) => ({ address, ...port, to: pod.key })))
  return sources.flatMap((from) => targets.flatMap(to).map((target) => ({ from, ...target })))
}

function describeResult(result: ProbeResult | undefined): string {
  if (result?.kind === 'answered') return `answered by ${result.by}`
  return result?.kind ?? 'nothing'
}

/** Each probe with what became of it, as text: a difference shows itself. */
async function outcomes(testbed: Testbed, probes: readonly Expected[], deadline: number): Promise<readonly string[]> {
  const results = await testbed.probe(probes, deadline)
  return probes.map((probe, index) => `${nameOf(probe.from)} ${probe.address} ${probe.port}/${probe.protocol}: ${describeResult(results[index])}`)
}

function expectedOutcomes(probes: readonly Expected[], denied: (probe: Expected) => string | null): readonly string[] {
  return probes.map((probe) => `${nameOf(probe.from)} ${probe.address} ${probe.port}/${probe.protocol}: ${denied(probe) ?? `answered by ${probe.to}`}`)
}

function nameOf(source: ProbeSource): string {
  return source.kind === 'pod' ? source.key : source.kind === 'node' ? source.name : 'outside'
}

function nft(netns: string, text: string): void {
  const { status, stderr } = spawnSync('nsenter', [`--net=${netns}`, '--', 'nft', '-f', '-'], { input: text, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
}

function rules(testbed: Testbed, rule: string): void {
  const table = 'table inet testbed'
  const established = 'ct state invalid drop\nct state established accept'
  for (const node of testbed.nodes) {
    nft(node.netns, `${table} {}\ndelete ${table}\n${table} {\nchain forward {\ntype filter hook forward priority 0\n${established}\n${rule}\n}\n}\n`)
  }
}

function noRules(testbed: Testbed): void {
  for (const node of testbed.nodes) nft(node.netns, 'table inet testbed {}\ndelete table inet testbed\n')
}

/** The machine's own links, addresses, routes and tables. Lifetimes of addresses run down by themselves. */
function ownNetwork(): string {
  const commands = ['ip link', 'ip address', 'ip -4 route show table all', 'ip -6 route show table all', 'nft list ruleset']
  const output = commands.map((command) => spawnSync('sh', ['-c', command], { encoding: 'utf8' }).stdout).join('\n')
  return output.replace(/(valid_lft|preferred_lft|expires) \d+sec/g, '')
}

describe('the testbed', function () {
  this.timeout(30_000)
  const folder = mkdtempSync(path.join(os.tmpdir(), 'testbed-'))
  let atFirst: string
  let testbed: Testbed

  before(async () => {
    atFirst = ownNetwork()
    testbed = await openTestbed({ prefix: PREFIX, outsideAddresses: ['203.0.113.5', '2001:db8::5'] })
    await Promise.all([testbed.addNode('n1'), testbed.addNode('n2')])
    await Promise.all(PODS.map((pod) => testbed.addPod(pod)))
  })

  after(async () => {
    await testbed.close()
    rmSync(folder, { recursive: true })
    assert.deepEqual(namespacesOf(PREFIX), [])
    assert.equal(ownNetwork(), atFirst)
  })

  afterEach(() => noRules(testbed))

  it('every pod answers every pod, node and the outside host, on both families and all protocols', async () => {
    const sources: ProbeSource[] = [...PODS.map(sourceOf), { kind: 'node', name: 'n1' }, { kind: 'node', name: 'n2' }, { kind: 'outside' }]
    const probes = everyProbe(sources, PODS)
    assert.deepEqual(await outcomes(testbed, probes, ANSWERED), expectedOutcomes(probes, () => null))
  })

  it('the server sees the pod\'s own address', async () => {
    const probes = everyProbe(PODS.map(sourceOf), PODS)
    const results = await testbed.probe(probes, ANSWERED)
    results.forEach((result, index) => {
      const probe = probes[index] as Expected
      const own = PODS.find((pod) => pod.key === nameOf(probe.from))?.addresses.find((address) => familyOf(address) === familyOf(probe.address))
      assert.equal(result.kind === 'answered' ? result.source : result.kind, own)
    })
  })

  it('nodes and the outside host answer pods, at every address', async () => {
    const hosts = [...testbed.nodes, { name: 'outside', ...testbed.outside }]
    const targets = hosts.map(({ name, addresses }) => ({ key: name, node: '', addresses, ports: testbed.hostPorts }))
    const probes = everyProbe([sourceOf(PODS[0] as PodSpec)], targets)
    assert.equal(probes.length, 24)
    assert.deepEqual(await outcomes(testbed, probes, ANSWERED), expectedOutcomes(probes, () => null))
  })

  it('a drop rule silences exactly what it names', async () => {
    rules(testbed, 'ip daddr 10.88.0.2 tcp dport 8080 drop\nip6 daddr fd00:88::2 udp dport 8080 drop\nip daddr 10.88.0.2 meta l4proto sctp drop')
    const probes = everyProbe(PODS.map(sourceOf), PODS)
    const denied = (probe: Expected): string | null => {
      if (nameOf(probe.from) === 'shop/api') return null
      const named = (probe.address === '10.88.0.2' && (probe.protocol === 'SCTP' || (probe.protocol === 'TCP' && probe.port === 8080))) ||
        (probe.address === 'fd00:88::2' && probe.protocol === 'UDP' && probe.port === 8080)
      return named ? 'silent' : null
    }
    assert.deepEqual(await outcomes(testbed, probes, DENIED), expectedOutcomes(probes, denied))
    noRules(testbed)
    assert.deepEqual(await outcomes(testbed, probes, ANSWERED), expectedOutcomes(probes, () => null))
  })

  for (const verdict of ['reject with icmpx admin-prohibited', 'reject with icmpx port-unreachable']) {
    it(`${verdict} is heard by every probe, long before the deadline`, async () => {
      rules(testbed, `ip daddr 10.88.0.2 ${verdict}\nip6 daddr fd00:88::2 ${verdict}`)
      const probes = everyProbe([sourceOf(PODS[0] as PodSpec)], PODS)
      const started = performance.now()
      assert.deepEqual(await outcomes(testbed, probes, ANSWERED), expectedOutcomes(probes, (probe) => (probe.to === 'shop/api' ? 'rejected' : null)))
      assert.ok(performance.now() - started < ANSWERED / 2)
    })
  }

  it('a port without a server rejects', async () => {
    const from = sourceOf(PODS[0] as PodSpec)
    const probes = ['10.88.0.2', 'fd00:88::2'].flatMap((address) => PROTOCOLS.map((protocol) => ({ from, address, protocol, port: 81 })))
    const messages = (await testbed.probe(probes, ANSWERED)).map((result) => (result.kind === 'rejected' ? result.message : result.kind))
    assert.deepEqual(messages, ['ECONNREFUSED', 'ICMP: port unreachable', 'SCTP ABORT', 'ECONNREFUSED', 'ICMPv6: port unreachable', 'SCTP ABORT'])
  })

  it('an address that nobody has is silent; an unknown source, and a family that the source lacks, fail', async () => {
    await testbed.addPod({ key: 'shop/v4-only', node: 'n1', addresses: ['10.88.0.9'], ports: PORTS })
    const web = sourceOf(PODS[0] as PodSpec)
    const results = await testbed.probe([
      ...PROTOCOLS.map((protocol) => ({ from: web, address: '10.88.9.9', protocol, port: 8080 })),
      { from: { kind: 'pod', key: 'shop/nobody' }, address: '10.88.0.1', protocol: 'TCP', port: 8080 },
      { from: { kind: 'pod', key: 'shop/v4-only' }, address: 'fd00:88::1', protocol: 'TCP', port: 8080 },
      { from: { kind: 'pod', key: 'shop/v4-only' }, address: '10.88.0.2', protocol: 'TCP', port: 8080 },
    ], 300)
    await testbed.removePod('shop/v4-only')
    assert.deepEqual(results.map((result) => result.kind), ['silent', 'silent', 'silent', 'failed', 'failed', 'answered'])
  })

  it('a pod that is made again elsewhere with the same addresses answers at once, from everywhere', async () => {
    const sources: ProbeSource[] = [...PODS.slice(1).map(sourceOf), { kind: 'node', name: 'n1' }, { kind: 'outside' }]
    for (const node of ['n2', 'n1', 'n1', 'n2', 'n1']) {
      await testbed.removePod('shop/web')
      const moved = podOn(node, 'shop/web', 1)
      await testbed.addPod(moved)
      const probes = everyProbe(sources, [moved])
      assert.deepEqual(await outcomes(testbed, probes, ANSWERED), expectedOutcomes(probes, () => null))
    }
  })

  it('a source that is removed while it asks fails, and nobody else does', async () => {
    await testbed.addPod(podOn('n1', 'shop/brief', 6))
    const sources: ProbeSource[] = [{ kind: 'pod', key: 'shop/brief' }, sourceOf(PODS[1] as PodSpec)]
    const probes = sources.map((from) => ({ from, address: '10.88.0.3', protocol: 'TCP' as const, port: 8080 }))
    const asked = testbed.probe(Array.from({ length: 20 }, () => probes).flat(), ANSWERED)
    await Promise.all([testbed.removePod('shop/brief'), asked])
    const kinds = (await asked).map((result) => result.kind)
    assert.deepEqual(new Set(kinds.filter((_, index) => index % 2 === 1)), new Set(['answered']))
    assert.deepEqual((await testbed.probe(probes, ANSWERED)).map((result) => result.kind), ['failed', 'answered'])
  })

  it('an address belongs to the pod that took it last; the end of an earlier holder takes nothing away', async () => {
    await testbed.addPod(podOn('n1', 'shop/old', 7))
    await testbed.addPod(podOn('n2', 'shop/new', 7))
    await testbed.removePod('shop/old')
    const probes = everyProbe([...PODS.map(sourceOf), { kind: 'outside' }], [podOn('n2', 'shop/new', 7)])
    assert.deepEqual(await outcomes(testbed, probes, ANSWERED), expectedOutcomes(probes, () => null))
    await testbed.removePod('shop/new')
  })

  it('a node that comes later knows the pods, and its end takes its pods along', async () => {
    await testbed.addNode('n3')
    await testbed.addPod(podOn('n3', 'shop/late', 8))
    const fromLate = everyProbe([{ kind: 'node', name: 'n3' }, { kind: 'pod', key: 'shop/late' }], PODS)
    const probes = [...fromLate, ...everyProbe(PODS.map(sourceOf), [podOn('n3', 'shop/late', 8)])]
    assert.deepEqual(await outcomes(testbed, probes, ANSWERED), expectedOutcomes(probes, () => null))
    await testbed.removeNode('n3')
    assert.deepEqual(testbed.nodes.map((node) => node.name), ['n1', 'n2'])
    assert.throws(() => testbed.hostInterface('shop/late'), /the lab has no pod shop\/late/)
  })

  it('the host interface is a veth of the node with the pod\'s host routes', () => {
    const name = testbed.hostInterface('shop/api')
    const netns = testbed.netnsOf({ kind: 'node', name: 'n2' })
    const show = (family: string): string => spawnSync('nsenter', [`--net=${netns}`, 'ip', family, 'route', 'show', 'dev', name], { encoding: 'utf8' }).stdout
    assert.match(show('-4'), /^10\.88\.0\.2 /)
    assert.match(show('-6'), /^fd00:88::2 /m)
  })

  it('servers can be added; a person gets HTTP', async () => {
    await testbed.serve({ kind: 'pod', key: 'shop/api' }, [{ protocol: 'TCP', port: 80 }])
    const ask = 'exec 3<>/dev/tcp/10.88.0.2/80; printf "GET / HTTP/1.1\\r\\n\\r\\n" >&3; grep -q "^shop/api at 10.88.0.2:80, asked by 10.88.0.1" <&3'
    assert.equal(await testbed.exec(sourceOf(PODS[0] as PodSpec), ['bash', '-c', ask]), 0)
    assert.equal(await testbed.exec({ kind: 'outside' }, ['false']), 1)
  })

  for (const protocol of ['UDP', 'TCP'] as const) {
    it(`a ${protocol} flow counts what is answered, and what a rule takes away`, async () => {
      const flow = await testbed.openFlow(sourceOf(PODS[0] as PodSpec), 'fd00:88::2', protocol, 8080, { packetsPerSecond: 200 })
      await sleep(500)
      const well = await flow.stats()
      assert.ok(well.answered > 50 && well.lost === 0 && well.duplicated === 0 && well.broken === null, JSON.stringify(well))
      assert.deepEqual(Object.keys(well.by), ['shop/api'])
      const cutting = 'table inet testbed { chain cut { type filter hook forward priority -10; ip6 daddr fd00:88::2 drop; }; }'
      for (const node of testbed.nodes) nft(node.netns, cutting)
      await sleep(900)
      const cut = await flow.stats()
      assert.ok(cut.lost > 30 && cut.longestGapMs > 500, JSON.stringify(cut))
      const end = await flow.stop()
      assert.equal(end.lost, end.sent - end.answered)
      const [silence] = end.silences
      assert.deepEqual([end.silences.length, silence?.first, silence?.last, silence?.nextSentAt], [1, end.answered, end.sent - 1, null])
      assert.deepEqual(await flow.stats(), end)
    })
  }

  for (const protocol of ['UDP', 'TCP'] as const) {
    for (const [family, address, match] of [[4, '10.88.0.2', 'ip saddr'], [6, 'fd00:88::2', 'ip6 saddr']] as const) {
      it(`a ${protocol} download over IPv${family} comes by itself, counts what is missing, and ends where a rule takes it away`, async () => {
        const flow = await testbed.openFlow(sourceOf(PODS[0] as PodSpec), address, protocol, 8080, { packetsPerSecond: 200, direction: 'download' })
        await sleep(500)
        const well = await flow.stats()
        assert.ok(well.answered > 50 && well.lost === 0 && well.duplicated === 0 && well.broken === null && well.silences.length === 0, JSON.stringify(well))
        assert.deepEqual(Object.keys(well.by), ['shop/api'])
        const ruled = (rule: string): void => {
          for (const node of testbed.nodes) nft(node.netns, `table inet streams { chain cut { type filter hook forward priority -10; ${match} ${address} ${rule}; }; }`)
        }
        const away = (): void => {
          for (const node of testbed.nodes) nft(node.netns, 'delete table inet streams')
        }
        ruled('drop')
        await sleep(300)
        const quiet = (await flow.stats()).answered
        away()
        for (const until = Date.now() + 3_000; (await flow.stats()).answered < quiet + 20; ) {
          assert.ok(Date.now() < until, 'does not come again')
          await sleep(20)
        }
        const again = await flow.stats()
        // TCP brings what was missed; of datagrams it stays missed, and is told from where to where.
        if (protocol === 'TCP') assert.equal(again.lost, 0)
        else assert.ok(again.lost > 20 && again.silences.length === 1 && again.longestGapMs > 200, JSON.stringify(again))
        ruled('drop')
        const ruledAt = Date.now()
        await sleep(400)
        const end = await flow.stop()
        away()
        assert.ok(Number(end.lastAnswerAt) <= ruledAt + 20 && end.silences.at(-1)?.nextSentAt === null, JSON.stringify(end))
        assert.deepEqual(await flow.stats(), end)
      })
    }
  }

  it('a TCP flow to where nobody listens is refused', async () => {
    await assert.rejects(testbed.openFlow({ kind: 'outside' }, '10.88.0.2', 'TCP', 81, { packetsPerSecond: 10 }), /ECONNREFUSED/)
  })

  it('processes run in their node\'s namespace, log to their file, and end', async () => {
    const logFile = path.join(folder, 'agent.log')
    const script = 'echo "$GREETING"; ip -br address show dev uplink; exec sleep 100'
    const running = await testbed.start('n1', ['bash', '-c', script], { logFile, env: { GREETING: 'hello' } })
    for (let tries = 0; tries < 100 && !(existsSync(logFile) && readFileSync(logFile, 'utf8').includes('uplink')); tries++) await sleep(20)
    assert.match(readFileSync(logFile, 'utf8'), /^hello\nuplink.*192\.168\.61\.11\//)
    running.kill('SIGTERM')
    assert.deepEqual(await running.ended, { code: null, signal: 'SIGTERM' })
  })

  it('bad input is refused with a word on what was expected', async () => {
    await assert.rejects(testbed.addPod(PODS[0] as PodSpec), /shop\/web exists in the lab already/)
    await assert.rejects(testbed.addPod(podOn('n9', 'shop/x', 20)), /the lab has no node n9/)
    await assert.rejects(testbed.addPod({ ...podOn('n1', 'shop/x', 20), addresses: ['10.0.0.300'] }), /address 10\.0\.0\.300/)
    await assert.rejects(testbed.addNode('underlay'), /node name underlay/)
    await assert.rejects(openTestbed({ prefix: 'Wrong' }), /lab prefix Wrong/)
  })
})

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
