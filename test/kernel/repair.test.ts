// What others do to our table on the real kernel: noticed, put right, told; and what they do elsewhere is left alone.
//
// The agent's loop runs in this process, on a network namespace of the test's own, through both ways into the kernel.
// **Invariant:** only that namespace is touched, and it is gone afterwards.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { openKernel } from '../../src/kernel/open.ts'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { AgentWorld } from '../support/agent-world.ts'
import { hostInterface, ipBlock, namespace, node, pod, podPeer, podsOf, policy, port } from '../support/builders.ts'
import { upsert } from '../support/cluster-feed.ts'
import { sampled } from '../support/sample.ts'

const NETNS = `picket-repair-${process.pid}`
const PATH = `/run/netns/${NETNS}`
/** Rule 108: "noticed within 5 s". */
const NOTICED_MS = 5_000

function nft(text: string): void {
  const result = spawnSync('nsenter', [`--net=${PATH}`, 'nft', '-f', '-'], { input: text, encoding: 'utf8' })
  assert.equal(result.status, 0, `${text}: ${result.stderr}`)
}

/** The table without what counts and without the order of elements. */
function listed(): string {
  const result = spawnSync('nsenter', [`--net=${PATH}`, 'nft', 'list', 'table', 'inet', 'picket'], { encoding: 'utf8' })
  if (result.status !== 0) return ''
  const sorted = result.stdout.replace(/elements = \{([^}]*)\}/g, (_, inner: string) => `elements = { ${inner.trim().split(/,\s*/).sort().join(', ')} }`)
  // What was added again comes last.
  return sorted.replace(/packets \d+ bytes \d+/g, '').split(/\n\t\}\n/).sort().join('\n\t}\n')
}

