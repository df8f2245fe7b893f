// Tables of others (rule 108): whatever the agent does to its own, theirs stay as they are, with their handles, whether they
// have our name in another family, our names inside, or our hooks.
//
// **Invariant:** what is compared is the kernel's own listing with handles: an object that was made again has another one.
import assert from 'node:assert/strict'
import { RealCluster } from '../support/real-cluster.ts'
import { egress, ingress, realPod } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import { withoutTraces } from '../support/table-text.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n1', 2, { app: 'web' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'near' })
const ONLY_WEB = ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'web' } } }] })
const ANSWERS = { allowed: ['shop/web -> shop/db 8080/*'], denied: ['shop/near -> shop/db 8080/*'] }

/** Ours in everything but the table. */
const INSIDE = `set pod-interfaces { type ifname; elements = { "veth*" }; flags interval; }
map ingress-by-interface { type ifname : verdict; elements = { "lo" : accept }; }
counter spoofed { packets 3 bytes 5 }
chain settled { counter accept; }
chain filter-forward-egress { type filter hook forward priority filter - 10; policy accept; jump settled; }
`.replaceAll('; }', '\n}').replaceAll(' { ', ' {\n').replaceAll('; ', '\n')
const THEIRS = ['inet pickets', 'inet other', 'ip picket', 'ip6 picket', 'arp picket', 'ip nat', 'netdev picket']
const TEXT = `table inet pickets {\n${INSIDE}}
table inet other {\n${INSIDE}}
table ip picket {\n${INSIDE}}
table ip6 picket {\n${INSIDE}}
table arp picket {\nchain in {\ntype filter hook input priority 0\ncounter\n}\n}
table ip nat {\nchain KUBE-POSTROUTING { }\nchain POSTROUTING {\ntype nat hook postrouting priority srcnat\ncounter jump KUBE-POSTROUTING\n}\n}
table netdev picket {\nset x {\ntype ipv4_addr\nflags dynamic,timeout\ntimeout 1h\n}\n}
`

for (const attachment of ['veth', 'bridge'] as const) describe(`tables of others, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ nodes: 1, namespaces: { shop: {} }, pods: [DB, WEB, NEAR], attachment, flags: ['--resync-interval', '1s'] })
    lab.nft('n1', TEXT)
    await lab.policies(ONLY_WEB)
  })
  after(() => lab.close())

  /** With handles: what was made again has others. */
  const theirs = (): readonly string[] => THEIRS.map((table) => withoutTraces(lab.run('n1', ['nft', '-a', 'list', 'table', ...table.split(' ')])))
  const repairs = async (): Promise<number> => Number(((await lab.agents.status('n1')) as unknown as { readonly repairs: number }).repairs)

  it('rule 108: they are as they were after edits, repairs and restarts, and what is done to them is no change of ours', async () => {
    const before = theirs()
    for (let i = 0; i < 5; i++) await lab.policies(ONLY_WEB, egress('shop/out', { app: 'near' }, { ports: [{ port: 80 + i }] }))
    await pause(1_500)
    assert.equal(await repairs(), 0)
    for (const change of ['flush table inet picket', 'delete table inet picket', 'add chain inet picket intruder', 'flush chain inet picket settled']) {
      const count = await repairs()
      lab.nft('n1', change)
      for (const until = Date.now() + 5_000; (await repairs()) === count; await pause(20)) assert.ok(Date.now() < until, change)
    }
    assert.deepEqual(theirs(), before)
    // The same changes to theirs are none of ours.
    const count = await repairs()
    for (const table of THEIRS.slice(0, 4)) lab.nft('n1', `add chain ${table} passing\ndelete chain ${table} passing\nadd rule ${table} settled counter\nadd element ${table} ingress-by-interface { "x" : drop }\ndelete element ${table} ingress-by-interface { "x" }\n`)
    const changed = theirs()
    await pause(1_500)
    assert.equal(await repairs(), count)
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await lab.agents.stop('n1', signal)
      await lab.agents.start('n1', ['--resync-interval', '1s'])
      await lab.policies(ONLY_WEB)
    }
    await lab.check(ANSWERS)
    assert.deepEqual(theirs(), changed)
  })
})
