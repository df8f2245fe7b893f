// What each rule of a policy let pass, and what each isolated pod was denied: by real agents, on real packets, to the packet and the byte.
//
// **Invariant:** each count is compared with what was sent since the beginning, whatever happened to the ruleset and the agent in between.
import assert from 'node:assert/strict'
import { ownCommand } from '../../src/lab/places.ts'
import { FAMILIES, type Family } from '../../src/model/ip.ts'
import { parseExposition, type Exposition } from '../support/exposition.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { egress, ingress, podObject, realPod } from '../support/real-objects.ts'
import { udpPacket } from '../support/real-packets.ts'
import { forge } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n1', 2, { app: 'web' })
const FAR = realPod('shop/far', 'n2', 3, { app: 'far' })
const FLAGS = ['--canary', 'false']

const udp = (port: number) => ({ ports: [{ protocol: 'UDP', port }] as const })
const from = (app: string) => ({ from: [{ podSelector: { matchLabels: { app } } }] })
/** Rules 0 and 1 have the same peers, and each one port; rule 2 is for everybody; rule 3 for a range. */
const RULES = [{ ...from('web'), ...udp(8080) }, { ...from('web'), ...udp(9090) }, udp(7070), { ...from('far'), ports: [{ protocol: 'UDP', port: 5000, endPort: 5010 }] }] as const
const IN = ingress('shop/in', { app: 'db' }, ...RULES)
const OUT = egress('shop/out', { app: 'web' }, { to: [{ podSelector: { matchLabels: { app: 'db' } } }] })

/** Of a rule `shop/in 0`, or of a pod `shop/db ingress`. */
interface Count {
  packets: number
  bytes: number
}

