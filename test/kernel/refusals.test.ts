// Two objects at once that the kernel refuses (rules 57, 105), with a real agent and under real packets: both are found in
// few tries, named, and closed in their direction only; whatever else was edited beside them is enforced.
//
// Pods are refused for themselves: prefixes that overlap behind one interface. For policies no such input is known, so a
// bug of the compiler is planted between the agent and nft: an element or a rule that leads to a chain that is not there. What
// changes elements alone goes past nft, so edits are of ranges of ports, which are rules.
// **Invariant:** each refusal is the kernel's own (ENOENT, EEXIST); each test ends with nothing in quarantine.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { RealCluster } from '../support/real-cluster.ts'
import { egress, ingress, podObject, realPod, type PlainObject, type RealPod } from '../support/real-objects.ts'

/** Policies that share a profile; with one more policy they make 16 owners. */
const SHARING = 15
const PORTS = Array.from({ length: SHARING }, (_, i) => ({ protocol: 'TCP', port: 7000 + i }) as const)
const SERVED = [...realPod('a/a', 'n1', 0).ports, ...PORTS]
const DB = realPod('shop/db', 'n1', 1, { app: 'db', tier: 'shared' }, { ports: SERVED })
const API = realPod('shop/api', 'n1', 2, { app: 'api', tier: 'shared' }, { ports: SERVED })
const WEB = realPod('shop/web', 'n1', 3, { app: 'web' })
const NEAR = realPod('shop/near', 'n1', 4, { app: 'near' })
const SOLO = realPod('shop/solo', 'n1', 5, { app: 'solo' })
const [WIDE, NARROW, WIDER, NARROWER, FREE, FREER] = ['wide', 'narrow', 'wider', 'narrower', 'free', 'freer'].map((name, i) => realPod(`edge/${name}`, 'n1', 10 + i, { app: 'edge' })) as [RealPod, RealPod, RealPod, RealPod, RealPod, RealPod]

const peer = (app: string) => ({ podSelector: { matchLabels: { app } } })
const prefixes = (text: string) => ({ metadata: { annotations: { 'picket.dev/source-prefixes': text } } })
/** Opens port 7000 + i of the pods that share a profile to web, and pairs of ports from each of `more` on. */
const shared = (i: number, ...more: readonly number[]): PlainObject => ingress(`shop/p${i}`, { tier: 'shared' }, { from: [peer('web')], ports: [{ port: 7000 + i }, ...more.map(pairOf)] })
const pairOf = (port: number) => ({ port, endPort: port + 1 })
const solo = (...more: readonly number[]): readonly PlainObject[] => [
  ingress('shop/solo-in', { app: 'solo' }, { from: [peer('web')], ports: [{ port: 8080 }] }),
  egress('shop/solo-out', { app: 'solo' }, { to: [peer('web')], ports: [{ port: 8080 }, ...more.map(pairOf)] }),
]
const EDGE = ingress('edge/in', { app: 'edge' }, { from: [{ namespaceSelector: {}, ...peer('web') }], ports: [{ port: 8080 }] })

interface Status {
  readonly problems: readonly { readonly code: string; readonly object: string; readonly field?: string; readonly message: string }[]
}

