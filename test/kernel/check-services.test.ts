// `picket check --local` beside a real agent that translates Services, with real rules of others, and the commands it names run.
//
// **Invariant:** what a command is said to remove is gone when it has run, and nothing else is.
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Finding } from '../../src/check/finding.ts'
import { ownCommand } from '../../src/lab/places.ts'
import { TemporaryFolder } from '../support/cluster-follower.ts'
import { agentReady, checkIn, enter, inside, told, type Ran } from './check-support.ts'
import { ip, newNamespace, removeNamespaces } from './interfaces-support.ts'

const hasIptables = spawnSync('iptables-nft', ['--version']).status === 0
const SERVICE_CIDRS = '10.96.0.0/16,10.98.0.1/32,fd00:96::/112'
const SVC = 'KUBE-SVC-ERIFXISQEP7F7OF4'

describe('picket check where Picket translates Services', function () {
  this.timeout(60_000)
  let folder: TemporaryFolder
  let node = ''
  let count = 0
  let running: ChildProcess[] = []

  before(async () => {
    folder = await TemporaryFolder.make()
    mkdirSync(manifests())
  })
  beforeEach(async () => {
    node = newNamespace(`checks${(count += 1)}`)
    run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1', 'net.ipv6.conf.default.accept_dad=0', 'net.netfilter.nf_conntrack_tcp_timeout_close_wait=3600')
    ip(node, `link set lo up
      link add name eth0 type veth peer name far
      link set eth0 up
      link set far up
      addr add 192.0.2.1/24 dev eth0
      addr add fd00::1/64 dev eth0 nodad
      route add default via 192.0.2.2
      route add default via fd00::2`)
  })
  afterEach(async () => {
    await stop()
  })
  after(async () => {
    removeNamespaces()
    await folder.remove()
  })

  const manifests = (): string => path.join(folder.dir, 'manifests')
  const socket = (): string => path.join(folder.dir, `agent${count}.sock`)
  const run = (...command: readonly string[]): string => inside(node, command)
  const nft = (text: string): string => inside(node, ['nft', '-f', '-'], text)
  const check = (prefix: readonly string[] = []): Ran => checkIn(node, socket(), [], {}, prefix)
  const advice = ({ report }: Ran, name: Finding['check']): string => report.findings.find((one) => one.check === name && one.level !== 'ok')?.advice ?? ''

  function start(command: readonly string[]): void {
    running.push(spawn('nsenter', [...enter(node), ...command], { stdio: 'ignore' }))
  }
  async function stop(): Promise<void> {
    for (const child of running) {
      const isOver = child.exitCode !== null || child.signalCode !== null
      if (!isOver && child.kill('SIGKILL')) await once(child, 'exit')
    }
    running = []
  }
  /** The process that was started last has that name: nsenter is over. */
  async function named(name: string): Promise<void> {
    const comm = (): string => readFileSync(`/proc/${running.at(-1)?.pid}/comm`, 'utf8').trim()
    for (const until = Date.now() + 10_000; comm() !== name; await new Promise((resolve) => setTimeout(resolve, 10))) assert.ok(Date.now() < until, comm())
  }
  async function agent(...flags: readonly string[]): Promise<void> {
    const [metrics, health] = ['none', '127.0.0.1:9654']
    start([...ownCommand(), 'agent', '--node-name', 'n1', '--source', `manifests:${manifests()}`, '--socket', socket(), '--metrics-address', metrics, '--health-address', health, '--log-level', 'fatal', '--service-proxy', 'picket', ...flags])
    await agentReady(socket())
  }

  it('says so, and that nothing is beside it; where it is gone its rules still translate', async () => {
    await agent('--service-cidrs', SERVICE_CIDRS)
    const ran = check()
    assert.equal(told(ran, 'kube-proxy'), 'ok: Picket translates Services; no rules and no process of kube-proxy')
    assert.equal(told(ran, 'conntrack-mark'), "ok: no other rule sets connections' marks (serviceMarkMask 0xffffff00)")
    assert.match(told(ran, 'routes'), /^ok: .*\(2 families\)$/)
    assert.deepEqual([told(ran, 'sysctl').match(/^ok/gm)?.length, ran.status], [2, 0], told(ran, 'sysctl'))
    // As in a pod: no processes but one's own.
    const pod = ['unshare', '--pid', '--fork', '--mount-proc']
    assert.deepEqual(check([...pod, 'setpriv', '--bounding-set=-all,+net_admin']).report.findings, check(pod).report.findings)
    await stop()
    assert.match(told(check(), 'kube-proxy'), /^ok: Picket translates Services/)
  })
  it('a process of kube-proxy: in this network it runs, in another one it does not', async () => {
    const program = path.join(folder.dir, 'kube-proxy')
    copyFileSync(execFileSync('sh', ['-c', 'command -v sleep'], { encoding: 'utf8' }).trim(), program)
    await agent()
    const elsewhere = newNamespace('elsewhere')
    running.push(spawn('nsenter', [...enter(elsewhere), program, '600'], { stdio: 'ignore' }))
    await named('kube-proxy')
    assert.match(told(check(), 'kube-proxy'), /no process of kube-proxy$/)
    start([program, '600'])
    await named('kube-proxy')
    assert.match(told(check(), 'kube-proxy'), /^ok: Picket translates Services\nwarning: kube-proxy runs as well/)
  })
  it('in a namespace of processes, as in a pod, it does not say that kube-proxy does not run', async () => {
    await agent()
    nft('add table ip kube-proxy\n')
    const ran = check(['unshare', '--pid', '--fork', '--mount-proc'])
    assert.match(told(ran, 'kube-proxy'), /warning: rules of kube-proxy are here as well: table ip kube-proxy; whether it still runs is not seen/)
  })
  it('left-overs of mode nftables and of mode ipvs: the commands remove them', async () => {
    await agent()
    nft('add table ip kube-proxy\nadd chain ip kube-proxy services\nadd table ip6 kube-proxy\nadd table ip other\n')
    // This kernel has no dummy links: the name is what tells.
    ip(node, 'link add name kube-ipvs0 type bridge')
    const ran = check()
    assert.match(told(ran, 'kube-proxy'), /left of kube-proxy, .*: table ip kube-proxy, table ip6 kube-proxy, interface kube-ipvs0$/)
    // There is no ipvsadm where nobody used it.
    run('sh', '-ec', advice(ran, 'kube-proxy').replace('remove it: ', '').replace('; ipvsadm --clear', ''))
    assert.match(told(check(), 'kube-proxy'), /^ok: [^\n]*$/)
    assert.match(run('nft', 'list', 'tables'), /table ip other\n/)
  })
  if (hasIptables) {
    it('left-overs of mode iptables: the command removes them and leaves the chains of others', async () => {
      await agent()
      for (const program of ['iptables-nft', 'ip6tables-nft']) {
        for (const name of ['KUBE-SERVICES', 'KUBE-NODEPORTS', SVC, 'CNI-HOSTPORT-DNAT']) run(program, '-t', 'nat', '-N', name)
        run(program, '-t', 'nat', '-A', 'PREROUTING', '-m', 'comment', '--comment', 'kubernetes service portals', '-j', 'KUBE-SERVICES')
        run(program, '-t', 'nat', '-A', 'PREROUTING', '-j', 'CNI-HOSTPORT-DNAT')
        run(program, '-t', 'nat', '-A', 'KUBE-SERVICES', '-p', 'tcp', '--dport', '80', '-j', SVC)
        for (const name of ['KUBE-FORWARD', 'KUBE-FORWARDED', 'KUBE-FIREWALL']) run(program, '-N', name)
        run(program, '-A', 'FORWARD', '-j', 'KUBE-FORWARD')
        run(program, '-A', 'INPUT', '-j', 'KUBE-FIREWALL')
      }
      const ran = check()
      assert.match(told(ran, 'kube-proxy'), /left of kube-proxy, .*chain KUBE-\S+ and 2 more in ip nat/)
      assert.match(told(ran, 'kube-proxy'), /chain KUBE-FORWARD in ip6 filter/)
      run('sh', '-ec', advice(ran, 'kube-proxy').replace('remove it: ', ''))
      assert.match(told(check(), 'kube-proxy'), /^ok: [^\n]*$/)
      for (const program of ['iptables-nft', 'ip6tables-nft']) {
        assert.deepEqual(run(program, '-S').split('\n').filter((line) => !line.startsWith('-P')), ['-N KUBE-FIREWALL', '-N KUBE-FORWARDED', '-A INPUT -j KUBE-FIREWALL', ''])
        assert.deepEqual(run(program, '-t', 'nat', '-S').split('\n').filter((line) => !line.startsWith('-P')), ['-N CNI-HOSTPORT-DNAT', '-A PREROUTING -j CNI-HOSTPORT-DNAT', ''])
      }
      assert.match(run('nft', 'list', 'tables'), /table inet picket\n/)
    })
    it("iptables' CONNMARK: a warning in each family, since its bits are not shown", async () => {
      await agent()
      for (const program of ['iptables-nft', 'ip6tables-nft']) run(program, '-t', 'mangle', '-A', 'PREROUTING', '-j', 'CONNMARK', '--set-xmark', '0x80/0x80')
      run('iptables-nft', '-t', 'mangle', '-A', 'OUTPUT', '-j', 'MARK', '--set-xmark', '0x1/0x1')
      assert.deepEqual(told(check(), 'conntrack-mark').split('\n'), ['ip', 'ip6'].map((family) => `warning: chain PREROUTING of table ${family} mangle: CONNMARK, whose bits nf_tables does not show`))
    })
  }
  it('rules of nftables that set bits of ours, with the mask that the agent has; a mask that leaves them theirs', async () => {
    await agent()
    const rule = 'add table inet mesh\nadd chain inet mesh in { type filter hook prerouting priority mangle; }\n'
    nft(`${rule}add rule inet mesh in meta l4proto tcp ct mark set ct mark or 0x10\nadd rule inet mesh in meta mark set ct mark\n`)
    assert.equal(told(check(), 'conntrack-mark'), 'ok: chain in of table inet mesh sets bits 0x00000010: outside serviceMarkMask 0xffffff00')
    nft('add rule inet mesh in ct mark set ct mark and 0xfffffcff or 0x100\n')
    const ran = check()
    assert.match(told(ran, 'conntrack-mark'), /^error: chain in of table inet mesh sets bits 0x00000310, of which 0x00000300 are Picket's \(serviceMarkMask 0xffffff00\)/)
    assert.equal(ran.status, 1)
    const [, mask = ''] = /serviceMarkMask: "(0x[0-9a-f]+)"/.exec(advice(ran, 'conntrack-mark')) ?? []
    assert.equal(mask, '0xfffffc00')
    await stop()
    await agent('--service-mark-mask', mask)
    assert.equal(told(check(), 'conntrack-mark'), 'ok: chain in of table inet mesh sets bits 0x00000310: outside serviceMarkMask 0xfffffc00')
  })
  it('the mask of every kind of setting is read from the rules, the whole mark too', async () => {
    await agent('--service-mark-mask', '0xffffffff')
    assert.match(told(check(), 'conntrack-mark'), /serviceMarkMask 0xffffffff/)
  })
  it('a table whose name nft cannot take is named, and nothing else is held up by it', async () => {
    await agent()
    nft('add table ip a\nadd chain ip a c\nadd rule ip a c ct mark set 0x100\n')
    // The kernel takes any name, as JSON does. Without a table x nft would stop there.
    nft('add table ip x\n')
    run('nft', '-j', '-f', await folder.write('odd.json', JSON.stringify({ nftables: [{ add: { table: { family: 'ip', name: 'x;add table ip y' } } }] })))
    const ran = check()
    assert.match(told(ran, 'conntrack-mark'), /^error: chain c of table ip a sets the whole mark, .*\nwarning: table ip x;add table ip y cannot be read$/)
  })
  it('settings of connections that are lower than those of kube-proxy: the lines mend them', async () => {
    await agent()
    run('sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_timeout_close_wait=60', 'net.netfilter.nf_conntrack_tcp_timeout_established=600')
    const ran = check()
    assert.match(told(ran, 'sysctl'), /warning: lower than .*tcp_timeout_established is 600 \(kube-proxy: 86400\), .*tcp_timeout_close_wait is 60 \(kube-proxy: 3600\)$/m)
    const file = path.join(folder.dir, '90-picket.conf')
    run('sh', '-ec', advice(ran, 'sysctl').replaceAll('/etc/sysctl.d/90-picket.conf', file))
    // What else is lower here depends on the machine.
    const mended = told(check(), 'sysctl')
    for (const name of ['close_wait', 'established']) assert.doesNotMatch(mended, new RegExp(`tcp_timeout_${name} is`), mended)
  })
  it('no default route: a warning for each family, and the route that it names is enough', async () => {
    await agent('--service-cidrs', SERVICE_CIDRS)
    ip(node, 'route del default\nroute del ::/0\nroute add unreachable ::/0\nroute add unreachable default')
    const ran = check()
    assert.deepEqual(told(ran, 'routes').split('\n').map((line) => line.replace(/:[^:]*$/, '')), [
      'warning: no default route of IPv4, and none that covers 10.96.0.0/16, 10.98.0.1/32',
      'warning: no default route of IPv6, and none that covers fd00:96::/112',
    ])
    assert.equal(advice(ran, 'routes'), 'add one, such as ip route add 10.96.0.0/16 dev INTERFACE')
    ip(node, 'route add 10.96.0.0/14 dev eth0\nroute add fd00:96::/112 dev eth0')
    assert.match(told(check(), 'routes'), /^ok/)
  })
})
