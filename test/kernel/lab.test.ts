// `picket lab` as a user has it: up, look, edit, look again, down; and what happens when something goes wrong.
//
// Runs the real command line. **Invariant:** each lab has a name of this run's own, and is gone at the end.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitForDigest } from '../../src/lab/agent-status.ts'
import type { MatrixCell } from '../../src/lab/matrix.ts'
import { placesOf } from '../../src/lab/places.ts'
import { endLeftovers } from '../../src/lab/remains.ts'
import type { StepResult } from '../../src/lab/run-cases.ts'
import { folderDigest } from '../../src/manifests/digest.ts'
import { lab, type Ended } from '../support/lab-command.ts'

const NAME = `t${process.pid}`
const PLACES = placesOf(NAME)

const here = (command: string, ...args: readonly string[]): Promise<Ended> => lab([command, '--name', NAME, ...args])

function namespacesOf(prefix: string): readonly string[] {
  return existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith(prefix)) : []
}

const pod = (name: string, labels: string, rest: string): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop, labels: ${labels}}\n${rest}\n`
const serving = (port: number): string => `spec: {containers: [{name: c, image: x, ports: [{containerPort: ${port}}]}]}`
const DENY = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]
`

describe('picket lab', function () {
  this.timeout(60_000)
  const dir = mkdtempSync(path.join(os.tmpdir(), 'picket-lab-test-'))
  const write = (name: string, text: string): void => writeFileSync(path.join(dir, name), text)
  const probe = async (from: string, to: string, port: string): Promise<number | null> => (await here('probe', '--from', from, '--to', to, '--port', port)).status

  before(() => {
    mkdirSync(path.join(dir, 'apps'))
    write('apps/pods.yaml', [pod('web', '{app: web}', serving(8080)), pod('api', '{app: api}', serving(8081)), pod('db', '{app: db}', serving(5432))].join('---\n'))
  })
  after(async () => {
    await endLeftovers(PLACES)
    rmSync(dir, { recursive: true, force: true })
  })

  it('up: shows nodes and pods, and what to try next', async () => {
    const { status, out, err } = await here('up', '-f', dir, '--nodes', '2')
    assert.equal(status, 0, err)
    assert.match(out, /^n1 +192\./m)
    assert.match(out, /^shop\/db +n[12] +10\.\S+ fd00:\S+ +5432\/tcp$/m)
    assert.match(out, /picket -- lab matrix --name/)
  })

  it('up: says that one is up', async () => {
    const { status, err } = await here('up', '-f', dir)
    assert.equal(status, 2)
    assert.match(err, new RegExp(`^picket: a lab called ${NAME} is up already; "picket lab down --name ${NAME}" ends it`))
  })

  it('matrix: everybody reaches everybody without policies, the outside host too', async () => {
    const { status, out, err } = await here('matrix', '-o', 'json')
    assert.equal(status, 0, err)
    const { cells } = JSON.parse(out) as { cells: MatrixCell[] }
    assert.equal(cells.length, 12)
    assert.deepEqual(cells.filter((one) => one.reaches !== true || one.v4 !== true || one.v6 !== true), [])
  })

  it('a policy that is added takes effect, and so does its removal', async () => {
    write('policy.yaml', DENY)
    assert.equal(await probe('shop/web', 'shop/db', '5432/tcp'), 1)
    assert.equal(await probe('shop/api', 'shop/db', '5432/tcp'), 0)
    rmSync(path.join(dir, 'policy.yaml'))
    assert.equal(await probe('shop/web', 'shop/db', '5432/tcp'), 0)
  })

  it('a label that is edited takes effect', async () => {
    write('policy.yaml', DENY)
    const file = path.join(dir, 'apps/pods.yaml')
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replace('{app: web}', '{app: api}'))
    assert.equal(await probe('shop/web', 'shop/db', '5432/tcp'), 0)
    writeFileSync(file, text)
    assert.equal(await probe('shop/web', 'shop/db', '5432/tcp'), 1)
  })

  it('a pod that is added runs, and one that is removed is gone', async () => {
    write('more.yaml', pod('tool', '{app: api}', ''))
    assert.equal(await probe('shop/tool', 'shop/db', '5432/tcp'), 0)
    assert.equal(await probe('shop/web', 'shop/tool', '80/tcp'), 0)
    rmSync(path.join(dir, 'more.yaml'))
    const { status, err } = await here('probe', '--from', 'shop/tool', '--to', 'shop/db', '--port', '5432/tcp')
    assert.equal(status, 2)
    assert.match(err, /shop\/tool: expected NAMESPACE\/POD of a running pod.*shop\/api/)
  })

  it('edits take effect by themselves, without a command that asks', async () => {
    write('policy.yaml', DENY.replace('app: api', 'app: nobody'))
    const written = (): string => readIfThere(path.join(PLACES.manifests, 'policy.yaml'))
    for (const until = Date.now() + 5_000; !written().includes('nobody'); ) {
      assert.ok(Date.now() < until, 'the policy did not reach the agents\' folder')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    const digest = await folderDigest(PLACES.manifests)
    for (const node of ['n1', 'n2']) assert.ok(await waitForDigest(PLACES.agentSocket(node), digest, 5_000), `the agent of ${node} does not enforce it`)
    rmSync(path.join(dir, 'policy.yaml'))
  })

  it('never writes into the folder', () => {
    assert.deepEqual(readdirSync(dir, { recursive: true }).map(String).sort(), ['apps', 'apps/pods.yaml'])
  })

  it('probe: an address, the outside host and a node as the other end; a port that is not served cannot be asked', async () => {
    assert.equal(await probe('shop/web', '192.168.61.11', '7061/tcp'), 0)
    assert.equal(await probe('shop/web', 'outside', '7061/udp'), 0)
    assert.equal(await probe('node:n1', 'shop/db', '5432/tcp'), 0)
    const { status, err } = await here('probe', '--from', 'shop/web', '--to', 'shop/db', '--port', '80/tcp')
    assert.equal(status, 2)
    assert.match(err, /shop\/db does not serve 80\/tcp; it serves 5432\/tcp/)
  })

  it('exec: runs in the pod\'s network and gives its exit status', async () => {
    const { status, out } = await lab(['exec', '--name', NAME, 'shop/web', '--', 'sh', '-c', 'ip -br address show eth0; exit 7'])
    assert.equal(status, 7)
    assert.match(out, /^eth0\S* +UP +10\.244\./)
  })

  it('a policy that cannot be read is named with its file, and closes the pods that it selects', async () => {
    write('bad.yaml', DENY.replace('{app: db}', '[app]'))
    write('odd.yaml', DENY.replace('name: db', 'name: odd').replace('podSelector: {matchLabels: {app: api}}', 'ipBlock: {cidr: nonsense}'))
    assert.equal(await probe('shop/web', 'shop/api', '8081/tcp'), 1)
    await here('down')
    const { status, out } = await here('up', '-f', dir)
    assert.equal(status, 0)
    assert.match(out, /bad\.yaml/)
    assert.match(out, /odd\.yaml.*cidr/)
    rmSync(path.join(dir, 'bad.yaml'))
    rmSync(path.join(dir, 'odd.yaml'))
  })

  it('down: agents, namespaces, sockets and folders are gone', async () => {
    const { status, out } = await here('down')
    assert.equal(status, 0)
    assert.match(out, /is down/)
    assert.deepEqual(namespacesOf(PLACES.prefix), [])
    assert.ok(!existsSync(PLACES.folder) && !existsSync(PLACES.socket))
    const again = await here('matrix')
    assert.equal(again.status, 2)
    assert.match(again.err, /^picket: no lab is up.*picket lab up -f DIR/)
  })

  it('down: ends what a daemon left that was killed', async () => {
    assert.equal((await here('up', '-f', dir, '--nodes', '1')).status, 0)
    const daemon = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && readIfThere(`/proc/${pid}/cmdline`).includes(`daemon\0--name\0${NAME}\0`))
    process.kill(Number(daemon), 'SIGKILL')
    const { status, out } = await here('down')
    assert.equal(status, 0)
    assert.match(out, /had died; what it left is gone/)
    assert.deepEqual(namespacesOf(PLACES.prefix), [])
    assert.deepEqual(readdirSync('/proc').filter((pid) => readIfThere(`/proc/${pid}/cmdline`).includes(`${PLACES.folder}/`)), [])
  })

  it('run: unusable input starts nothing and says where it is wrong', async () => {
    write('cases.json', '{"cases":[{"id":"a","namespaces":{},"pods":{"x/y":{}},"steps":[{}]}]}')
    const { status, err } = await lab(['run', path.join(dir, 'cases.json')])
    assert.equal(status, 2)
    assert.match(err, /^picket: .*cases\.json: case a: pods: expected a namespace that exists at this step, but there is no x; nothing was started\n$/)
  })

  it('run: one line of JSON a step with the keys that were promised, status 1 for a mismatch', async () => {
    const pods = { 'shop/a': {}, 'shop/b': { ips: ['10.9.0.1'] } }
    const deny = { createPolicy: { metadata: { name: 'p', namespace: 'shop' }, spec: { podSelector: {}, policyTypes: ['Ingress'] } } }
    const steps = [{ pods: ['shop/a', 'shop/b'], expect: { 'v4 8080/TCP': ['11', '11'], 'v6 8080/TCP': ['10', '00'] } }, { actions: [deny], pods: ['shop/b', 'shop/a'], expect: { 'v4 9090/UDP': ['11', '01'] } }, {}]
    pods['shop/a'] = { ips: ['10.9.0.2', 'fd00:9::2'] }
    write('cases.json', JSON.stringify({ cases: [{ id: 'a', namespaces: { shop: {} }, pods, steps }] }))
    const { status, out, err } = await lab(['run', path.join(dir, 'cases.json'), '-o', 'json'])
    assert.equal(status, 1, err)
    const lines = out.trimEnd().split('\n').map((line) => JSON.parse(line) as StepResult)
    assert.deepEqual(lines.map((line) => Object.keys(line)), lines.map(() => ['case', 'step', 'observed', 'mismatches', 'settle_ms', 'probe_ms']))
    assert.deepEqual(lines[0]?.observed, { 'v4 8080/TCP': ['11', '11'], 'v6 8080/TCP': ['10', '00'] })
    assert.deepEqual(lines[1]?.mismatches, [{ from: 'shop/b', to: 'shop/a', probe: 'v4 9090/UDP', expected: '1', observed: '0' }])
    assert.deepEqual(Object.keys(lines[2]?.observed ?? {}).length, 12)
    assert.deepEqual(lines[2]?.observed?.['v4 8080/SCTP'], ['10', '01'])
  })

  it('run: cleans up after Ctrl-C', async () => {
    const { status, err } = await lab(['run', fileURLToPath(new URL('../cases/networkpolicy.json', import.meta.url))], /ok +g1 /)
    assert.equal(status, 2)
    assert.match(err, /interrupted by SIGINT; the lab was removed/)
    assert.deepEqual(namespacesOf('picket-lab-r').filter((name) => !existsSync(`/proc/${/-r(\d+)-/.exec(name)?.[1]}`)), [])
  })
})

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