for (const attachment of ['veth', 'bridge'] as const) describe(`what the kernel refuses, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster
  let folder = ''
  const log = (): string => path.join(folder, 'log')
  const faults = (): string => path.join(folder, 'faults.sed')

  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'picket-refusals-'))
    plant()
    writeFileSync(path.join(folder, 'nft'), wrapper(), { mode: 0o755 })
    lab = await RealCluster.open({ nodes: 1, namespaces: { shop: {}, edge: {} }, pods: [DB, API, WEB, NEAR, SOLO, WIDE, NARROW, WIDER, NARROWER, FREE, FREER], attachment, agents: false })
    await start()
    await lab.policies(...all(shared), ...solo(), EDGE)
  })
  after(async () => {
    await lab.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const all = (policy: (i: number) => PlainObject): readonly PlainObject[] => Array.from({ length: SHARING }, (_, i) => policy(i))

  /** The real nft: tells of each commit and check, and whether a fault is in it. The process stays the same: its id is its port. */
  function wrapper(): string {
    const real = realNft()
    return `#!/bin/sh
case "$*" in *"-f -") ;; *) exec ${real} "$@" ;; esac
text=${folder}/text.$$
sed -f ${faults()} > "$text"
kind=commit; [ "$1" = -c ] && kind=check
said=whole; grep -q nowhere "$text" && said=faulty
echo "$kind $said" >> ${log()}
[ "$kind" = check ] && exec ${real} -c -f "$text"
exec ${real} -f "$text"
`
  }

  /** Elements for these ports, and rules for the pairs that begin with them, lead to a chain that is not there, from now on. */
  function plant(...ports: readonly number[]): void {
    writeFileSync(faults(), ports.map((port) => `s/\\(tcp \\. ${port} : [a-z]* \\)[^ ,]*/\\1nowhere/g\ns/tcp dport ${port}-.*/goto nowhere/\n`).join(''))
    writeFileSync(log(), '')
  }

  const lines = (): readonly string[] => readFileSync(log(), 'utf8').split('\n').slice(0, -1)
  const tries = (): number => lines().filter((line) => line.startsWith('check ')).length

  async function start(): Promise<void> {
    await lab.agents.start('n1', ['--kernel-access', 'nft', '--source-prefix-namespaces', 'edge'], { PATH: `${folder}:${process.env['PATH']}` })
    await lab.settle()
  }

  async function quarantined(): Promise<Status['problems']> {
    return ((await lab.agents.status('n1')) as unknown as Status).problems.filter(({ code }) => code === 'Quarantined')
  }

  const names = (problems: Status['problems']): readonly string[] => problems.map(({ object, field }) => [object, field].join(' ').trim()).sort()

  it('rules 57, 105: two policies, one in a profile that pods share: both named, closed in their direction only, all else is enforced', async () => {
    plant(6997, 6998)
    // Each is edited: everybody's edit but theirs is to be in force.
    await lab.policies(...all((i) => (i === 3 ? shared(i, 6997) : shared(i, 9090))), ...solo(6998), EDGE)
    const found = await quarantined()
    assert.deepEqual(names(found), ['NetworkPolicy shop/p3 spec.ingress', 'NetworkPolicy shop/solo-out spec.egress'])
    for (const { message } of found) assert.match(message, /the kernel refused it: .*No such file or directory/)
    assert.ok(tries() <= 2 * Math.log2(SHARING + 1) + 2, lines().join(', '))
    assert.equal(lines().filter((line) => line === 'commit faulty').length, 1, lines().join(', '))
    const ports = PORTS.filter(({ port }) => port !== 7003).map(({ port }) => port).join(' ')
    await lab.check({
      allowed: [`shop/web -> shop/db ${ports} 9090`, `shop/web -> shop/api ${ports} 9090`, 'shop/web -> shop/solo', 'shop/near -> shop/web'],
      denied: ['shop/web -> shop/db 7003', 'shop/web -> shop/api 7003', 'shop/near -> shop/db 7000', 'shop/near -> shop/solo', 'shop/solo -> shop/web 8080/*'],
    })
    await lab.policies(...all(shared), ...solo(), EDGE)
    plant()
    assert.deepEqual(await quarantined(), [])
    await lab.check({ allowed: ['shop/web -> shop/db 7003', 'shop/solo -> shop/web'], denied: ['shop/web -> shop/db 9090'] })
  })

  if (attachment === 'veth') it('rules 57, 105: two pods whose prefixes overlap others\', all in one profile: both named and closed, the others keep theirs', async () => {
    const behind = (pod: RealPod): string => /dev (\S+)/.exec(lab.run('n1', ['ip', 'route', 'get', pod.addresses[0] as string]))?.[1] as string
    const routes = ([[WIDE, NARROW], [WIDER, NARROWER]] as const).map(([wide, one]) => [`${one.addresses[0]}/32`, 'dev', behind(wide), 'metric', '999'])
    for (const route of routes) lab.run('n1', ['ip', 'route', 'add', ...route])
    lab.put(podObject(WIDE, prefixes('10.64.0.0/10')), podObject(WIDER, prefixes('10.64.0.0/10')))
    await lab.settle()
    plant()
    const [narrow, own] = [prefixes('10.64.1.0/24'), prefixes('10.200.0.0/16')]
    lab.put(podObject(NARROW, narrow), podObject(NARROWER, narrow), podObject(FREE, own), podObject(FREER, own))
    await lab.settle()
    const found = await quarantined()
    assert.deepEqual(found.map(({ object }) => /^Pod edge\/(wide|narrow)(er)?$/.exec(object)?.[2] ?? '').sort(), ['', 'er'], JSON.stringify(found))
    for (const { message } of found) assert.match(message, /the kernel refused it: .*(overlap|exists|conflict).*unknown pod's/i)
    assert.ok(tries() <= 2 * Math.log2(4) + 2, lines().join(', '))
    const closed = found.map(({ object }) => object.slice('Pod '.length))
    const others = [WIDE, NARROW, WIDER, NARROWER].map(({ key }) => key).filter((key) => !closed.includes(key))
    await lab.check({
      allowed: [...others, 'edge/free', 'edge/freer'].map((key) => `shop/web -> ${key}`),
      denied: [...closed.flatMap((key) => [`shop/web -> ${key} 8080/*`, `${key} -> shop/web 8080/*`]), 'shop/near -> edge/free', ...others.map((key) => `shop/near -> ${key}`)],
    })
    for (const route of routes) lab.run('n1', ['ip', 'route', 'del', ...route])
    assert.equal([...lab.listing('n1', 'inet picket').matchAll(/10\.200\.0\.0\/16/g)].length, 2)
    lab.put(...[WIDE, NARROW, WIDER, NARROWER, FREE, FREER].map((pod) => podObject(pod)))
    await lab.settle()
    assert.deepEqual(await quarantined(), [])
    await lab.check({ allowed: [WIDE, NARROW, WIDER, NARROWER].map(({ key }) => `shop/web -> ${key}`) })
  })

  it('rules 57, 105: at a first start, with no table there: two policies, and everything else is enforced', async () => {
    await lab.agents.stop('n1')
    lab.nft('n1', 'delete table inet picket\n')
    plant(7003, 8080)
    await start()
    const found = names(await quarantined())
    // 8080 is in both directions of solo, and of the edge.
    assert.deepEqual(found, ['NetworkPolicy edge/in spec.ingress', 'NetworkPolicy shop/p3 spec.ingress', 'NetworkPolicy shop/solo-in spec.ingress', 'NetworkPolicy shop/solo-out spec.egress'])
    await lab.check({
      allowed: ['shop/web -> shop/db 7000 7014', 'shop/web -> shop/api 7002 7004', 'shop/near -> shop/web'],
      denied: ['shop/web -> shop/db 7003', 'shop/web -> shop/solo', 'shop/solo -> shop/web', 'shop/web -> edge/free', 'shop/near -> shop/db 7000'],
    })
    plant()
    // Tried again after a second, and let go.
    for (const until = Date.now() + 10_000; (await quarantined()).length > 0 && Date.now() < until; ) await new Promise((resolve) => setTimeout(resolve, 100))
    assert.deepEqual(await quarantined(), [])
    await lab.check({ allowed: ['shop/web -> shop/db 7003', 'shop/web -> shop/solo', 'shop/solo -> shop/web', 'shop/web -> edge/free'] })
  })
})

function realNft(): string {
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    try {
      readFileSync(path.join(folder, 'nft'))
      return path.join(folder, 'nft')
    } catch {
      continue
    }
  }
  throw new Error('there is no program nft')
}
