// What people get wrong, on the real command line: flags, settings, folders, files and objects, and a missing right.
//
// Everything that may start runs in a namespace of this file's own. **Invariant:** a mistake is one line that says what was
// expected, on standard error, with status 2 and without a stack; or a problem in the status, with the rest enforced.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { ownCommand } from '../../src/lab/places.ts'
import { byText } from '../../src/lib/sorting.ts'
import type { Problem } from '../../src/lib/problem.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, ingress, realPod } from '../support/real-objects.ts'
import { sampled } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n1', 2, { app: 'web' })
const NEAR = realPod('other/near', 'n1', 3, {})

describe('bad input, on the real command line', function () {
  this.timeout(60_000)
  const dir = mkdtempSync(path.join(os.tmpdir(), 'picket-bad-'))
  const at = (name: string): string => path.join(dir, name)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ nodes: 1, namespaces: { shop: {}, other: {} }, pods: [DB, WEB, NEAR] })
    mkdirSync(at('manifests'))
    writeFileSync(at('file'), 'precious\n')
    chmodSync(dir, 0o755)
  })
  after(async () => {
    await lab.close()
    rmSync(dir, { recursive: true })
  })

  interface Ended {
    readonly status: number | null
    readonly out: string
    readonly err: string
  }

  /** In the node's namespace; `before` goes in front of the command. */
  function picket(args: readonly string[], before: readonly string[] = []): Ended {
    const netns = `--net=${lab.testbed.nodes[0]?.netns}`
    const env = { PATH: process.env['PATH'] ?? '' }
    const { status, stdout, stderr } = spawnSync('nsenter', [netns, '--', ...before, ...ownCommand(), ...args], { encoding: 'utf8', env, timeout: 20_000 })
    return { status, out: stdout, err: stderr }
  }

  /** Status 2, nothing on standard output, one line that matches on the other. */
  function refused(args: readonly string[], message: RegExp, before: readonly string[] = []): void {
    const { status, out, err } = picket(args, before)
    assert.deepEqual({ status, out, lines: err.split('\n').length, ends: err.endsWith('\n') }, { status: 2, out: '', lines: 2, ends: true }, `${args.join(' ')}: ${err}`)
    assert.match(err, /^picket: /)
    assert.match(err, message)
    assert.doesNotMatch(err, /node_modules|\.ts:\d|\bat \S+ \(|internal error/)
  }

  /** The node's own agent has the usual port. */
  const PORTS = ['--health-address', '127.0.0.1:9754', '--metrics-address', 'none']
  const agent = (...flags: readonly string[]): readonly string[] => ['agent', '--node-name', 'n1', '--source', `manifests:${at('manifests')}`, '--socket', at('agent.sock'), ...PORTS, ...flags]

  const tests = new Map<string, () => void | Promise<void>>()
  const test = (title: string, run: () => void | Promise<void>): unknown => tests.set(title, run)

  test('flags that nobody knows, or with values that they do not take', () => {
    refused(agent('--nodename', 'n1'), /unknown option '--nodename'.*--node-name.*see "picket agent --help"/)
    refused(agent('--new-pods', 'maybe'), /--new-pods.*'maybe' is invalid.*deny, allow|--new-pods: expected deny or allow, got "maybe"/)
    refused(agent('--resync-interval', '10'), /--resync-interval: expected a duration such as 30s.*got "10"/)
    refused(agent('--pod-interfaces', 'a*b'), /--pod-interfaces: expected a list of names of interfaces/)
    refused(agent('--service-proxy', 'cilium'), /--service-proxy.*'cilium' is invalid.*none, picket|--service-proxy: expected none or picket, got "cilium"/)
    refused(agent('--service-proxy', 'picket', '--service-cidrs', '10.0.0.0/33'), /--service-cidrs: expected a list of CIDRs, got \["10\.0\.0\.0\/33"\]/)
    refused(agent('--service-mark-mask', '0xff'), /--service-mark-mask: expected a mask of at least 22 bits side by side.*got "0xff"/)
    refused(['agent', '--node-name', 'n1', '--service-proxy', 'picket'], /apiServer is not set: Picket itself serves the API server's ClusterIP/)
    refused(agent('extra'), /too many arguments/)
    refused(['agent', '--node-name', 'N_1', '--source', `manifests:${dir}`], /--node-name: expected a Node's name, got "N_1"/)
    refused(['agent', '--node-name', 'n1', '--source', dir], /--source: expected kube or manifests:DIR, got /)
    refused(['agent', '--source', `manifests:${dir}`], /nodeName is not set .*--node-name, or \$NODE_NAME/)
    refused(['agent', '--node-name', 'n1'], /outside of a pod: expected --kubeconfig FILE, or --source manifests:DIR|runs in no pod/)
    refused(agent('--socket', `/tmp/${'s'.repeat(120)}`), /--socket: expected a path of at most 107 characters/)
  })

  for (const [text, message] of [
    ['newPods: maybe', /settings\.yaml: newPods: expected deny or allow, got "maybe"/],
    ['newpods: deny', /settings\.yaml: newpods: unknown setting; expected one of nodeName, /],
    ['newPods: [deny', /settings\.yaml: not valid YAML: .*line/],
    ['- deny', /settings\.yaml: expected settings as "name: value" lines/],
    ['resyncInterval: 10', /settings\.yaml: resyncInterval: expected a duration/],
    ['podInterfaces: cali*', /settings\.yaml: podInterfaces: expected a list/],
    ['dropInvalid: "yes"', /settings\.yaml: dropInvalid: expected true or false, got "yes"/],
  ] as const) {
    test(`a file of settings with ${text}`, () => {
      writeFileSync(at('settings.yaml'), `${text}\n`)
      refused(agent('--config', at('settings.yaml')), message)
    })
  }

  test('files, folders and sockets that are not there, or something else', () => {
    refused(agent('--config', at('none.yaml')), /none\.yaml: cannot be read .*name a readable YAML file with --config/)
    refused(agent('--config', dir), /cannot be read/)
    refused(agent('--source', `manifests:${at('none')}`), /cannot read the folder \S+none: ENOENT.*expected a folder of YAML and JSON files/)
    refused(agent('--source', `manifests:${at('file')}`), /cannot read the folder \S+file: it is no folder/)
    refused(agent('--socket', at('file')), /socket \S+file: something else than a socket is there/)
    refused(agent('--socket', at('manifests')), /socket \S+manifests: .*choose another with --socket/)
    refused(agent('--socket', at('file/agent.sock')), /socket \S+agent\.sock: .*choose another with --socket/)
    assert.equal(readFileSync(at('file'), 'utf8'), 'precious\n')
  })

  test('no right to change nftables', () => {
    // The program stays readable, wherever it is: what is taken away is every right of root.
    const without = ['setpriv', '--inh-caps=-all', '--bounding-set=-all']
    for (const access of ['auto', 'libnftables', 'nft']) {
      refused(agent('--kernel-access', access), /no right to change nftables .*run as root, or with CAP_NET_ADMIN/, without)
    }
    refused(['cleanup'], /no right to change nftables/, without)
  })

  test('neither libnftables nor nft', () => {
    const nowhere = ['unshare', '--mount', 'sh', '-c', 'for dir in /usr/sbin /sbin; do if test -e $dir/nft; then mount --bind /dev/null $dir/nft; fi; done; exec "$@"', 'sh']
    refused(agent('--kernel-access', 'nft'), /there is no program nft on this machine; install the package nftables/, nowhere)
  })

  test('a file that is no YAML, beside good ones: named in the status, and the good ones hold', async () => {
    lab.files.set('broken.yaml', 'kind: NetworkPolicy\n  metadata: [\n')
    lab.files.set('other/nested.yaml', 'just text\n---\n"kind": 7\n')
    lab.files.set('binary.json', '\u0000\u0001{')
    lab.files.set('notes.txt', 'no manifest at all')
    await lab.policies(ingress('shop/in', { app: 'db' }))
    await lab.check({ denied: ['shop/web -> shop/db', 'other/near -> shop/db'], allowed: ['other/near -> shop/web'] })
    const { problems } = await lab.agents.status('n1')
    const sources = [...new Set(problems.map((one) => (one.source ?? '').replace(/,.*/, '')))].sort()
    assert.deepEqual(sources, ['binary.json', 'broken.yaml', 'other/nested.yaml'], JSON.stringify(problems))
    assert.ok(problems.every(readsWell), JSON.stringify(problems))
    lab.files.clear()
    await lab.settle()
    assert.deepEqual((await lab.agents.status('n1')).problems, [])
  })

  test('a policy that is malformed beside good ones in one file: it fails closed for what it selects, the good ones hold', async () => {
    const good = ingress('shop/good', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'web' } } }] })
    const bad = { ...ingress('other/bad', {}), spec: { podSelector: {}, ingress: [{ from: 'everybody' }], policyTypes: 'Ingress' } }
    lab.files.set('policies.yaml', [good, bad].map((one) => JSON.stringify(one)).join('\n---\n'))
    await lab.policies()
    await lab.check({ allowed: ['shop/web -> shop/db'], denied: ['other/near -> shop/db', 'shop/web -> other/near', 'shop/db -> other/near'] })
    const { problems } = await lab.agents.status('n1')
    assert.deepEqual([...new Set(problems.map((one) => `${one.object}: ${one.source}`))], ['NetworkPolicy other/bad: policies.yaml, document 2'])
    assert.deepEqual(problems.map((one) => one.field ?? '').toSorted(byText), ['spec.ingress[0].from', 'spec.policyTypes'])
    assert.ok(problems.every(readsWell), JSON.stringify(problems))
    lab.files.clear()
    await lab.settle()
  })

  test('a file that is damaged while the agent runs changes nothing of what it gave before', async () => {
    lab.files.set('deny.json', JSON.stringify(denyAll('shop')))
    await lab.policies()
    await lab.check({ denied: ['shop/web -> shop/db'] })
    lab.files.set('deny.json', JSON.stringify(denyAll('shop')).slice(0, -20))
    await lab.settle()
    await lab.check({ denied: ['shop/web -> shop/db'] })
    assert.equal((await lab.agents.status('n1')).problems.length, 1)
    lab.files.delete('deny.json')
    await lab.settle()
    await lab.check({ allowed: ['shop/web -> shop/db'] })
    assert.deepEqual((await lab.agents.status('n1')).problems, [])
  })

  test('whatever stands in an object: the agent lives, says so, and enforces the others', async () => {
    const odd: readonly unknown[] = [null, 7, '', 'x', [], {}, [[]], true, { '': null }, -1, { length: 3 }, 'a\u0000b', { __proto__: null, constructor: 1 }]
    const objects = odd.flatMap((value, index) => [
      { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: `a${index}`, namespace: 'other' }, spec: value },
      { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: `b${index}`, namespace: 'other' }, spec: { podSelector: {}, ingress: [{ from: [value], ports: [value] }], egress: value } },
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: `c${index}`, namespace: 'other', labels: value }, spec: value, status: { podIPs: value } },
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: value, labels: value } },
      { apiVersion: 'v1', kind: 'Node', metadata: { name: `d${index}` }, status: { addresses: [value] } },
      value,
    ])
    objects.forEach((object, index) => lab.files.set(`odd-${index}.json`, JSON.stringify(object)))
    await lab.policies(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'web' } } }] }))
    await lab.check({ allowed: ['shop/web -> shop/db', 'n1 -> other/near'], denied: ['other/near -> shop/db', 'shop/web -> other/near'] })
    const { problems } = await lab.agents.status('n1')
    assert.ok(problems.length > 40 && problems.every(readsWell), JSON.stringify(problems.filter((one) => !readsWell(one))))
    lab.files.clear()
    await lab.policies()
    assert.deepEqual((await lab.agents.status('n1')).problems, [])
    assert.doesNotMatch(lab.agents.log('n1'), /\.ts:\d|"level":60/)
  })

  const every = [...tests.keys()].filter((title) => /^(flags|no right|a file that is no YAML|a policy that is malformed)/.test(title))
  for (const title of sampled([...tests.keys()], { every })) it(title, () => tests.get(title)?.())
})

/** Names its object or file, is one line, and says what was expected or what happens now. */
function readsWell({ object, message }: Problem): boolean {
  return object.length > 3 && message.length > 20 && !/\n|undefined|\[object|\.ts:\d/.test(message)
}
