// deploy/: what is generated is up to date, what is granted is what is needed, and overlays differ only where they should.
//
// Without a cluster: the manifests are rendered by kustomize.ts. **Invariant:** each promise of deploy/docs/install.md about rights
// and folders is a test here.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parse } from 'yaml'
import { loadAgentConfig } from '../../src/config.ts'
import { parseSinks } from '../../src/flows/sink-text.ts'
import { SETTINGS } from '../../src/settings.ts'
import { CONFIG_FILE, configText, GIVEN, INSTALL_FILE, installText } from './install-files.ts'
import { renderKustomization, type KubeObject } from './kustomize.ts'
import { ROOT } from './table.ts'

interface Container {
  readonly name: string
  readonly image: string
  readonly args: readonly string[]
  readonly securityContext: { readonly privileged: boolean; readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] } }
  readonly volumeMounts: readonly { readonly name: string }[]
}
interface PodSpec {
  readonly serviceAccountName: string
  readonly priorityClassName: string
  readonly hostNetwork: boolean
  readonly hostPID?: boolean
  readonly hostIPC?: boolean
  readonly tolerations: unknown
  readonly topologySpreadConstraints: readonly { readonly topologyKey: string; readonly whenUnsatisfiable: string }[]
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly volumes: readonly { readonly name: string; readonly hostPath?: { readonly path: string } }[]
}

const GENERATE = 'run: npm run generate'
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8')
const render = (name: string): readonly KubeObject[] => renderKustomization(path.join(ROOT, 'deploy', name))
const INSTALLATIONS = ['base', 'policy-only', 'policy-only-gate', 'full', 'uninstall']

function only(objects: readonly KubeObject[], kind: string): KubeObject {
  const found = objects.filter((one) => one.kind === kind)
  assert.equal(found.length, 1, kind)
  return found[0] as KubeObject
}
function podOf(name: string, kind: 'DaemonSet' | 'Deployment' = 'DaemonSet'): PodSpec {
  return (only(render(name), kind)['spec'] as { readonly template: { readonly spec: PodSpec } }).template.spec
}
const hostPaths = (name: string): readonly string[] => podOf(name).volumes.flatMap((one) => one.hostPath?.path ?? [])
const CNI = ['/opt/cni/bin', '/etc/cni/net.d']

