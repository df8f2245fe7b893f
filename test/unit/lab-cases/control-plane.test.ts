// What the lab makes of a folder of manifests: as API server, scheduler and kubelet would, without touching the folder.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { ControlPlane, type Decided } from '../../../src/lab/control-plane.ts'
import { SourceFolder } from '../../../src/lab/source-folder.ts'

interface Written {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid: string; readonly creationTimestamp: string; readonly labels?: Record<string, string>; readonly generation?: number }
  readonly spec?: { readonly nodeName?: string }
  readonly status?: { readonly phase?: string; readonly podIPs?: readonly { readonly ip: string }[] }
}

const NODES = ['n1', 'n2'].map((name, index) => ({ name, netns: '', addresses: [`192.168.61.${11 + index}`, `fd00:61::${11 + index}`] }))
const pod = (name: string, rest = ''): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop}\n${rest}`

describe('the control plane of a playground', () => {
  let dir = ''
  let folder: SourceFolder
  let plane: ControlPlane
  beforeEach(() => {
    dir = mkdtempSync(path.join(os.tmpdir(), 'picket-lab-test-'))
    folder = new SourceFolder(dir)
    plane = new ControlPlane(NODES, () => 1_700_000_000_000)
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  const write = (name: string, text: string): void => {
    mkdirSync(path.dirname(path.join(dir, name)), { recursive: true })
    writeFileSync(path.join(dir, name), text)
  }
  const decide = async (): Promise<Decided> => plane.decide(await folder.read())
  /** The objects of a mirrored file; documents that are JSON only. */
  const objectsIn = (decided: Decided, file: string): readonly Written[] =>
    (decided.wanted.files.get(file) ?? '').split(/^---\n/m).filter((text) => text.startsWith('{')).map((text) => JSON.parse(text) as Written)
  const own = (decided: Decided): readonly Written[] => (JSON.parse(decided.wanted.files.get('picket-lab-objects.json') ?? '{}') as { items: Written[] }).items

  it('spreads pods over the nodes and keeps spec.nodeName', async () => {
    write('pods.yaml', [pod('a'), pod('b'), pod('c', 'spec: {nodeName: n2}'), pod('d')].join('\n---\n'))
    const decided = await decide()
    const nodes = Object.fromEntries(decided.pods.map((one) => [one.key, one.node]))
    assert.equal(nodes['shop/c'], 'n2')
    assert.deepEqual(['n1', 'n2'].map((node) => Object.values(nodes).filter((one) => one === node).length), [2, 2])
    assert.deepEqual(objectsIn(decided, 'pods.yaml').map((one) => one.spec?.nodeName), decided.pods.map((one) => one.node))
  })

  it('gives pods an address of each family from the range of their node, and keeps those of the folder', async () => {
    write('pods.yaml', [pod('a', 'spec: {nodeName: n2}'), pod('b', 'status: {podIPs: [{ip: 10.1.2.3}]}')].join('\n---\n'))
    const decided = await decide()
    assert.deepEqual(decided.pods.map((one) => one.addresses), [['10.244.2.2', 'fd00:244:2::2'], ['10.1.2.3']])
    const [a] = objectsIn(decided, 'pods.yaml')
    assert.deepEqual(a?.status, { phase: 'Running', podIP: '10.244.2.2', podIPs: [{ ip: '10.244.2.2' }, { ip: 'fd00:244:2::2' }] })
  })

  it('keeps identity, node and addresses of a pod that is edited, whatever else comes and goes', async () => {
    write('b.yaml', pod('b'))
    const before = await decide()
    write('a.yaml', pod('a'))
    write('b.yaml', pod('b').replace('namespace: shop', 'namespace: shop, labels: {app: b}'))
    const after = await decide()
    const [was, is] = [before, after].map((decided) => objectsIn(decided, 'b.yaml')[0] as Written)
    assert.equal(is?.metadata.uid, was?.metadata.uid)
    assert.deepEqual(is?.status, was?.status)
    assert.deepEqual(is?.metadata.labels, { app: 'b' })
  })

  it('rule 97: an object that was gone and comes back has another UID', async () => {
    write('a.yaml', pod('a'))
    const [first] = objectsIn(await decide(), 'a.yaml')
    rmSync(path.join(dir, 'a.yaml'))
    assert.equal((await decide()).pods.length, 0)
    write('a.yaml', pod('a'))
    const [second] = objectsIn(await decide(), 'a.yaml')
    assert.notEqual(second?.metadata.uid, first?.metadata.uid)
  })

  it('rule 21: makes namespaces that nobody wrote, and labels those that somebody did', async () => {
    write('a.yaml', `${pod('a')}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: bank, labels: {team: x}}\n`)
    const decided = await decide()
    const made = own(decided).filter((one) => one.kind === 'Namespace')
    assert.deepEqual(made.map((one) => one.metadata.labels), [{ 'kubernetes.io/metadata.name': 'shop' }])
    assert.deepEqual(objectsIn(decided, 'a.yaml')[1]?.metadata.labels, { team: 'x', 'kubernetes.io/metadata.name': 'bank' })
    assert.deepEqual(own(decided).filter((one) => one.kind === 'Node').map((one) => one.metadata.name), ['n1', 'n2'])
  })

  it('raises the generation of a policy with its spec only', async () => {
    const policy = (labels: string, spec: string): string => `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop, labels: ${labels}}\nspec: ${spec}\n`
    const generation = async (text: string): Promise<number | undefined> => {
      write('p.yaml', text)
      return objectsIn(await decide(), 'p.yaml')[0]?.metadata.generation
    }
    assert.equal(await generation(policy('{}', '{podSelector: {}}')), 1)
    assert.equal(await generation(policy('{a: b}', '{podSelector: {}}')), 1)
    assert.equal(await generation(policy('{a: b}', '{podSelector: {}, ingress: [{}]}')), 2)
  })

  it('passes on what cannot be read as it is, in its place, and takes no pod away for it', async () => {
    write('all.yaml', `${pod('a')}\n---\n${pod('b')}\n---\n${pod('c')}\n`)
    const before = await decide()
    write('all.yaml', `${pod('a')}\n---\nkind: Pod\nmetadata: {name: b, name: [\n---\n${pod('c')}\n`)
    const after = await decide()
    assert.deepEqual(after.pods, before.pods)
    const documents = after.wanted.files.get('all.yaml')?.split(/^---\n/m)
    assert.equal(documents?.[1], 'kind: Pod\nmetadata: {name: b, name: [\n')
    assert.deepEqual(objectsIn(after, 'all.yaml').map((one) => one.metadata.name), ['a', 'c'])
    const lineOf = (text: string): number => text.split('\n').findIndex((line) => line.includes('name: b,'))
    assert.equal(lineOf(after.wanted.files.get('all.yaml') ?? ''), lineOf(readFileSync(path.join(dir, 'all.yaml'), 'utf8')))
  })

  it('says which pods it does not run, and why', async () => {
    write('a.yaml', [pod('a', 'spec: {nodeName: far}'), pod('b', 'status: {podIP: 192.168.61.11}'), pod('c', 'status: {phase: Succeeded, podIP: 10.0.0.9}')].join('\n---\n'))
    const decided = await decide()
    assert.deepEqual(decided.pods, [])
    assert.equal(decided.notes.length, 2)
    assert.match(decided.notes[0] ?? '', /shop\/a does not run: its node far is none of the lab's \(n1, n2\)/)
    assert.match(decided.notes[1] ?? '', /shop\/b does not run: its address 192\.168\.61\.11 is that of node n1/)
  })

  it('serves 80 and 8080 over TCP for a pod that names no ports, and those of sidecars for one that does', async () => {
    const ports = 'spec: {containers: [{name: c, ports: [{containerPort: 53, protocol: UDP}]}], initContainers: [{name: i, restartPolicy: Always, ports: [{containerPort: 9}]}, {name: j, ports: [{containerPort: 10}]}]}'
    write('a.yaml', [pod('a'), pod('b', ports)].join('\n---\n'))
    assert.deepEqual((await decide()).pods.map((one) => one.ports), [['80/tcp', '8080/tcp'], ['53/udp', '9/tcp']])
  })

  it('says that nothing changed when nothing did', async () => {
    write('a.yaml', pod('a'))
    assert.equal((await decide()).changed, true)
    assert.equal((await decide()).changed, false)
  })
})
