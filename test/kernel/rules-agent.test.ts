// The agent as a process (rules 101-107) on real packets: stopped, killed, started again, asked, cleaned up after.
//
// **Invariant:** each test leaves an agent running on both nodes.
import assert from 'node:assert/strict'
import { FAMILIES } from '../../src/model/ip.ts'
import { ownCommand } from '../../src/lab/places.ts'
import { CANARY_LINKS } from '../../src/model/canary.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, egress, ingress, namespaceObject, podObject, policyObject, realPod, type PlainObject } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import { attachments, sampled } from '../support/sample.ts'
import { withoutTraces } from '../support/table-text.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' }, { ports: [...realPod('a/a', 'n1', 0).ports, { protocol: 'TCP', port: 9090, name: 'admin' }] })
const WEB = realPod('shop/web', 'n2', 2, { app: 'web' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'near' })
const FAR = realPod('other/far', 'n2', 4, {})

const from = (app: string) => ({ from: [{ podSelector: { matchLabels: { app } } }] })
const ONLY_WEB = ingress('shop/in', { app: 'db' }, from('web'))
const ONLY_NEAR = ingress('shop/in', { app: 'db' }, from('near'))
const WEB_ANSWERS = { allowed: ['shop/web -> shop/db 8080/*'], denied: ['shop/near -> shop/db 8080/*', 'other/far -> shop/db'] }
const NEAR_ANSWERS = { allowed: ['shop/near -> shop/db'], denied: ['shop/web -> shop/db', 'other/far -> shop/db'] }

interface Status {
  readonly ready: boolean
  readonly enforced: boolean
  readonly kernel: string
  readonly counts: Readonly<Record<string, number>>
  readonly problems: readonly { readonly code: string; readonly object: string; readonly source?: string; readonly field?: string; readonly message: string }[]
}