for (const attachment of attachments()) describe(`counters of rules and pods, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster
  const sent: Record<string, Count> = {}

  before(async () => {
    lab = await RealCluster.open({ attachment, namespaces: { shop: {} }, pods: [DB, WEB, FAR], flags: FLAGS })
    await lab.policies(IN, OUT)
  })
  after(() => lab.close())

  /** So many datagrams of `size` bytes to shop/db, each family; `as`: what they are to be counted for. */
  function send(client: string, port: number, packets: number, size: number, ...as: readonly string[]): void {
    for (const family of FAMILIES) {
      const ends = { from: lab.addressOf(client, family), to: lab.addressOf('shop/db', family) }
      forge(lab, client, ...Array.from({ length: packets }, () => udpPacket(ends, { source: 4_000 + port, destination: port }, size)))
      for (const what of as) {
        const count = (sent[what] ??= { packets: 0, bytes: 0 })
        count.packets += packets
        count.bytes += packets * (header(family) + 8 + size)
      }
    }
  }

  function scrape(): Exposition {
    const script = "fetch('http://127.0.0.1:9655/metrics').then((r) => r.text()).then((text) => process.stdout.write(text))"
    return parseExposition(lab.run('n1', [process.execPath, '-e', script]))
  }

  function counted(): Readonly<Record<string, Count>> {
    const metrics = scrape()
    return Object.fromEntries(Object.keys(sent).map((what) => [what, { packets: valueOf(metrics, what, 'packets'), bytes: valueOf(metrics, what, 'bytes') }]))
  }

  function explained(client: string, port: number): { readonly egress: Count | undefined; readonly ingress: Count | undefined; readonly text: string } {
    const command = [...ownCommand(), 'explain', '--source', `socket:${lab.agents.socket('n1')}`, '--from', client, '--to', 'shop/db', '--port', `${port}/udp`]
    const { flows } = JSON.parse(lab.run('n1', [...command, '--output', 'json'], { mayFail: true })) as { readonly flows: readonly { readonly legs: readonly Readonly<Record<'egress' | 'ingress', { readonly counted?: Count }>>[] }[] }
    const [leg] = flows[0]?.legs ?? []
    return { egress: leg?.egress.counted, ingress: leg?.ingress.counted, text: lab.run('n1', command, { mayFail: true }) }
  }

  /** Some of everything, and then all of it counted exactly. */
  function trafficIsCounted(): void {
    send('shop/web', 8080, 3, 10, 'shop/in 0', 'shop/out 0')
    send('shop/web', 9090, 2, 100, 'shop/in 1', 'shop/out 0')
    send('shop/web', 7070, 1, 1, 'shop/in 2', 'shop/out 0')
    send('shop/far', 7070, 4, 2, 'shop/in 2')
    send('shop/far', 5005, 2, 3, 'shop/in 3')
    send('shop/far', 8080, 5, 7, 'shop/db ingress')
    send('shop/web', 6060, 1, 9, 'shop/db ingress', 'shop/out 0')
    assert.deepEqual(counted(), sent)
  }

  const STEPS: readonly (readonly [string, () => Promise<void>])[] = [
    ['packets and bytes of each rule, and of what a pod is denied', async () => {}],
    ['kept over an edit of another policy', async () => lab.policies(IN, egress('shop/out', { app: 'web' }, { to: [{ podSelector: { matchLabels: { app: 'db' } } }, { podSelector: { matchLabels: { app: 'nobody' } } }] }))],
    ['kept over an edit of another rule of the same policy', async () => lab.policies(ingress('shop/in', { app: 'db' }, ...RULES.slice(0, 3), { ...from('far'), ports: [{ protocol: 'UDP', port: 5000, endPort: 5020 }] }), OUT)],
    ["kept over a change of the pod's labels that brings another policy", async () => {
      lab.put(podObject({ ...DB, labels: { app: 'db', tier: 'gold' } }))
      await lab.policies(IN, OUT, ingress('shop/gold', { tier: 'gold' }))
    }],
    ['kept over the end of that policy, and a while in which no pod is of the others', async () => {
      lab.put(podObject({ ...DB, labels: { app: 'none' } }))
      await lab.settle()
      await lab.until('n1', (listing) => !listing.includes('passed/shop/in/'))
      lab.put(podObject(DB))
      await lab.policies(IN, OUT)
    }],
  ]
  for (const [title, change] of STEPS) {
    it(title, async () => {
      await change()
      trafficIsCounted()
    })
  }

  it('picket explain says what the rule let pass, and what the pod was denied', () => {
    const passed = explained('shop/web', 8080)
    assert.deepEqual([passed.egress, passed.ingress], [sent['shop/out 0'], sent['shop/in 0']])
    assert.ok(passed.text.includes(`counted: this rule let pass ${sent['shop/in 0']?.packets} packets (${sent['shop/in 0']?.bytes} bytes) on node n1\n`), passed.text)
    const denied = explained('shop/far', 8080)
    assert.deepEqual([denied.egress, denied.ingress], [undefined, sent['shop/db ingress']])
    assert.ok(denied.text.includes(`counted: ${sent['shop/db ingress']?.packets} packets (${sent['shop/db ingress']?.bytes} bytes) of this pod were denied on node n1\n`), denied.text)
  })

  it('kept over what somebody else does to the rules, which are put right', async () => {
    lab.nft('n1', 'flush map inet picket dropped-ingress-by-interface\nflush chain inet picket count-dropped-ingress\n')
    await lab.until('n1', (listing) => /chain count-dropped-ingress \{[^}]*counter name/.test(listing))
    await lab.settle()
    trafficIsCounted()
  })

  it('a policy that is deleted and made again counts from 0, and what is gone is told for a while', async () => {
    await lab.policies(OUT)
    assert.deepEqual(counted(), sent, 'the last values')
    const uid = 'another'
    await lab.policies({ ...IN, metadata: { ...IN.metadata, uid } }, OUT)
    for (const rule of [0, 1, 2, 3]) sent[`shop/in ${rule}`] = { packets: 0, bytes: 0 }
    trafficIsCounted()
    await lab.policies(IN, OUT)
  })

  it('over the cap there is one sum, in which nothing is lost', async () => {
    // From here on by the kernel's own counters: the agent that remembered more is gone.
    await lab.agents.stop('n1', 'SIGKILL')
    await lab.agents.start('n1', [...FLAGS, '--metrics-counters', '1'])
    await lab.settle()
    const before = scrape()
    const all = (metrics: Exposition, name: string): number => metrics.series.filter((one) => one.name === name).reduce((sum, { value }) => sum + value, 0)
    send('shop/web', 8080, 3, 10)
    send('shop/far', 8080, 5, 7)
    const after = scrape()
    const grown = ['picket_policy_packets_total', 'picket_policy_bytes_total', 'picket_pod_dropped_packets_total', 'picket_pod_dropped_bytes_total'].map((name) => all(after, name) - all(before, name))
    const bytes = (packets: number, size: number): number => FAMILIES.reduce((sum, family) => sum + packets * (header(family) + 8 + size), 0)
    assert.deepEqual(grown, [12, 2 * bytes(3, 10), 10, bytes(5, 7)])
    assert.ok((after.value('picket_counters_left_out') ?? 0) >= 5)
    assert.ok((after.value('picket_policy_packets_total', { overflow: 'true' }) ?? 0) >= 6)
  })

  it('kept over a restart of the agent, SIGKILL included, to the packet', async () => {
    await lab.agents.stop('n1', 'SIGKILL')
    await lab.agents.start('n1', FLAGS)
    await lab.settle()
    const names = Object.keys(sent)
    const before = counted()
    for (const name of names) sent[name] = { ...(before[name] as Count) }
    assert.ok(names.every((name) => (before[name]?.packets ?? 0) > 0) || names.some((name) => (before[name]?.packets ?? 0) > 0))
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      trafficIsCounted()
      await lab.agents.stop('n1', signal)
      // Without an agent the kernel counts on.
      send('shop/web', 8080, 2, 5, 'shop/in 0', 'shop/out 0')
      send('shop/far', 8080, 1, 5, 'shop/db ingress')
      await lab.agents.start('n1', FLAGS)
      await lab.settle()
      assert.deepEqual(counted(), sent)
    }
  })
})

function header(family: Family): number {
  return family === 4 ? 20 : 40
}

function valueOf(metrics: Exposition, what: string, unit: keyof Count): number {
  const [key = '', rest = ''] = what.split(' ')
  const [namespace = '', name = ''] = key.split('/')
  if (rest === 'ingress' || rest === 'egress') return metrics.value(`picket_pod_dropped_${unit}_total`, { namespace, pod: name, direction: rest }) ?? NaN
  return metrics.value(`picket_policy_${unit}_total`, { namespace, policy: name, direction: name === 'out' ? 'egress' : 'ingress', rule: rest }) ?? NaN
}
