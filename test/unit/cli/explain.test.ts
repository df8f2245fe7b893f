// `picket explain` as a command: its answers and exit status, from a folder and from an API server on loopback, and what it refuses.
//
// **Invariant:** an answer from a folder, one with policies that are not there yet, and those from a cluster are of processes that may
// load no native library and read nothing that only Linux has.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import path from 'node:path'
import type { Answer } from '../../../src/explain/answer.ts'
import { ApiServer, type ApiObject } from '../../support/api-server.ts'
import { picket, type Ran } from '../../support/picket-command.ts'
import { kubeconfigText, PODS, POLICIES, TemporaryFolder } from '../../support/cluster-follower.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')
const MAIN = path.join(ROOT, 'src/main.ts')
/** As on a machine without Linux, root and the native library: it cannot be loaded, and what only Linux has cannot be read. */
const ELSEWHERE = `data:text/javascript,${encodeURIComponent(`
import { registerHooks, syncBuiltinESMExports } from 'node:module'
import fs from 'node:fs'
registerHooks({ resolve(name, context, next) { if (name === 'koffi') throw new Error('koffi is not to be loaded'); return next(name, context) } })
Object.defineProperty(process, 'platform', { value: 'darwin' })
process.getuid = process.geteuid = () => 501
const refuse = (of, name) => {
  const usual = of[name]
  of[name] = (file, ...rest) => {
    if (/^\\/(proc|sys)(\\/|$)/.test(String(file))) throw new Error(file + ' is not to be read')
    return usual.call(of, file, ...rest)
  }
}
for (const name of ['readFileSync', 'openSync', 'existsSync', 'readdirSync', 'statSync', 'readlinkSync', 'readFile', 'open', 'createReadStream']) refuse(fs, name)
for (const name of ['readFile', 'open', 'readdir', 'stat', 'readlink', 'access']) refuse(fs.promises, name)
syncBuiltinESMExports()
`)}`

/** A process of its own, which takes half a second to start. */
function elsewhere(...args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', ELSEWHERE, MAIN, 'explain', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', (text) => (said.stdout += String(text)))
    child.stderr.on('data', (text) => (said.stderr += String(text)))
    child.on('close', (status) => resolve({ status: status ?? -1, ...said }))
  })
}

function pod(namespace: string, name: string, number: number, labels: Readonly<Record<string, string>>): ApiObject {
  const ports = [{ name: 'http', containerPort: 8080 }]
  return {
    metadata: { namespace, name, uid: `uid-${name}`, labels }, spec: { nodeName: `n${number}`, containers: [{ name: 'main', ports }] },
    status: { phase: 'Running', podIPs: [{ ip: `10.1.0.${number}` }, { ip: `fd00:1::${number}` }] },
  }
}

function allow(port: number | string): ApiObject {
  const from = [{ namespaceSelector: { matchLabels: { team: 'shop' } } }]
  return { metadata: { namespace: 'pay', name: 'allow', uid: 'uid-allow' }, spec: { podSelector: {}, ingress: [{ from, ports: [{ port }] }] } }
}

const SHOP: ApiObject = { metadata: { name: 'shop', uid: 'uid-shop', labels: { team: 'shop', 'kubernetes.io/metadata.name': 'shop' } } }
const WEB = pod('shop', 'web', 1, { app: 'web' })
const API = pod('pay', 'api', 2, { app: 'api' })

function manifests(...objects: readonly (readonly [string, ApiObject])[]): string {
  return objects.map(([kind, object]) => JSON.stringify({ apiVersion: kind === 'NetworkPolicy' ? 'networking.k8s.io/v1' : 'v1', kind, ...object })).join('\n---\n')
}

const ASK = ['--from', 'shop/web', '--to', 'pay/api'] as const

