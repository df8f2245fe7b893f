// The canary of a real agent, which has NET_ADMIN and nothing else, beside real pods: proof, repair, alarm, restart, and what is left.
//
// **Invariant:** each test leaves the agent running and its table whole.
import assert from 'node:assert/strict'
import { ownCommand } from '../../src/lab/places.ts'
import { CANARY_CLIENT, CANARY_LINKS, CANARY_SERVER } from '../../src/model/canary.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { ingress, realPod } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n1', 2, { app: 'web' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'near' })
const ONLY_WEB = ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'web' } } }] })
const ANSWERS = { allowed: ['shop/web -> shop/db 8080/*'], denied: ['shop/near -> shop/db 8080/*'] }
const INTERVAL = 100
const METRICS = '127.0.0.1:9655'
/** With every capability but NET_ADMIN taken from root, as in the agent's container. */
const WITH_NET_ADMIN = ['setpriv', '--bounding-set', '-all,+net_admin', '--inh-caps', '-all']

interface Status {
  readonly repairs: number
  readonly counts: Readonly<Record<string, number>>
  readonly canary?: { readonly result: string; readonly since: string | null; readonly lastRound: string | null; readonly message: string }
  readonly problems: readonly { readonly code: string; readonly severity: string; readonly message: string }[]
}