async function until(what: string, holds: () => boolean, ms = NOTICED_MS): Promise<void> {
  const end = performance.now() + ms
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function handleOf(chain: string, index: number): number {
  const text = execFileSync('nsenter', [`--net=${PATH}`, 'nft', '-a', 'list', 'chain', 'inet', 'picket', chain], { encoding: 'utf8' })
  const handles = [...text.matchAll(/^\t\t.*# handle (\d+)$/gm)].map((m) => Number(m[1]))
  return handles.at(index) as number
}

function chainNamed(world: AgentWorld, prefix: string): string {
  return [...world.turns.translator.wanted.state.chains.keys()].find((name) => name.startsWith(prefix)) as string
}

function setNamed(world: AgentWorld, prefix: string, family: 4 | 6): string {
  return [...world.turns.translator.wanted.state.sets.keys()].find((name) => name.startsWith(prefix) && name.endsWith(`/v${family}`)) as string
}

/** Two pods, one isolated in both directions, of both families. */
function fill({ turns }: AgentWorld): void {
  const addresses = (i: number): string[] => [`10.0.0.${i}`, `fd00::${i}`]
  const pods = ['web', 'db'].map((name, i) => pod({ name, node: 'n1', addresses: addresses(i + 1), labels: { app: name }, sourcePrefixes: [] }))
  const rules = [
    { ports: [port(8080)], peers: [podPeer(podsOf('default', 'app=web')), ipBlock('10.7.0.0/16', '10.7.1.0/24'), ipBlock('fd07::/16')] },
    { ports: [port('5000-6000')], peers: [podPeer(podsOf('default', 'app=db'))] },
  ]
  upsert(turns.inbox, 'namespace', namespace())
  upsert(turns.inbox, 'node', node({ name: 'n1', addresses: ['192.0.2.1'] }))
  upsert(turns.inbox, 'pod', ...pods)
  upsert(turns.inbox, 'interface', ...pods.map((p, i) => hostInterface({ index: 10 + i, hostRoutes: p.addresses })))
  upsert(turns.inbox, 'policy', policy({ name: 'both', pods: 'app=db', ingress: rules, egress: rules }))
}

/** What somebody does, as nft text, and what the agent says of it. */
type Change = (world: AgentWorld) => { readonly text: string; readonly told: RegExp }

const family = (f: 4 | 6): readonly [string, Change][] => [
  [`an element of a pod's addresses goes (IPv${f})`, () => ({ text: `delete element inet picket pod-addresses-v${f} { "veth10" . ${f === 4 ? '10.0.0.1' : 'fd00::1'} }`, told: /pod-addresses-v.*1 missing/ })],
  [`an element of a selector's set comes (IPv${f})`, (w) => ({ text: `add element inet picket ${setNamed(w, 'pods/', f)} { ${f === 4 ? '10.66.0.6' : 'fd66::6'} }`, told: /set pods\/.*: 1 added/ })],
  [`an interval goes (IPv${f})`, (w) => ({
    text: `delete element inet picket ${setNamed(w, 'cidrs/', f)} { ${f === 4 ? '10.7.0.0/24' : 'fd07::/16'} }`,
    told: /set cidrs\/.*: 1 missing/,
  })],
  [`a set of intervals is flushed (IPv${f})`, (w) => ({ text: `flush set inet picket ${setNamed(w, 'cidrs/', f)}`, told: /set cidrs\/.*missing/ })],
]

const CHANGES: readonly (readonly [string, Change])[] = [
  ['a rule is deleted', () => ({ text: `delete rule inet picket settled handle ${handleOf('settled', 0)}`, told: /chain settled: rules/ })],
  ['a rule is added in front', () => ({ text: 'insert rule inet picket filter-forward-ingress accept', told: /chain filter-forward-ingress: rules/ })],
  ['a rule is replaced by another', () => ({ text: `replace rule inet picket unknown-pod handle ${handleOf('unknown-pod', -1)} accept`, told: /chain unknown-pod: rules/ })],
  ['rules are reordered', () => {
    const again = 'add rule inet picket filter-forward-egress meta iifkind "veth" iifname != @known-interfaces goto unknown-pod'
    return { text: `delete rule inet picket filter-forward-egress handle ${handleOf('filter-forward-egress', 0)}\n${again}`, told: /chain filter-forward-egress: rules/ }
  }],
  ['a chain is flushed', (w) => ({ text: `flush chain inet picket ${chainNamed(w, 'ingress/')}`, told: /chain ingress\/.*: rules/ })],
  ['the policy of a base chain is changed', () => ({ text: 'add chain inet picket filter-forward-egress { policy drop; }', told: /chain filter-forward-egress: another policy/ })],
  ['a base chain is deleted', () => ({ text: 'flush chain inet picket filter-forward-egress\ndelete chain inet picket filter-forward-egress', told: /chain filter-forward-egress: missing/ })],
  ['a chain of somebody else comes', () => ({
    text: 'add chain inet picket intruder { type filter hook forward priority -300; policy accept; }\nadd rule inet picket intruder iifname @pod-interfaces drop',
    told: /chain intruder: not ours/,
  })],
  ['a set of somebody else comes, of a type of its own', () => ({ text: 'add set inet picket theirs { typeof tcp option maxseg size; }\nadd element inet picket theirs { 1400 }', told: /set theirs: not ours/ })],
  ['a map of somebody else comes, with a verdict', (w) => ({ text: `add map inet picket theirs-too { type ipv4_addr : verdict; elements = { 1.2.3.4 : jump ${chainNamed(w, 'ingress/')} } }`, told: /map theirs-too: not ours/ })],
  ['a map of somebody else comes, with an element that Picket never writes', () => ({
    text: 'add map inet picket theirs-odd { type ifname : verdict; flags interval; elements = { "veth1*" : goto settled } }',
    told: /map theirs-odd: not ours/,
  })],
  ['a set is made again so that it cannot be read', () => ({
    text: 'flush chain inet picket filter-prerouting-spoof\nflush chain inet picket filter-forward-egress\ndelete set inet picket pod-prefixes-v6\nadd set inet picket pod-prefixes-v6 { type ifname; flags interval; elements = { "veth1*" }; }',
    told: /set pod-prefixes-v6: another type/,
  })],
  ['a counter of somebody else comes', () => ({ text: 'add counter inet picket their-counter', told: /counter their-counter: not ours/ })],
  ['a verdict map is emptied', () => ({ text: 'flush map inet picket ingress-by-interface', told: /map ingress-by-interface: elements: 2 missing/ })],
  ['a verdict is changed', () => ({
    text: 'delete element inet picket egress-by-interface { "veth11" }\nadd element inet picket egress-by-interface { "veth11" : accept }',
    told: /map egress-by-interface: elements: 1 changed/,
  })],
  ['a set goes together with the rules that name it', () => ({
    text: 'flush chain inet picket filter-prerouting-spoof\nflush chain inet picket filter-forward-egress\ndelete set inet picket pod-addresses-v4',
    told: /set pod-addresses-v4: missing/,
  })],
  ['a map goes together with the rules that name it', () => ({
    text: 'flush chain inet picket filter-forward-egress\nflush chain inet picket filter-input-egress\ndelete map inet picket egress-by-interface',
    told: /map egress-by-interface: missing/,
  })],
  ['a set is made again with another type', () => ({
    text: 'flush chain inet picket filter-prerouting-spoof\nflush chain inet picket filter-forward-egress\ndelete set inet picket pod-prefixes-v4\nadd set inet picket pod-prefixes-v4 { type ipv4_addr; }',
    told: /set pod-prefixes-v4: another type/,
  })],
  ['a counter goes together with the rules that name it', () => ({ text: 'flush chain inet picket unknown-pod\ndelete counter inet picket unknown-interface', told: /counter unknown-interface: missing/ })],
  ['the rules of the table are flushed', () => ({ text: 'flush table inet picket', told: /chain settled: rules/ })],
  ['the table is deleted', () => ({ text: 'delete table inet picket', told: /the table: missing/ })],
  ['everything is flushed', () => ({ text: 'flush ruleset', told: /the table: missing/ })],
  ...family(4),
  ...family(6),
]

describe('rule 108: repair, on the real kernel', function () {
  this.timeout(60_000)
  before(() => void execFileSync('ip', ['netns', 'add', NETNS]))
  after(() => void execFileSync('ip', ['netns', 'delete', NETNS]))

  const ways = ['libnftables', 'nft'] as const
  const chosen = new Set(sampled(ways.flatMap((access) => CHANGES.map(([title]) => `${access}: ${title}`))))
  for (const access of ways) {
    describe(access, () => {
      let kernel: Kernel
      let world: AgentWorld
      let reads = 0
      before(async () => {
        kernel = await openKernel({ access, netns: PATH })
        world = new AgentWorld(counting(kernel, () => reads++), systemClock)
        await kernel.watch(TABLE, (change) => world.committer.check(change))
        fill(world)
        world.turn()
        await until('first held', () => world.held.length > 0)
        await quiet()
      })
      after(async () => {
        await world.close()
        await kernel.close()
        nft('flush ruleset')
      })
      const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 700))

      for (const [title, change] of CHANGES) {
        if (!chosen.has(`${access}: ${title}`)) continue
        it(`is as it was where ${title}`, async () => {
          const before = listed()
          const repairs = world.repairs.length
          const { text, told } = change(world)
          nft(text)
          await until('repaired', () => world.repairs.length > repairs)
          const said = world.repairs.slice(repairs).flatMap((r) => r.differences).join('\n')
          assert.match(said, told)
          assert.match(world.repairs[repairs]?.by ?? '', /^nft \(process \d+\)$/)
          assert.equal(listed(), before)
          assert.deepEqual(world.problems, [])
        })
      }

      it('takes no commit of its own for somebody else\'s, and none of another table', async () => {
        await quiet()
        const [before, repairs] = [reads, world.repairs.length]
        for (let i = 0; i < 10; i++) {
          upsert(world.turns.inbox, 'policy', policy({ name: 'other', pods: 'app=web', ingress: [{ ports: [port(7000 + i)], peers: [ipBlock(`10.8.${i}.0/24`)] }] }))
          const held = world.held.length
          world.turn()
          await until('held', () => world.held.length > held)
        }
        nft('add table inet others\nadd set inet others s { type ipv4_addr; }\nadd chain inet others c')
        nft('add table ip picket')
        for (let i = 0; i < 30; i++) nft(`add element inet others s { 10.0.${i}.1 }\nadd rule inet others c ip saddr 10.0.${i}.1 drop\nadd counter ip picket c${i}`)
        await quiet()
        assert.equal(reads, before)
        assert.equal(world.repairs.length, repairs)
        nft('delete table inet others\ndelete table ip picket')
      })

      it('notices what happens beside its own commits', async () => {
        for (let i = 0; i < 10; i++) {
          const repairs = world.repairs.length
          upsert(world.turns.inbox, 'policy', policy({ name: 'other', pods: 'app=web', ingress: [{ ports: [port(7100 + i)] }] }))
          world.turn()
          nft('add element inet picket pod-addresses-v4 { "veth10" . 10.0.0.99 }')
          await until('repaired', () => world.repairs.length > repairs)
        }
        assert.ok(!listed().includes('10.0.0.99'))
      })

      it('finds by the timer what no notification told, rules too', async () => {
        await quiet()
        world.committer.check(null)
        await quiet()
        const repairs = world.repairs.length
        const before = listed()
        deaf = true
        nft('add rule inet picket settled accept\ndelete element inet picket self-v4 { 10.0.0.1 . 10.0.0.1 }')
        await quiet()
        deaf = false
        assert.equal(world.repairs.length, repairs)
        world.committer.check(null)
        await until('repaired', () => world.repairs.length > repairs)
        assert.match(world.repairs.at(-1)?.differences.join() ?? '', /chain settled: rules.*self-v4.*1 missing/)
        assert.match(world.repairs.at(-1)?.by ?? '', /^nobody knows/)
        assert.equal(listed(), before)
      })

      let deaf = false
      /** The kernel, with its read-backs counted, and deaf where a test wants that. */
      function counting(of: Kernel, count: () => void): Kernel {
        const watch = of.watch.bind(of)
        of.watch = (table, onChange) => watch(table, (change) => (deaf ? undefined : onChange(change)))
        const readBack = of.readBack.bind(of)
        of.readBack = (table) => {
          count()
          return readBack(table)
        }
        return of
      }
    })
  }
})
