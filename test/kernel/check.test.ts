// `picket check --local` as a process in namespaces with real interfaces and tables of others, and the whole check from
// outside with pods that really look: what they see is what is there, and they leave it as it was.
//
// **Invariant:** the namespace's tables, with their handles, and its interfaces are the same before and after every check.
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { ClusterReport } from '../../src/check/cluster.ts'
import { ownCommand } from '../../src/lab/places.ts'
import { CheckStage } from '../support/check-stage.ts'
import { kubeconfigText, PODS, TemporaryFolder } from '../support/cluster-follower.ts'
import { agentReady, checkIn, enter, inside as runInside, told, type Ran } from './check-support.ts'
import { ip, newNamespace, removeNamespaces } from './interfaces-support.ts'

describe('picket check on real nodes', function () {
  this.timeout(60_000)
  let folder: TemporaryFolder
  let node = ''
  let count = 0

  before(async () => (folder = await TemporaryFolder.make()))
  beforeEach(() => {
    count += 1
    node = newNamespace(`check${count}`)
    inside(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'])
    inside(['ip', 'link', 'set', 'lo', 'up'])
  })
  after(async () => {
    removeNamespaces()
    await folder.remove()
  })

  const inside = (command: readonly string[], input = ''): string => runInside(node, command, input)
  const nft = (text: string): string => inside(['nft', '-f', '-'], text)
  const socket = (): string => path.join(folder.dir, 'agent.sock')
  const check = (args: readonly string[] = [], env: Readonly<Record<string, string>> = {}, prefix: readonly string[] = []): Ran => checkIn(node, socket(), args, env, prefix)
  const of = told

  it('a node without anything: the kernel takes the whole trial, and nothing is left of it', () => {
    const ran = check()
    assert.match(of(ran, 'kernel'), /^ok: Linux \S+, libnftables \S+: takes the trial transaction$/)
    assert.match(of(ran, 'conntrack'), /^ok: \d+ of at most \d+ connections$/)
    assert.match(of(ran, 'agent'), /^ok: none runs here/)
    assert.match(of(ran, 'policy-engine'), /^ok/)
    assert.equal(of(ran, 'sysctl'), 'ok: packets are forwarded')
    assert.equal(ran.status, 0)
  })
  it('with no capability but NET_ADMIN, as its pods have it, it sees the same', () => {
    nft('add table ip kube-proxy\nadd chain ip kube-proxy services\n')
    assert.deepEqual(check([], {}, ['setpriv', '--bounding-set=-all,+net_admin']).report.findings, check().report.findings)
  })
  it('without that it could not ask', () => {
    const ran = spawnSync('nsenter', [...enter(node), 'setpriv', '--bounding-set=-all', ...ownCommand(), 'check', '--local'], { encoding: 'utf8' })
    assert.deepEqual([ran.status, ran.stdout], [2, ''])
    assert.match(ran.stderr, /^picket: no right to change nftables.*CAP_NET_ADMIN.*\n$/)
  })
  it('pods on veths, on a bridge, and what bypasses both', () => {
    ip(node, `link add name veth1 type veth peer name peer1
      link set veth1 up
      route add 10.0.0.5/32 dev veth1
      link add name cni0 type bridge
      link add name veth2 type veth peer name peer2
      link set veth2 master cni0`)
    inside(['sh', '-c', 'for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo 1 > $f; done'])
    assert.match(of(check(), 'attachment'), /^ok: 1 interface with routes to a pod, 1 port on cni0$/)
    inside(['sh', '-c', 'echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables'])
    const dim = check()
    assert.match(of(dim, 'attachment'), /^error: pods on a bridge, and sysctl net\.bridge\.bridge-nf-call-ip6tables: it is 0: IPv6 policies do not hold/)
    assert.equal(dim.status, 1)
    ip(node, 'link add link veth1 name mv0 type macvlan')
    assert.match(of(check(), 'attachment'), /warning: mv0 \(macvlan\)/)
    // This kernel has no dummy links: the name is what tells.
    ip(node, 'link add name kube-ipvs0 type bridge')
    const past = check()
    assert.match(of(past, 'kube-proxy'), /^error: IPVS/)
    assert.equal(past.status, 1)
  })
  it('tables of kube-proxy, of other engines and of the firewall', () => {
    nft(`add table ip nat
add chain ip nat KUBE-SERVICES
add table ip filter
add chain ip filter cali-FORWARD
add chain ip filter KUBE-NWPLCY-X
add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
add table inet kube-network-policies
`)
    const ran = check()
    assert.equal(of(ran, 'kube-proxy'), 'ok: mode iptables')
    assert.equal(of(ran, 'firewall'), 'warning: chain FORWARD of table ip filter drops what it does not allow to be forwarded')
    assert.deepEqual(of(ran, 'policy-engine').split('\n'), [
      'warning: Calico: chain cali-FORWARD in ip filter',
      'warning: kube-router: chain KUBE-NWPLCY-X in ip filter',
      'warning: kube-network-policies: table inet kube-network-policies',
    ])
    assert.equal(ran.status, 0)
  })
  it('a kernel that refuses something: the whole is refused, and what is missing is named', () => {
    const real = execFileSync('sh', ['-c', 'command -v nft'], { encoding: 'utf8' }).trim()
    const refused = 'grep -q "vmap @" "$text" && { echo "Error: Could not process rule: Operation not supported" >&2; exit 1; }'
    writeFileSync(path.join(folder.dir, 'nft'), `#!/bin/sh\ncase "$*" in *"-c -f -") ;; *) exec ${real} "$@" ;; esac\ntext=$(mktemp)\ntrap 'rm -f "$text"' EXIT\ncat > "$text"\n${refused}\n${real} -c -f "$text"\n`, { mode: 0o755 })
    const ran = check(['--kernel-access', 'nft'], { PATH: `${folder.dir}:${process.env['PATH']}` })
    assert.match(of(ran, 'kernel'), /^error: Linux \S+, nft \S+: the kernel refuses verdict maps \(nf_tables\): Could not process rule: Operation not supported$/)
    assert.equal(ran.status, 1)
  })
  it('an agent: ready, and what it left when it was killed', async () => {
    const agent = spawn('nsenter', [...enter(node), ...ownCommand(), 'agent', '--node-name', 'n1', '--source', `manifests:${folder.dir}`, '--socket', socket(), '--log-level', 'fatal'], { stdio: 'ignore' })
    try {
      await agentReady(socket())
      assert.match(of(check(), 'agent'), /^ok: version \S+: ready, no problems$/)
    } finally {
      agent.kill('SIGKILL')
      await once(agent, 'exit')
    }
    assert.match(of(check(), 'agent'), /^warning: none answers, and table inet picket is in force/)
  })

  describe('from outside', () => {
    let stage: CheckStage
    before(async () => {
      stage = await CheckStage.start()
      stage.put('/api/v1/namespaces', '', 'shop')
      stage.put(PODS, 'shop', 'web', { spec: { nodeName: 'n1' }, status: { phase: 'Running', podIPs: [{ ip: '10.0.0.5' }] } })
      for (const name of ['n1', 'n2']) stage.node(name)
      await folder.write('kubeconfig', kubeconfigText(stage.server.url))
    })
    afterEach(() => assert.deepEqual(stage.left, []))
    after(() => stage.close())
    const command = (): readonly string[] => [...ownCommand(), 'check', '--kubeconfig', path.join(folder.dir, 'kubeconfig')]
    async function run(args: readonly string[], onError: (text: string, kill: () => void) => void = () => undefined): Promise<{ status: number; stdout: string; stderr: string }> {
      const [program, ...rest] = [...command(), ...args]
      const child = spawn(program as string, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
      const [out, said] = [[] as Buffer[], [] as Buffer[]]
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
      child.stderr.on('data', (chunk: Buffer) => {
        said.push(chunk)
        onError(String(chunk), () => child.kill('SIGINT'))
      })
      const [status] = (await once(child, 'close')) as [number]
      return { status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(said).toString() }
    }

    it('pods look at real nodes: one has its pod, the other is in IPVS mode', async () => {
      const other = newNamespace('other')
      ip(node, 'link add name veth1 type veth peer name peer1\nlink set veth1 up\nroute add 10.0.0.5/32 dev veth1')
      ip(other, 'link add name kube-ipvs0 type bridge')
      stage.run = async ({ node: name, spec }) => {
        const { args } = (spec['containers'] as readonly { readonly args: readonly string[] }[])[0] ?? { args: [] }
        const child = spawn('nsenter', [...enter(name === 'n1' ? node : other), 'setpriv', '--bounding-set=-all,+net_admin', ...ownCommand(), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
        const parts: Buffer[] = []
        child.stdout.on('data', (chunk: Buffer) => parts.push(chunk))
        const [status] = (await once(child, 'close')) as [number]
        return { log: Buffer.concat(parts).toString(), status }
      }
      const { status, stdout, stderr } = await run(['-o', 'json'])
      const { findings, policies } = JSON.parse(stdout) as ClusterReport
      assert.deepEqual([status, policies], [1, []])
      assert.deepEqual(findings.filter(({ level }) => level === 'error').map(({ node: name, check }) => [name, check]), [['n2', 'kube-proxy']])
      assert.match(findings.find((one) => one.node === 'n1' && one.check === 'attachment')?.found ?? '', /1 interface with routes to a pod/)
      assert.match(stderr, /makes namespace picket-check-.*\n.*2 short-lived pods.*\n.*removed the pods and namespace/)
    })
    it('an interruption removes what was made, and says so', async () => {
      stage.run = async () => null
      stage.made.length = 0
      const { status, stdout, stderr } = await run([], (text, kill) => text.includes('short-lived') && setTimeout(kill, 500))
      assert.deepEqual([status, stdout], [2, ''])
      assert.equal(stage.made.length, 2)
      assert.match(stderr, /removed the pods and namespace picket-check-\S+\npicket: interrupted; what was made is removed\n$/)
    })
    it('no pods where none are wanted; text for people', async () => {
      stage.made.length = 0
      const { status, stdout, stderr } = await run(['--no-pods'])
      assert.deepEqual([status, stderr, stage.made], [0, '', []])
      assert.match(stdout, /^LEVEL +NODE +CHECK +FOUND\nok +- +api-server +Kubernetes v1\.37\.2\n/)
      assert.match(stdout, /\n\n0 errors, 0 warnings, \d+ ok\n$/)
    })
  })
})