for (const attachment of attachments()) describe(`the agent as a process, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ attachment, namespaces: { shop: {}, other: {} }, pods: [DB, WEB, NEAR, FAR] })
  })
  after(() => lab.close())

  async function restart(node: string, signal: NodeJS.Signals = 'SIGTERM', flags: readonly string[] = []): Promise<void> {
    await lab.agents.stop(node, signal)
    await lab.agents.start(node, flags)
    await lab.settle()
  }

  const TABLES = attachment === 'bridge' ? ['inet picket', 'bridge picket'] : ['inet picket']

  const status = async (node: string): Promise<Status> => (await lab.agents.status(node)) as unknown as Status
  const table = (node: string): string => withoutTraces(lab.listing(node, 'inet picket'))
  /** What exists in the table, without what stands in it: order and elements aside. */
  const names = (node: string): readonly string[] => [...table(node).matchAll(/^\t(chain|set|map|counter) (\S+)/gm)].map(([, kind, name]) => `${kind} ${name}`).sort()

  const tests: Readonly<Record<string, () => Promise<void>>> = {
    'rule 102: without an agent the rules stay as they were, after SIGTERM and after SIGKILL': async () => {
      await lab.policies(ONLY_WEB)
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        const before = table('n1')
        await lab.agents.stop('n1', signal)
        assert.equal(table('n1'), before)
        await lab.check(WEB_ANSWERS)
        await lab.policies(ONLY_NEAR)
        assert.equal(table('n1'), before)
        await lab.agents.start('n1')
        await lab.settle()
        await lab.check(NEAR_ANSWERS)
        await lab.policies(ONLY_WEB)
        await lab.check(WEB_ANSWERS)
      }
    },
    'rule 101: a start reads back and converges; running flows lose nothing and nobody slips in': async () => {
      await lab.policies(ONLY_WEB, denyAll('other'), ingress('shop/range', { app: 'web' }, { from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.88.0.4/32'] } }] }))
      const flows = await Promise.all((['TCP', 'UDP'] as const).flatMap((protocol) => FAMILIES.map((family) => lab.flow('shop/web', 'shop/db', protocol, family))))
      const denied = await lab.flow('shop/near', 'shop/db', 'UDP', 4)
      const before = names('n1')
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        await restart('n1', signal)
        await restart('n2', signal)
      }
      assert.deepEqual(names('n1'), before)
      for (const flow of flows) {
        const { lost, broken, answered } = await flow.stop()
        assert.deepEqual({ lost, broken, some: answered > 100 }, { lost: 0, broken: null, some: true })
      }
      assert.equal((await denied.stop()).answered, 0)
    },
    'rule 101: killed at any moment of a change, the next start ends in the same table': async () => {
      await lab.policies(ONLY_NEAR)
      const wanted = names('n1')
      for (const ms of [0, 4, 8, 15, 25, 40]) {
        lab.put(...Array.from({ length: 20 }, (_, index) => ingress(`shop/extra-${index}`, { app: 'db' }, { from: [{ ipBlock: { cidr: `10.${index}.0.0/16` } }], ports: [{ port: 1000 + index + ms }] })))
        await lab.write()
        await pause(ms)
        await lab.agents.stop('n1', 'SIGKILL')
        await lab.agents.start('n1')
        await lab.policies(ONLY_NEAR)
        assert.deepEqual(names('n1'), wanted)
      }
      await lab.check(NEAR_ANSWERS)
    },
    'rule 101: whatever stands in a table of our name, a start ends in the right one': async () => {
      await lab.policies(ONLY_WEB)
      const wanted = names('n1')
      const strange: readonly string[] = [
        'chain filter-forward-egress { type filter hook forward priority 5; policy drop; }\nset pod-interfaces { type ipv4_addr; elements = { 10.0.0.1 }; }',
        'map egress-by-interface { type ifname : mark; elements = { "eth0" : 7 }; }\nset self-v4 { type ipv4_addr . ipv4_addr; flags interval; }\nchain other { goto another; }\nchain another { meta mark set 1 accept; }',
        'quota limited { over 1 mbytes }\nset long { type inet_service; flags timeout; timeout 1h; size 100; elements = { 80 timeout 5m }; }\nchain x { type nat hook postrouting priority 100; masquerade; }\nlimit slow { rate 1/second }',
        'set counted { type ipv4_addr; counter; elements = { 10.0.0.1 counter packets 3 bytes 5 }; }\nchain settled { accept; }\nchain filter-forward-ingress { type filter hook forward priority -5; policy accept; jump settled; }',
      ]
      for (const text of strange) {
        await lab.agents.stop('n1')
        lab.nft('n1', `delete table inet picket\ntable inet picket {\n${text.replaceAll('; }', '\n}').replaceAll(' { ', ' {\n').replaceAll('; ', '\n')}\n}\n`)
        await lab.agents.start('n1')
        await lab.settle()
        assert.deepEqual(names('n1'), wanted)
        await lab.check(WEB_ANSWERS)
      }
    },
    'rule 103: nothing is written, and /readyz says no, before everything was read': async () => {
      await lab.policies(...Array.from({ length: 2_000 }, (_, index) => policyObject(`shop/many-${index}`, { podSelector: { matchLabels: { app: `x${index}` } } })), ONLY_WEB)
      await lab.agents.stop('n1')
      lab.nft('n1', TABLES.map((one) => `delete table ${one}\n`).join(''))
      await lab.agents.start('n1')
      const seen: string[] = []
      for (const until = Date.now() + 20_000; Date.now() < until; ) {
        const listed = lab.run('n1', ['nft', 'list', 'tables']).includes('picket') ? 'table' : 'no table'
        const answer = await lab.agents.get('n1', '/readyz')
        if (answer !== null) seen.push(`${answer.status} ${answer.status === 200 ? '' : listed}`.trim())
        if (answer?.status === 200) break
        await pause(5)
      }
      assert.equal(seen.at(-1), '200')
      assert.ok(seen.includes('503 no table'), seen.join(', '))
      await lab.check(WEB_ANSWERS)
      assert.match(table('n1'), /chain ingress\//)
      await lab.policies(ONLY_WEB)
    },
    'rule 105: one bad object does not keep the others from being enforced, and is reported until it is mended': async () => {
      const bad = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'bad', namespace: 'other', uid: 'policy:bad' }, spec: 'nonsense' }
      lab.put({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'odd', namespace: 'other', uid: 'pod:odd' }, status: { podIPs: 7 } })
      await lab.policies(bad, ONLY_WEB)
      await lab.check({ allowed: WEB_ANSWERS.allowed, denied: ['shop/near -> shop/db 8080/*', 'shop/web -> other/far', 'other/far -> shop/web'] })
      const { problems } = await status('n2')
      for (const object of ['NetworkPolicy other/bad', 'Pod other/odd']) {
        const found = problems.find((one) => one.object === object)
        assert.match(found?.source ?? '', /\.json, document 1$/, JSON.stringify(problems))
      }
      lab.drop('Pod other/odd')
      await lab.policies(ONLY_WEB)
      assert.deepEqual((await status('n2')).problems, [])
      await lab.check({ allowed: ['shop/web -> other/far', 'other/far -> shop/web'] })
    },
    'rule 105: an edit that cannot be read leaves the last good version in force; after a restart it fails closed': async () => {
      await lab.policies(ONLY_WEB)
      await lab.policies({ ...ONLY_WEB, spec: { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from: 'web' }] } })
      await lab.check(WEB_ANSWERS)
      assert.equal((await status('n1')).problems.length, 1)
      await restart('n1')
      await lab.check({ denied: ['shop/web -> shop/db', 'shop/near -> shop/db'], allowed: ['shop/web -> shop/near'] })
      await lab.policies(ONLY_WEB)
      await lab.check(WEB_ANSWERS)
    },
    'rule 106: names of 253 characters with dots, namespaces of 63, keys and values at their longest': async () => {
      const space = `n${'s'.repeat(61)}x`
      const name = (last: string): string => `${Array.from({ length: 4 }, () => 'p'.repeat(62)).join('.')}.${last}`
      assert.equal(name('a').length, 253)
      const [key, value] = [`${'d'.repeat(60)}.${'e'.repeat(60)}.${'f'.repeat(60)}/${'k'.repeat(63)}`, 'v'.repeat(63)]
      const labels = (last: string) => ({ [key.slice(0, -1) + last]: value })
      const [one, two] = [realPod(`${space}/${name('1')}`, 'n1', 40, labels('1')), realPod(`${space}/${name('2')}`, 'n2', 41, labels('2'))]
      lab.put(namespaceObject(space, { [key]: value }))
      await lab.addPods(one, two)
      const rule = (last: string): PlainObject => ingress(`${space}/${name(last)}`, labels('1'), { from: [{ namespaceSelector: { matchLabels: { [key]: value } }, podSelector: { matchLabels: labels(last) } }], ports: [{ port: last === '2' ? 8080 : 9090 }] })
      await lab.policies(rule('2'), rule('3'))
      await lab.check({ allowed: [`${two.key} -> ${one.key} 8080`, `shop/near -> ${two.key}`], denied: [`${two.key} -> ${one.key} 9090`, `shop/near -> ${one.key}`] })
      for (const { key: pod } of [one, two]) {
        await lab.endPod(pod)
        lab.drop(`Pod ${pod}`)
      }
      lab.drop(`Namespace ${space}`)
      await lab.policies(ONLY_WEB)
      assert.deepEqual((await status('n1')).problems, [])
    },
    'rule 107: chains and sets go with what needed them': async () => {
      await lab.policies()
      const free = [names('n1'), names('n2')]
      for (let round = 0; round < 6; round++) {
        const some = Array.from({ length: 5 + round }, (_, index) => ingress(`shop/churn-${index}`, { app: index % 2 === 0 ? 'db' : 'near' }, { from: [{ ipBlock: { cidr: `10.${round}.${index}.0/24` } }, { namespaceSelector: {}, podSelector: { matchLabels: { app: `c${round}` } } }], ports: [{ port: 100 * round + index + 1, endPort: 100 * round + index + 9 }, { port: 'admin' }] }))
        await lab.policies(...some, egress(`shop/out-${round}`, {}, { to: [{ podSelector: {} }], ports: [{ port: 'admin' }] }))
      }
      assert.ok(names('n1').length > (free[0]?.length ?? 0))
      await lab.policies()
      assert.deepEqual([names('n1'), names('n2')], free)
    },
    'a second agent on the same socket is refused, and the first goes on': async () => {
      const [program = '', ...args] = lab.agents.command('n1', [])
      const second = lab.run('n1', ['sh', '-c', '"$@" 2>&1; echo "status $?"', 'sh', program, ...args])
      assert.match(second, /^picket: socket \S+: another agent answers there; [^\n]*\nstatus 2\n$/)
      assert.equal((await status('n1')).ready, true)
      await lab.policies(ONLY_NEAR)
      await lab.check(NEAR_ANSWERS)
    },
    'the socket answers what it is asked, and says what it expects': async () => {
      const statuses = await Promise.all(['/livez', '/readyz', '/status', '/nothing', '/status/wait', '/status/wait?digest=x&timeoutMs=-1', '/status/wait?digest=x&timeoutMs=1'].map(async (path) => (await lab.agents.get('n1', path))?.status))
      assert.deepEqual(statuses, [200, 200, 200, 404, 400, 400, 504])
    },
    'picket cleanup removes our table and nothing else, and finds nothing the second time': async () => {
      await lab.policies(ONLY_WEB, denyAll('other'))
      await lab.agents.stop('n1')
      lab.nft('n1', 'table inet keep {\nchain c { type filter hook forward priority 0; }\n}\ntable ip picket {\n}\n')
      const others = (): string => lab.listing('n1', 'inet keep') + lab.listing('n1', 'ip picket')
      const before = others()
      const cleanup = (...flags: readonly string[]): string => lab.run('n1', [...ownCommand(), 'cleanup', ...flags])
      assert.equal(cleanup(), `removed: ${TABLES.map((one) => `table ${one}`).join(', ')}\ninterfaces ${CANARY_LINKS.join(', ')}: removed\n`)
      assert.equal(others(), before)
      assert.equal(lab.run('n1', ['nft', 'list', 'tables']).split('\n').filter((line) => line !== '').length, 2)
      assert.deepEqual(JSON.parse(cleanup('-o', 'json')), { removed: [] })
      await lab.check({ allowed: ['shop/near -> shop/db', 'shop/web -> shop/db'] })
      lab.nft('n1', 'delete table inet keep\ndelete table ip picket\n')
      await lab.agents.start('n1')
      await lab.settle()
      await lab.check(WEB_ANSWERS)
    },
    'spawned nft does what libnftables does, and either takes over the other\'s table': async () => {
      await lab.policies(ONLY_WEB)
      await restart('n1', 'SIGTERM', ['--kernel-access', 'nft'])
      assert.match((await status('n1')).kernel, /^nft/)
      await lab.check(WEB_ANSWERS)
      await lab.policies(ingress('shop/in', { app: 'db' }, { ...from('near'), ports: [{ port: 'admin' }, { port: 8080, protocol: 'UDP' }] }, { from: [{ ipBlock: { cidr: '10.88.0.0/16', except: ['10.88.0.2/32'] } }], ports: [{ port: 8080 }] }))
      const expected = { allowed: ['shop/near -> shop/db 9090 8080/UDP', 'shop/near -> shop/db 8080 v4', 'other/far -> shop/db 8080 v4'], denied: ['shop/near -> shop/db 8080 v6', 'shop/near -> shop/db 9090/UDP', 'shop/web -> shop/db 8080 9090', 'other/far -> shop/db 9090'] }
      await lab.check(expected)
      const spawned = names('n1')
      await restart('n1', 'SIGTERM', ['--kernel-access', 'libnftables'])
      assert.match((await status('n1')).kernel, /^libnftables/)
      assert.deepEqual(names('n1'), spawned)
      await lab.check(expected)
      await restart('n1')
    },
    'a pod that no interface leads to is NotEnforced until one does': async () => {
      await lab.policies(ONLY_WEB)
      const pod = realPod('shop/macvlan', 'n1', 50, {})
      lab.put(podObject(pod))
      await lab.settle()
      const { enforced, problems } = await status('n1')
      const found = problems.filter((one) => one.object === 'Pod shop/macvlan')
      assert.deepEqual([enforced, found.map((one) => one.code)], [false, ['NotEnforced']], JSON.stringify(problems))
      assert.match(found[0]?.message ?? '', /10\.88\.0\.50/)
      assert.deepEqual((await status('n2')).problems, [])
      await lab.runPod(pod)
      for (const until = Date.now() + 5_000; !(await status('n1')).enforced && Date.now() < until; ) await pause(10)
      assert.deepEqual((await status('n1')).problems, [])
      await lab.endPod('shop/macvlan')
      lab.drop('Pod shop/macvlan')
      await lab.settle()
    },
  }
  const every = Object.keys(tests).filter((title) => /^(rule 102|rule 105: one|picket cleanup)/.test(title))
  for (const title of sampled(Object.keys(tests), { every })) it(title, () => tests[title]?.())
})