for (const attachment of attachments()) describe(`the canary of a real agent, pods on ${attachment}`, function () {
  this.timeout(120_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ attachment, nodes: 1, namespaces: { shop: {} }, pods: [DB, WEB, NEAR], agents: false })
    await startAgent()
    await lab.policies(ONLY_WEB)
  })
  after(() => lab.close())

  async function startAgent(...flags: readonly string[]): Promise<void> {
    await lab.agents.start('n1', ['--canary-interval', `${INTERVAL}ms`, '--metrics-address', METRICS, ...flags], {}, WITH_NET_ADMIN)
    await lab.settle()
    await lab.pinned()
  }
  const status = async (): Promise<Status> => (await lab.agents.status('n1')) as unknown as Status
  const codes = ({ problems }: Status): readonly string[] => problems.map(({ code }) => code).filter((code) => code.startsWith('Canary'))
  const links = (): Map<string, number> =>
    new Map((JSON.parse(lab.run('n1', ['ip', '-j', 'link', 'show'])) as { ifname: string; ifindex: number }[]).filter(({ ifname }) => ifname.startsWith('picket-')).map(({ ifname, ifindex }) => [ifname, ifindex]))

  async function until(what: string, holds: (now: Status) => boolean, ms = 10_000): Promise<Status> {
    for (const end = Date.now() + ms; ; ) {
      const now = await status()
      if (holds(now)) return now
      if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}; ${JSON.stringify({ canary: now.canary, problems: now.problems })}`)
      await pause(20)
    }
  }
  /** A round that began after this was called has ended. */
  async function newRound(result: string): Promise<Status> {
    const before = (await status()).canary?.lastRound ?? null
    const first = await until('a round', ({ canary }) => (canary?.lastRound ?? null) !== before)
    const during = first.canary?.lastRound
    return until(`another round that is ${result}`, ({ canary }) => canary?.lastRound !== during && canary?.result === result)
  }
  async function rounds(): Promise<Readonly<Record<string, number>>> {
    const text = lab.run('n1', [process.execPath, '-e', `fetch('http://${METRICS}/metrics').then((r) => r.text()).then((t) => console.log(t))`])
    return Object.fromEntries([...text.matchAll(/^picket_canary_rounds_total\{family="(\d)",result="(\w+)"\} (\d+)$/gm)].map(([, family, result, count]) => [`${family} ${result}`, Number(count)]))
  }

  it('proves the table in both families, with NET_ADMIN alone, and is counted as no pod', async () => {
    const { canary, counts, problems } = await newRound('ok')
    const [since, last] = [canary?.since ?? '', canary?.lastRound ?? ''].map((time) => Date.parse(time)) as [number, number]
    assert.ok(since <= last && last <= Date.now(), JSON.stringify(canary))
    assert.equal((await newRound('ok')).canary?.since, canary?.since, 'it was so all the time')
    assert.deepEqual([canary?.message, counts['localPods'], counts['pendingPods'], problems], ['', 3, 0, []])
    const counted = await rounds()
    assert.ok((counted['4 ok'] ?? 0) > 0 && (counted['6 ok'] ?? 0) > 0, JSON.stringify(counted))
    assert.deepEqual([counted['4 leaked'], counted['6 leaked'], counted['4 dropped'], counted['6 dropped']], [0, 0, 0, 0])
    const bounding = lab.run('n1', ['sh', '-c', `grep -h CapEff /proc/${lab.agents.pid('n1')}/status`])
    assert.equal(Number.parseInt(bounding.split(/\s+/)[1] ?? '', 16), 1 << 12, 'more than NET_ADMIN')
  })

  it('costs pods nothing: flows lose no message, and no counter of theirs moves', async () => {
    const flows = await Promise.all(([4, 6] as const).flatMap((f) => [lab.flow('shop/web', 'shop/db', 'TCP', f), lab.flow('shop/web', 'shop/db', 'UDP', f)]))
    // What rules let pass are the flows' own packets.
    const others = (): string => lab.run('n1', ['nft', 'list', 'counters', 'table', 'inet', 'picket']).split('counter ').filter((one) => !one.includes('canary') && !one.startsWith('passed/')).join('')
    const before = others()
    for (let i = 0; i < 5; i++) await newRound('ok')
    assert.equal(others(), before)
    for (const flow of flows) {
      const { broken, answered, silences } = await flow.stop()
      assert.deepEqual([silences, broken, answered > 20], [[], null, true])
    }
    await lab.check(ANSWERS)
  })

  for (const command of ['flush ruleset', 'delete table inet picket', 'flush chain inet picket filter-forward-ingress', 'flush chain inet picket canary/egress']) {
    it(`nft ${command}: repaired, and no alarm`, async () => {
      const { repairs } = await status()
      lab.run('n1', ['nft', command])
      await until('a repair', (now) => now.repairs > repairs)
      const end = Date.now() + 4_000
      for (; Date.now() < end; await pause(50)) assert.deepEqual(codes(await status()), [])
      await newRound('ok')
      await lab.check(ANSWERS)
    })
  }

  it('tells a way past the table, which no reading of it shows, and that it is over', async () => {
    const { repairs } = await newRound('ok')
    lab.nft('n1', `table netdev past { chain c { type filter hook ingress device "${CANARY_CLIENT.link}" priority 0; fwd to "${CANARY_SERVER.link}"; }; }`)
    const told = await until('an alarm', (now) => codes(now).length > 0)
    assert.deepEqual([codes(told), told.canary?.result, told.repairs], [['CanaryLeaked'], 'leaked', repairs])
    const [problem] = told.problems
    assert.equal(problem?.severity, 'error')
    assert.match(problem?.message ?? '', /IPv4: 3 of 3 packets with a source that the client does not own came through; 3 of 3 packets that egress policy denies came through.*IPv6: 3 of 3/)
    assert.ok(((await rounds())['4 leaked'] ?? 0) >= 3)
    lab.nft('n1', 'delete table netdev past')
    const over = await until('the end of it', (now) => now.canary?.result === 'ok', 15_000)
    assert.deepEqual(codes(over), [])
  })

  it('is no alarm where another firewall drops what is forwarded, as Docker does', async () => {
    lab.nft('n1', 'table ip other { chain c { type filter hook forward priority filter; policy drop; iifname "picket-canary*" counter; ct state established,related accept; }; }')
    const now = await until('a word about it', ({ canary }) => canary?.message !== '')
    assert.deepEqual([now.canary?.result, codes(now)], ['ok', []])
    assert.match(now.canary?.message ?? '', /IPv4: .*another firewall of the node/)
    lab.nft('n1', 'delete table ip other')
    await newRound('ok')
  })

  it('is there again after somebody took its interfaces away, without an alarm', async () => {
    const before = links()
    lab.run('n1', ['ip', 'link', 'del', CANARY_CLIENT.link])
    lab.run('n1', ['ip', 'link', 'del', CANARY_SERVER.end])
    const now = await newRound('ok')
    assert.deepEqual(codes(now), [])
    assert.deepEqual([...links().keys()].sort(), [...CANARY_LINKS].sort())
    assert.notDeepEqual(links(), before)
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`is taken over by the next agent after ${signal}`, async () => {
      const before = links()
      await lab.agents.stop('n1', signal)
      assert.deepEqual(links(), before)
      await startAgent()
      await newRound('ok')
      assert.deepEqual(links(), before)
    })
  }

  it('is gone once an agent starts that is to have none, from the table and from the status, too', async () => {
    await lab.agents.stop('n1')
    await startAgent('--canary', 'false')
    assert.equal(links().size, 0)
    assert.doesNotMatch(lab.run('n1', ['nft', 'list', 'table', 'inet', 'picket']), /canary/)
    assert.equal((await status()).canary, undefined)
    await lab.check(ANSWERS)
    await lab.agents.stop('n1')
    await startAgent()
    await newRound('ok')
  })

  it('is gone after `picket cleanup`, and nothing else of the node is', async () => {
    await lab.agents.stop('n1')
    // What rules let pass are the flows' own packets.
    const others = (): string => lab.run('n1', ['sh', '-c', 'ip -o link | grep -v picket-; ip route; ip -6 route'])
    const kept = others().split('\n').filter((line) => !line.includes('picket-'))
    const text = lab.run('n1', [...ownCommand(), 'cleanup', '--socket', lab.agents.socket('n1')])
    assert.ok(text.includes(`\ninterfaces ${CANARY_LINKS.join(', ')}: removed\n`), text)
    assert.equal(links().size, 0)
    assert.deepEqual(others().split('\n'), kept)
    assert.doesNotMatch(lab.run('n1', [...ownCommand(), 'cleanup', '--socket', lab.agents.socket('n1')]), /interface/)
    await startAgent()
    await newRound('ok')
  })
})