describe('picket explain', function () {
  this.timeout(30_000)
  let cluster: TemporaryFolder
  let draft: TemporaryFolder
  beforeEach(async () => {
    ;[cluster, draft] = await Promise.all([TemporaryFolder.make(), TemporaryFolder.make()])
    await cluster.write('all.yaml', manifests(['Namespace', SHOP], ['Pod', WEB], ['Pod', API], ['NetworkPolicy', allow(80)]))
  })
  afterEach(() => Promise.all([cluster.remove(), draft.remove()]))

  const ofFolder = (...args: readonly string[]): Promise<Ran> => picket('explain', ...ASK, '--source', `manifests:${cluster.dir}`, ...args)

  it('allowed: 0, and the rule', async () => {
    const { status, stdout, stderr } = await elsewhere(...ASK, '--source', `manifests:${cluster.dir}`, '--port', '80/tcp')
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal(stdout, [
      'shop/web -> pay/api on 80/tcp: ALLOWED', '',
      '10.1.0.1 -> 10.1.0.2:80/TCP (pay/api): allowed',
      'fd00:1::1 -> [fd00:1::2]:80/TCP (pay/api): allowed',
      '  egress   no policy isolates shop/web for egress',
      '  ingress  allowed by pay/allow ingress[0]',
      '    pay/allow ingress[0]: from every pod of namespaces team=shop; ports 80/TCP', '',
    ].join('\n'))
  })

  it('denied: 1, what isolates and what came nearest', async () => {
    const { status, stdout, stderr } = await ofFolder('--port', '8080/tcp')
    assert.deepEqual([status, stderr], [1, ''])
    assert.match(stdout, /^shop\/web -> pay\/api on 8080\/tcp: DENIED\n/)
    assert.match(stdout, / ingress {2}isolated by pay\/allow for ingress, and no rule allows this\n +nearest pay\/allow ingress\[0\]: .*; ports 80\/TCP\n +port 8080 not in \[80\]\n$/)
  })

  it('in part: 1, where one protocol is allowed and another is not', async () => {
    const { status, stdout } = await ofFolder('--port', '80', '-o', 'json')
    const answer = JSON.parse(stdout) as Answer
    assert.deepEqual([status, answer.verdict], [1, 'some'])
    assert.deepEqual(answer.flows.filter(({ family }) => family === 6).map(({ protocol, verdict }) => `${protocol} ${verdict}`), ['TCP allowed', 'UDP denied', 'SCTP denied'])
  })

  it('says what would be with other policies, in place of those of the same name and beside the others', async () => {
    await draft.write('allow.yaml', manifests(['NetworkPolicy', allow('http')]))
    const changed = await elsewhere(...ASK, '--source', `manifests:${cluster.dir}`, '--port', '8080/tcp', '--policies', draft.dir)
    assert.equal(changed.status, 0)
    assert.match(changed.stdout, /^shop\/web -> pay\/api on 8080\/tcp: ALLOWED with these policies; without them: DENIED\n/)
    const lost = JSON.parse((await ofFolder('--port', '80/tcp', '--policies', draft.dir, '-o', 'json')).stdout) as Answer & { readonly withoutPolicies: string }
    assert.deepEqual([lost.verdict, lost.withoutPolicies], ['denied', 'allowed'])
    await draft.write('more.yaml', manifests(['NetworkPolicy', { metadata: { namespace: 'shop', name: 'closed', uid: 'uid-closed' }, spec: { podSelector: {}, policyTypes: ['Egress'] } }]))
    assert.match((await ofFolder('--port', '8080/tcp', '--policies', draft.dir)).stdout, /DENIED with these policies, and without them\n[^]*egress +isolated by shop\/closed for egress/)
  })

  it('takes names of the namespace of -n, and leaves those that say another', async () => {
    const source = ['--source', `manifests:${cluster.dir}`, '--port', '80/tcp'] as const
    const said = async (...args: readonly string[]): Promise<string> => (await picket('explain', ...args, ...source)).stdout
    assert.match(await said('-n', 'shop', '--from', 'web', '--to', 'pay/api'), /^shop\/web -> pay\/api on 80\/tcp: ALLOWED/)
    assert.match(await said('-n', 'pay', '--from', 'shop/web', '--to', 'api'), /^shop\/web -> pay\/api on 80\/tcp: ALLOWED/)
    assert.match(await said('-n', 'pay', '--from', '10.1.0.1', '--to', '10.1.0.2'), /^10\.1\.0\.1 -> 10\.1\.0\.2 on 80\/tcp: ALLOWED/)
    const service = await picket('explain', '-n', 'pay', '--from', 'shop/web', '--to', 'svc/api', ...source)
    assert.deepEqual([service.status, service.stderr], [2, 'picket: --to "pay/svc/api": there is no Service pay/api; kubectl get services -n pay shows which are\n'])
  })

  it('could not ask: 2, and one line that says what next', async () => {
    const refused = async (message: RegExp, ...args: readonly string[]): Promise<void> => {
      const { status, stdout, stderr } = await picket('explain', ...args)
      assert.deepEqual([status, stdout], [2, ''], args.join(' '))
      assert.match(stderr, message)
      assert.match(stderr, /^picket: [^\n]*\n$/)
    }
    const source = ['--source', `manifests:${cluster.dir}`]
    await refused(/--from "shop\/none": there is no Pod shop\/none; kubectl get pods -n shop/, '--from', 'shop/none', '--to', 'pay/api', '--port', '80/tcp', ...source)
    await refused(/--from "web": expected NAMESPACE\/POD, NAMESPACE\/svc\/NAME or an address; with -n/, '--from', 'web', '--to', 'pay/api', '--port', '80/tcp', ...source)
    await refused(/option '--port <port>' argument '80\/http' is invalid\. expected PORT\/PROTOCOL, PORT or \/PROTOCOL: 80\/tcp/, ...ASK, '--port', '80/http', ...source)
    await refused(/option '--port <port>' argument '0' is invalid\. expected PORT\/PROTOCOL/, ...ASK, '--port', '0', ...source)
    await refused(/option '--timeout <duration>' argument 'soon' is invalid/, ...ASK, '--port', '80', '--timeout', 'soon')
    await refused(/--halves is for --source socket/, ...ASK, '--port', '80', ...source, '--halves', '[]')
    await refused(/required option '--port <port>' not specified/, ...ASK, ...source)
    await refused(/expected cluster, manifests:DIR, socket or socket:PATH/, ...ASK, '--port', '80', '--source', 'etcd')
    await refused(/cannot read the folder \/nowhere/, ...ASK, '--port', '80', '--source', 'manifests:/nowhere')
    await refused(/--policies .*: there is no NetworkPolicy in it/, ...ASK, '--port', '80', ...source, '--policies', draft.dir)
    await refused(/--kubeconfig and --context are for --source cluster/, ...ASK, '--port', '80', ...source, '--context', 'x')
    await refused(/\/nowhere\/kubeconfig: the kubeconfig cannot be read/, ...ASK, '--port', '80', '--kubeconfig', '/nowhere/kubeconfig')
  })

  it('reports on stderr what it cannot read of the folder, and answers with the rest; of --policies that is an error', async () => {
    await cluster.write('broken.yaml', '{')
    const { status, stderr } = await ofFolder('--port', '80/tcp')
    assert.equal(status, 0)
    assert.match(stderr, /^picket explain: error: broken\.yaml/)
    await draft.write('broken.yaml', '{')
    const drafted = await ofFolder('--port', '80/tcp', '--policies', draft.dir)
    assert.deepEqual([drafted.status, /--policies: error: broken\.yaml/.test(drafted.stderr)], [2, true], drafted.stderr)
  })

  it('takes a folder as people write it, and says which addresses are made up', async () => {
    const { status, stdout, stderr } = await picket('explain', '--from', 'shop/front', '--to', 'shop/db', '--port', '5432/tcp', '--source', `manifests:${path.join(ROOT, 'deploy/examples/shop')}`)
    assert.equal(status, 1)
    assert.match(stderr, /^picket explain: 5 pods of the folder have no addresses: they got made-up ones[^\n]*\n$/)
    // As the README shows it.
    const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8')
    assert.ok(readme.includes(`--port 5432/tcp --source manifests:deploy/examples/shop\n${stdout}\`\`\``), stdout)
  })

  it('needs no root, no Linux and no native library, and would fail here if it did', async () => {
    const run = (script: string): Promise<string> => new Promise((resolve) => {
      const child = spawn(process.execPath, ['--import', ELSEWHERE, '--input-type=module', '--eval', script], { stdio: ['ignore', 'ignore', 'pipe'] })
      let stderr = ''
      child.stderr.on('data', (text) => (stderr += String(text)))
      child.on('close', () => resolve(stderr))
    })
    const [native, read, promised, netlink] = await Promise.all([
      `await import('koffi')`, `import { readFileSync } from 'node:fs'; readFileSync('/proc/version')`, `import { readFile } from 'node:fs/promises'; await readFile('/sys/kernel/x')`,
      `await import(${JSON.stringify(path.join(ROOT, 'src/netlink/libc.ts'))})`,
    ].map(run))
    assert.match(native ?? '', /koffi is not to be loaded/)
    assert.match(read ?? '', /\/proc\/version is not to be read/)
    assert.match(promised ?? '', /\/sys\/kernel\/x is not to be read/)
    assert.match(netlink ?? '', /koffi is not to be loaded/)
  })

  it('as nobody, where root tests it', async () => {
    await chmod(cluster.dir, 0o755)
    await chmod(path.join(cluster.dir, 'all.yaml'), 0o644)
    const args = [MAIN, 'explain', ...ASK, '--port', '80/tcp', '--source', `manifests:${cluster.dir}`]
    const status = await new Promise((resolve) => spawn(process.execPath, args, { ...(process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}), env: { PATH: process.env['PATH'] ?? '' }, stdio: 'ignore' }).on('close', resolve))
    assert.equal(status, 0)
  })

  it('asks a cluster', async () => {
    const server = await ApiServer.start()
    try {
      const kubeconfig = await draft.write('kubeconfig', kubeconfigText(server.url))
      server.put('/api/v1/namespaces', SHOP)
      for (const one of [WEB, API]) server.put(PODS, one)
      server.put(POLICIES, allow(80))
      const [yes, no] = await Promise.all(['80/tcp', '8080/tcp'].map((port) => elsewhere(...ASK, '--kubeconfig', kubeconfig, '--port', port)))
      assert.deepEqual([yes?.status, no?.status, yes?.stderr, no?.stderr], [0, 1, '', ''])
      assert.match(no?.stdout ?? '', /nearest pay\/allow ingress\[0\]/)
      // Whether nodes have programmed it cannot be asked where no agent runs; the exit status is the verdict's.
      for (const node of ['n1', 'n2']) assert.match(yes?.stdout ?? '', new RegExp(`^ +node ${node}: not asked: no agent runs there`, 'm'))
      // By the settings of the agents that are installed there.
      server.put('/api/v1/nodes', { metadata: { name: 'n1', uid: 'uid-n1' }, status: { addresses: [{ type: 'InternalIP', address: '192.168.1.1' }] } })
      server.put(POLICIES, { metadata: { namespace: 'shop', name: 'closed', uid: 'uid-closed' }, spec: { podSelector: {}, policyTypes: ['Egress'] } })
      const toNode = ['--from', 'shop/web', '--to', '192.168.1.1', '--port', '22/tcp', '--kubeconfig', kubeconfig] as const
      assert.equal((await picket('explain', ...toNode)).status, 0)
      server.put('/apis/apps/v1/daemonsets', { metadata: { namespace: 'picket-system', name: 'picket-agent', uid: 'uid-ds' }, spec: { template: { spec: { containers: [{ image: 'x', args: ['agent', '--node-egress', 'enforce'] }] } } } })
      assert.equal((await picket('explain', ...toNode)).status, 1)
      // What may not be read of the six kinds, and who does not answer, is an error.
      server.behaviour.instead = ({ path: asked }) => (asked.endsWith('/services') ? { status: 403, body: JSON.stringify({ kind: 'Status', status: 'Failure', reason: 'Forbidden', code: 403, message: 'no' }) } : null)
      const forbidden = await picket('explain', ...toNode)
      assert.deepEqual([forbidden.status, forbidden.stdout], [2, ''])
      assert.match(forbidden.stderr, /^picket: the role lacks the verb "list" on the resource "services" of the core group, in all namespaces \(403\)/)
      server.behaviour.instead = () => 'hang'
      const late = await picket('explain', ...toNode, '--timeout', '300ms')
      assert.deepEqual([late.status, late.stderr], [2, 'picket: no answer from the API server within 0.3 s; see that it is reachable, or raise --timeout\n'])
    } finally {
      await server.close()
    }
  })
})