describe('deploy/', () => {
  it('has the generated files as the sources make them', () => {
    assert.equal(read(CONFIG_FILE), configText(), GENERATE)
    assert.equal(read(INSTALL_FILE), installText(), GENERATE)
  })
  it('explains every setting in the ConfigMap, and no other, and the agent takes it', () => {
    const { data } = only(render('base'), 'ConfigMap') as unknown as { readonly data: Readonly<Record<string, string>> }
    const text = data['agent.yaml'] ?? ''
    const names = SETTINGS.map(({ name }) => name)
    assert.deepEqual([...text.matchAll(/^#?(\w+): /gm)].map((match) => match[1]), names)
    assert.deepEqual([...text.matchAll(/^# (\w+): .{10}/gm)].map((match) => match[1]).filter((name) => names.some((one) => one === name)), names)
    assert.deepEqual(Object.keys(GIVEN).filter((name) => !names.some((one) => one === name)), [])
    const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-tidy-'))
    try {
      const load = (content: string): object => {
        const file = path.join(folder, 'agent.yaml')
        writeFileSync(file, content)
        return loadAgentConfig({ config: file, nodeName: 'n1' })
      }
      const defaults = loadAgentConfig({ nodeName: 'n1' })
      assert.deepEqual(load(text), { ...defaults, metricsAddress: '[::]:9655' })
      assert.deepEqual(load(text.replace(/^#(?=\w)(?!nodeName)/gm, '')), { ...defaults, metricsAddress: '[::]:9655' }, 'what stands behind # is the default')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
  it('grants nothing to what uninstalls', () => {
    assert.deepEqual(render('uninstall').map(({ kind }) => kind), ['Namespace', 'ServiceAccount', 'DaemonSet'])
  })
  it('has nothing privileged, and NET_ADMIN where the kernel is written', () => {
    for (const name of INSTALLATIONS) {
      const pod = podOf(name)
      assert.deepEqual([pod.hostNetwork, pod.hostPID, pod.hostIPC, pod.priorityClassName], [true, undefined, undefined, 'system-node-critical'], name)
      assert.deepEqual(pod.tolerations, [{ operator: 'Exists' }], name)
      for (const { securityContext, args } of [...pod.containers, ...(pod.initContainers ?? [])]) {
        const { capabilities, ...rest } = securityContext
        const expected = { privileged: false, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsUser: 0, runAsGroup: 0, seccompProfile: { type: 'RuntimeDefault' } }
        assert.deepEqual(rest, expected, name)
        assert.deepEqual(capabilities, args[0] === 'cni' ? { drop: ['ALL'] } : { drop: ['ALL'], add: ['NET_ADMIN'] }, name)
      }
    }
  })
  it('has an operator that is a guest: no capability, no root, nothing of the node, two of it on two nodes', () => {
    for (const name of INSTALLATIONS.slice(0, -1)) {
      const pod = podOf(name, 'Deployment')
      assert.deepEqual([pod.serviceAccountName, pod.hostNetwork, pod.hostPID, pod.hostIPC, pod.priorityClassName], ['picket-operator', undefined, undefined, undefined, 'system-cluster-critical'], name)
      assert.deepEqual(pod.tolerations, [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' }])
      assert.deepEqual(pod.volumes, [{ name: 'config', configMap: { name: 'picket-agent' } }], name)
      assert.deepEqual(pod.containers.map(({ securityContext }) => securityContext), [{
        privileged: false, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532,
        capabilities: { drop: ['ALL'] }, seccompProfile: { type: 'RuntimeDefault' },
      }], name)
      const { replicas } = only(render(name), 'Deployment')['spec'] as { readonly replicas: number }
      assert.deepEqual([replicas, pod.topologySpreadConstraints[0]?.topologyKey, pod.topologySpreadConstraints[0]?.whenUnsatisfiable], [2, 'kubernetes.io/hostname', 'ScheduleAnyway'])
    }
  })
  it('mounts of the node /run/picket, and the CNI folders in the gate\'s installer and in uninstall only', () => {
    assert.deepEqual(INSTALLATIONS.map(hostPaths), [['/run/picket'], ['/run/picket'], ['/run/picket', ...CNI], ['/run/picket'], ['/run/picket', ...CNI]])
    const [agent] = podOf('policy-only-gate').containers
    assert.deepEqual(agent?.volumeMounts.map((one) => one.name), ['config', 'run'])
    assert.deepEqual(podOf('policy-only-gate').initContainers?.map((one) => one.volumeMounts.map(({ name }) => name)), [['cni-bin', 'cni-conf']])
  })
  it('has a component that gives the agent a folder for its records, and names a sink there that the agent takes', () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-component-'))
    try {
      const to = (name: string): string => path.relative(folder, path.join(ROOT, 'deploy', name))
      writeFileSync(path.join(folder, 'kustomization.yaml'), `apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [${to('base')}]\ncomponents: [${to('audit-file')}]\n`)
      const { spec } = (only(renderKustomization(folder), 'DaemonSet')['spec'] as { readonly template: { readonly spec: PodSpec } }).template
      const [agent] = spec.containers
      assert.deepEqual(spec.volumes.flatMap((one) => one.hostPath?.path ?? []), ['/run/picket', '/var/log/picket'])
      assert.deepEqual(agent?.volumeMounts.at(-1), { name: 'audit-log', mountPath: '/var/log/picket' })
      const before = podOf('base').containers[0]?.args ?? []
      const [flag = '', ...more] = agent?.args.slice(before.length) ?? []
      const [sink] = parseSinks([flag.replace('--audit-sinks=', '')])
      assert.deepEqual([more, sink?.kind === 'file' ? sink.file : null], [[], '/var/log/picket/audit.log'])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
  it('has overlays that differ only where they should', () => {
    const plain = (name: string): unknown => render(name).filter(({ kind }) => kind !== 'DaemonSet')
    assert.deepEqual(plain('policy-only'), plain('base'))
    assert.deepEqual(plain('policy-only-gate'), plain('base'))
    const agent = (name: string): Container => podOf(name).containers[0] as Container
    assert.deepEqual(agent('policy-only'), { ...agent('base'), args: [...agent('base').args, '--service-proxy=none', '--masquerade=none'] })
    assert.deepEqual(agent('policy-only-gate'), agent('policy-only'))
    assert.deepEqual(plain('full'), plain('base'))
    assert.deepEqual(agent('full'), { ...agent('base'), args: [...agent('base').args, '--service-proxy=picket', '--masquerade=picket'] })
    assert.deepEqual(only(render('uninstall'), 'Namespace'), only(render('base'), 'Namespace'))
  })
  it('names the image of this version, everywhere the same', () => {
    const { version } = JSON.parse(read('package.json')) as { readonly version: string }
    const pods = INSTALLATIONS.flatMap((name) => [podOf(name), ...(name === 'uninstall' ? [] : [podOf(name, 'Deployment')])])
    const images = pods.flatMap((pod) => [...pod.containers, ...(pod.initContainers ?? [])].map(({ image }) => image))
    assert.deepEqual(new Set(images), new Set([`picket.dev/picket:${version}`]))
    for (const name of INSTALLATIONS.slice(1)) {
      const { images: set } = parse(read(`deploy/${name}/kustomization.yaml`)) as { readonly images: readonly { readonly newTag: string }[] }
      assert.equal(set[0]?.newTag, version)
    }
  })
})

describe('the renderer', () => {
  let folder: string
  beforeEach(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'picket-tidy-'))))
  afterEach(() => rmSync(folder, { recursive: true }))
  const put = (file: string, text: string): void => writeFileSync(path.join(folder, file), text)
  const ONE = 'kind: DaemonSet\nmetadata: { name: a }\nspec: { containers: [{ image: a.dev:5000/b:1 }] }\n'

  it('renames images, with their registry\'s port', () => {
    put('one.yaml', ONE)
    put('kustomization.yaml', 'resources: [one.yaml]\nimages: [{ name: a.dev:5000/b, newName: c.dev/d, newTag: "2" }]\n')
    assert.deepEqual(renderKustomization(folder)[0]?.['spec'], { containers: [{ image: 'c.dev/d:2' }] })
  })
  it('refuses what it does not know', () => {
    put('one.yaml', ONE)
    for (const [text, expected] of [['namePrefix: x', /namePrefix/], ['patches: [{ path: p.yaml, target: { kind: DaemonSet, name: b } }]', /no DaemonSet b/], ['patches: [{ path: q.yaml, target: { kind: DaemonSet, name: a } }]', /expected add/]] as const) {
      put('p.yaml', '[]')
      put('q.yaml', '[{ op: remove, path: /spec }]')
      put('kustomization.yaml', `resources: [one.yaml]\n${text}\n`)
      assert.throws(() => renderKustomization(folder), expected)
    }
    put('kustomization.yaml', 'resources: [one.yaml, one.yaml]\n')
    assert.throws(() => renderKustomization(folder), /there is one already/)
  })
})
