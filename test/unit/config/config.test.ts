// Settings: what wins over what, and what each wrong value is answered with.
//
// **Invariant:** every setting of the table is tried with a value of the wrong type.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import { parseDuration } from '../../../src/lib/duration.ts'
import { addSettingFlags, loadAgentConfig, loadOperatorConfig } from '../../../src/config.ts'
import { flagOf, SETTINGS } from '../../../src/settings.ts'
import { PicketError } from '../../../src/lib/errors.ts'

const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-config-'))
after(() => rmSync(folder, { recursive: true }))

function fileWith(text: string): string {
  const file = path.join(folder, 'agent.yaml')
  writeFileSync(file, text)
  return file
}

/** Too long and too odd for any setting. */
const NO_VALUE = 'no way '.repeat(50).trim()

const REQUIRED = { nodeName: 'n1', source: 'manifests:m' }

/** The flags as `picket agent ARGS` hands them over. */
function flagsOf(...args: readonly string[]): Record<string, unknown> {
  const command = addSettingFlags(new Command('agent')).exitOverride().configureOutput({ writeErr: () => {} }).action(() => {})
  command.parse([...args], { from: 'user' })
  return command.opts()
}

function refused(flags: Record<string, unknown>, ...expected: readonly RegExp[]): void {
  assert.throws(
    () => loadAgentConfig(flags),
    (error) => {
      assert.ok(error instanceof PicketError, String(error))
      assert.equal(error.exit, 2)
      assert.doesNotMatch(error.message, /\n/)
      for (const pattern of expected) assert.match(error.message, pattern)
      return true
    },
  )
}

describe('the agent config', () => {
  it('has its defaults, and is frozen', () => {
    const config = loadAgentConfig(REQUIRED)
    assert.deepEqual(config, {
      nodeName: 'n1',
      source: { kind: 'manifests', directory: 'm' },
      kubeconfig: '',
      context: '',
      apiServer: [],
      socket: '/run/picket/agent.sock',
      healthAddress: '127.0.0.1:9654', metricsAddress: '127.0.0.1:9655', metricsCounters: 2000,
      newPods: 'deny',
      nodeEgress: 'allow',
      dropInvalid: true,
      establishedConnections: 'cut',
      sourcePrefixNamespaces: [],
      podInterfaces: [], podAttachment: 'auto',
      kernelAccess: 'auto',
      resyncInterval: 30_000, canary: true, canaryInterval: 60_000, nodeStatus: true,
      serviceProxy: 'none', nodeHealthAddress: '[::]:10256',
      nodePortAddresses: ['primary'],
      serviceCIDRs: [],
      serviceMarkMask: '0xffffff00',
      masqueradeAll: false,
      masquerade: 'none',
      nonMasqueradeCIDRs: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16', 'fc00::/7', 'fe80::/10'],
      masqueradeRandomFully: true,
      auditLog: 'deny', auditGroup: 61, auditNodeLimit: 1000, auditPodLimit: 200, auditSourceLimit: 20, auditSinks: [],
      logLevel: 'info',
    })
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.source) && Object.isFrozen(config.podInterfaces))
    assert.deepEqual(Object.keys(config), SETTINGS.map((setting) => setting.name))
  })

  it('takes each setting from the file', () => {
    const text = 'nodeName: n2\nsource: kube\nkubeconfig: /etc/k\ncontext: c\napiServer: ["https://10.0.0.1:6443", "https://[fd00::1]:6443"]\nsocket: /tmp/s\nhealthAddress: "[::1]:1"\nmetricsAddress: none\nmetricsCounters: 7\nnewPods: allow\nnodeEgress: enforce\npodAttachment: address\ndropInvalid: false\nestablishedConnections: keep\n'
    const lists = 'sourcePrefixNamespaces: [a, b]\npodInterfaces:\n- cali*\nkernelAccess: nft\nresyncInterval: 1m\ncanary: false\ncanaryInterval: 5s\nnodeStatus: false\nserviceProxy: picket\nmasquerade: picket\nlogLevel: debug\n'
    const nat = 'nodeHealthAddress: none\nnodePortAddresses: [10.0.0.0/8]\nserviceCIDRs: [10.96.0.0/16, "fd00::/112"]\nserviceMarkMask: "0x3fffff00"\nmasqueradeAll: true\nnonMasqueradeCIDRs: []\nmasqueradeRandomFully: false\n'
    const audit = 'auditLog: all\nauditGroup: 65535\nauditNodeLimit: 1\nauditPodLimit: 2\nauditSourceLimit: "3"\nauditSinks: [stdout, "file:/a?keep=1"]\n'
    assert.deepEqual(loadAgentConfig({ config: fileWith(text + lists + nat + audit) }), {
      nodeName: 'n2',
      source: { kind: 'kube', kubeconfig: '/etc/k', context: 'c', apiServers: ['https://10.0.0.1:6443', 'https://[fd00::1]:6443'] },
      kubeconfig: '/etc/k',
      context: 'c',
      apiServer: ['https://10.0.0.1:6443', 'https://[fd00::1]:6443'],
      socket: '/tmp/s',
      healthAddress: '[::1]:1', metricsAddress: 'none', metricsCounters: 7,
      newPods: 'allow',
      podAttachment: 'address',
      nodeEgress: 'enforce',
      dropInvalid: false,
      establishedConnections: 'keep',
      sourcePrefixNamespaces: ['a', 'b'],
      podInterfaces: ['cali*'],
      kernelAccess: 'nft',
      resyncInterval: 60_000, canary: false, canaryInterval: 5_000, nodeStatus: false,
      serviceProxy: 'picket', nodeHealthAddress: 'none',
      nodePortAddresses: ['10.0.0.0/8'],
      serviceCIDRs: ['10.96.0.0/16', 'fd00::/112'],
      serviceMarkMask: '0x3fffff00',
      masqueradeAll: true,
      masquerade: 'picket',
      nonMasqueradeCIDRs: [],
      masqueradeRandomFully: false,
      auditLog: 'all', auditGroup: 65_535, auditNodeLimit: 1, auditPodLimit: 2, auditSourceLimit: 3, auditSinks: ['stdout', 'file:/a?keep=1'],
      logLevel: 'debug',
    })
  })

  it('lets a flag win over the file, for every type', () => {
    const config = fileWith('newPods: allow\ndropInvalid: false\npodInterfaces: [a]\nresyncInterval: 1s\nnodeName: n2\n')
    const flags = flagsOf('--config', config, '--new-pods', 'deny', '--drop-invalid', '--pod-interfaces', 'b,c*', '--pod-interfaces', 'd')
    const merged = loadAgentConfig({ ...flags, ...flagsOf('--resync-interval', '2s', '--node-name', 'n1', '--source', 'manifests:x'), podInterfaces: flags['podInterfaces'] })
    assert.equal(merged.newPods, 'deny')
    assert.equal(merged.dropInvalid, true)
    assert.deepEqual(merged.podInterfaces, ['b', 'c*', 'd'])
    assert.equal(merged.resyncInterval, 2000)
    assert.equal(merged.nodeName, 'n1')
  })

  it('takes --drop-invalid in each form, and leaves it to the file where it is absent', () => {
    const value = (...args: readonly string[]) => loadAgentConfig({ ...REQUIRED, ...flagsOf(...args) }).dropInvalid
    assert.equal(value('--drop-invalid'), true)
    assert.equal(value('--drop-invalid=false'), false)
    assert.equal(value('--drop-invalid=true'), true)
    assert.equal(value('--no-drop-invalid'), false)
    assert.deepEqual(flagsOf(), {})
  })

  it('takes the node name from NODE_NAME where nothing else has it', () => {
    const before = process.env['NODE_NAME']
    process.env['NODE_NAME'] = 'from-env'
    try {
      assert.equal(loadAgentConfig({ source: 'manifests:m' }).nodeName, 'from-env')
      assert.equal(loadAgentConfig({ source: 'manifests:m', config: fileWith('nodeName: from-file') }).nodeName, 'from-file')
      process.env['NODE_NAME'] = 'Not A Name'
      refused({ source: 'manifests:m' }, /^\$NODE_NAME: expected a Node's name/)
      process.env['NODE_NAME'] = ''
      refused({ source: 'manifests:m' }, /nodeName is not set/, /--node-name/, /NODE_NAME/)
    } finally {
      if (before === undefined) delete process.env['NODE_NAME']
      else process.env['NODE_NAME'] = before
    }
  })

  it('takes the cluster in which it runs for its source where none is named', () => {
    assert.deepEqual(loadAgentConfig({ nodeName: 'n1' }).source, { kind: 'kube', kubeconfig: null, context: null, apiServers: [] })
    assert.deepEqual(loadAgentConfig({ nodeName: 'n1', kubeconfig: 'k' }).source, { kind: 'kube', kubeconfig: 'k', context: null, apiServers: [] })
  })

  it('refuses settings of one source beside another', () => {
    for (const more of [{ kubeconfig: 'k' }, { apiServer: ['https://a:1'] }]) refused({ ...REQUIRED, ...more }, /^source: expected kube beside kubeconfig, context or apiServer, got "manifests:m"/)
    refused({ nodeName: 'n1', context: 'c' }, /^context: expected a kubeconfig beside it/)
    for (const apiServer of ['http://a:1', 'https://a', 'https://a:1/', 'https://u@a:1', 'a:1']) refused({ nodeName: 'n1', apiServer: [apiServer] }, /^--api-server: expected a list of https:\/\/HOST:PORT/)
  })

  for (const setting of SETTINGS) {
    it(`refuses ${setting.name} of the wrong type, in the file and as a flag`, () => {
      const others = Object.fromEntries(Object.entries(REQUIRED).filter(([name]) => name !== setting.name))
      for (const wrong of [setting.type === 'number' ? '0' : '7', '7.5', '1e9', '-1', '{a: b}', '[[1]]', 'null', NO_VALUE]) {
        const file = fileWith(`${setting.name}: ${wrong}\n`)
        refused({ ...others, config: file }, new RegExp(`^${file}: ${setting.name}: expected .*, got `))
      }
      if (setting.type !== 'list') refused({ ...REQUIRED, [setting.name]: NO_VALUE }, new RegExp(`^${flagOf(setting.name)}: expected `))
    })
  }

  it('refuses settings that it does not know, and says which there are', () => {
    refused({ ...REQUIRED, config: fileWith('newPod: deny\n') }, /agent\.yaml: newPod: unknown setting/, /newPods/)
    refused({ ...REQUIRED, config: fileWith('constructor: deny\n') }, /constructor: unknown setting/)
  })

  it('gives the operator of the agents\' file what both have, and refuses what neither knows', () => {
    const config = fileWith('apiServer: ["https://10.0.0.1:6443"]\nlogLevel: warn\nmetricsAddress: "[::]:9655"\nserviceProxy: none\n')
    const { source, logLevel, address, namespace } = loadOperatorConfig({ config })
    assert.deepEqual([source.apiServers, logLevel, address, namespace], [['https://10.0.0.1:6443'], 'warn', '[::]:9658', 'picket-system'])
    assert.equal(loadOperatorConfig({ config, logLevel: 'debug' }).logLevel, 'debug')
    assert.throws(() => loadOperatorConfig({ config: fileWith('logLevels: warn\n') }), /agent\.yaml: logLevels: unknown setting; expected one of .*address, logLevel; nothing was started$/)
    refused({ ...REQUIRED, config: fileWith('address: none\n') }, /agent\.yaml: address: unknown setting/)
  })

  it('refuses a file that it cannot read or that is no YAML map', () => {
    refused({ ...REQUIRED, config: path.join(folder, 'none.yaml') }, /none\.yaml: cannot be read/)
    refused({ ...REQUIRED, config: folder }, /cannot be read/)
    refused({ ...REQUIRED, config: fileWith('a: [1\n') }, /not valid YAML/, /line/)
    refused({ ...REQUIRED, config: fileWith('newPods: deny\nnewPods: allow\n') }, /not valid YAML/)
    refused({ ...REQUIRED, config: fileWith('newPods: deny\n---\nnewPods: allow\n') }, /not valid YAML/)
    refused({ ...REQUIRED, config: fileWith('- a\n') }, /agent\.yaml: expected settings/)
    assert.equal(loadAgentConfig({ ...REQUIRED, config: fileWith('# nothing\n') }).newPods, 'deny')
  })

  it('takes CIDRs, primary alone, and masks of 22 bits or more side by side', () => {
    const loaded = (name: string, value: unknown): unknown => loadAgentConfig({ ...REQUIRED, [name]: value })
    for (const cidrs of [['10.0.0.0/8', 'fd00::/8'], []]) for (const name of ['nodePortAddresses', 'serviceCidrs', 'nonMasqueradeCidrs']) assert.ok(loaded(name, cidrs))
    refused({ ...REQUIRED, serviceCidrs: ['10.0.0.0/33'] }, /^--service-cidrs: expected a list of CIDRs, got \["10\.0\.0\.0\/33"\]/)
    refused({ ...REQUIRED, nodePortAddresses: ['primary', '10.0.0.0/8'] }, /^--node-port-addresses: expected a list of primary .* alone, or CIDRs/)
    for (const mask of ['0xffffffff', '0x3fffff', '0xfffffc00', '0x00ffffff']) assert.ok(loaded('serviceMarkMask', mask))
    for (const mask of ['0xff', '0xfffff000', '0xff00ffff', '0x1ffffffff', '255', '']) refused({ ...REQUIRED, serviceMarkMask: mask }, /^--service-mark-mask: expected a mask of at least 22 bits/)
  })

  it('names the sink, the parameter and what was expected of a sink that cannot be', () => {
    assert.deepEqual(loadAgentConfig({ ...REQUIRED, auditSinks: ['stdout', 'syslog+tls://[fd00::5]:6514?ca=/a'] }).auditSinks, ['stdout', 'syslog+tls://[fd00::5]:6514?ca=/a'])
    refused({ ...REQUIRED, auditSinks: ['stdout', 'file:/a?keep=x'] }, /^--audit-sinks: file:\/a\?keep=x: keep: found "x", expected a number from 0 to 1000; nothing was started$/)
    refused({ ...REQUIRED, auditSinks: ['file:/a', 'file:/a?keep=1'] }, /^--audit-sinks: file:\/a\?keep=1: the second sink for file \/a, expected one/)
    refused({ ...REQUIRED, config: fileWith('auditSinks: [3]\n') }, /agent\.yaml: auditSinks: expected a list of sinks such as stdout, /)
  })

  it('wants the API server by its own address where Picket translates Services, and refuses a ClusterIP', () => {
    const config = { ...REQUIRED, source: 'kube', serviceProxy: 'picket', serviceCidrs: ['10.96.0.0/16'] }
    refused(config, /^apiServer is not set: .*Picket itself serves the API server's ClusterIP/)
    refused({ ...config, apiServer: ['https://10.96.0.1:443'] }, /^apiServer: https:\/\/10\.96\.0\.1:443: .*in serviceCIDRs/)
    refused({ ...config, apiServer: ['https://kubernetes.default.svc:443'] }, /^apiServer: https:\/\/kubernetes\.default\.svc:443: .*a name of the Service/)
    assert.deepEqual(loadAgentConfig({ ...config, apiServer: ['https://10.0.0.1:6443'] }).apiServer, ['https://10.0.0.1:6443'])
    assert.ok(loadAgentConfig({ ...config, kubeconfig: '/etc/k' }))
    assert.ok(loadAgentConfig({ ...config, serviceProxy: 'none' }))
  })

  it('refuses the ClusterIP of the API server that the pod was told, outside serviceCIDRs, too, however it is written', () => {
    const before = process.env['KUBERNETES_SERVICE_HOST']
    const config = { ...REQUIRED, source: 'kube', serviceProxy: 'picket', serviceCidrs: [] }
    try {
      for (const [host, ...servers] of [['172.20.0.1', '172.20.0.1', '0xac.20.1'], ['fd00:96::1', '[fd00:96::1]', '[FD00:0096:0:0::0:1]']] as const) {
        process.env['KUBERNETES_SERVICE_HOST'] = host
        for (const server of servers) refused({ ...config, apiServer: ['https://10.0.0.1:6443', `https://${server}:443`] }, /^apiServer: https:\/\/[^ ]+:443: it is the Service's \(\$KUBERNETES_SERVICE_HOST\)/)
        assert.ok(loadAgentConfig({ ...config, apiServer: ['https://172.20.0.2:443', 'https://[fd00:96::2]:443'] }))
      }
    } finally {
      if (before === undefined) delete process.env['KUBERNETES_SERVICE_HOST']
      else process.env['KUBERNETES_SERVICE_HOST'] = before
    }
  })

  it('takes a loopback address with a port for health, and any or none for metrics', () => {
    for (const healthAddress of ['127.0.0.1:1', '127.255.9.10:65535', '[::1]:9654']) assert.equal(loadAgentConfig({ ...REQUIRED, healthAddress }).healthAddress, healthAddress)
    for (const healthAddress of ['none', '', '0.0.0.0:9654', '[::]:9654', '10.0.0.1:9654', 'localhost:9654', '127.0.0.1', '127.0.0.256:1', '127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1:1/', '[::1]']) {
      refused({ ...REQUIRED, healthAddress }, /^--health-address: expected a loopback address HOST:PORT, such as 127\.0\.0\.1:9654 or \[::1\]:9654, got /)
    }
    for (const metricsAddress of ['none', '[::]:9655', '0.0.0.0:1', 'node-1.example:9655', '[fe80::1%eth0]:9655', '10.0.0.1:65535']) {
      assert.equal(loadAgentConfig({ ...REQUIRED, metricsAddress }).metricsAddress, metricsAddress)
    }
    for (const metricsAddress of ['', 'off', ':9655', '::1:9655', '10.0.0.1', '10.0.0.1:0', '[::]:70000', 'a b:1', 'http://a:1']) {
      refused({ ...REQUIRED, metricsAddress }, /^--metrics-address: expected HOST:PORT, such as 127\.0\.0\.1:9655 or \[::\]:9655, or none, got /)
    }
  })

  it('takes interface patterns with one * at the end only', () => {
    const patterns = (...podInterfaces: readonly string[]) => loadAgentConfig({ ...REQUIRED, podInterfaces }).podInterfaces
    assert.deepEqual(patterns('*', 'eth0', 'cali*', 'a23456789012345'), ['*', 'eth0', 'cali*', 'a23456789012345'])
    for (const bad of ['', 'a*b', '**', 'a b', 'a/b', 'a234567890123456']) refused({ ...REQUIRED, podInterfaces: [bad] }, /--pod-interfaces: expected/)
  })
})

describe('parseDuration', () => {
  it('reads numbers with a unit', () => {
    assert.deepEqual(['500ms', '60s', '2m', '1h', '1.5s'].map(parseDuration), [500, 60_000, 120_000, 3_600_000, 1500])
  })
  it('refuses anything else, zero and what no timer can wait for', () => {
    for (const text of ['', '5', 's', '-1s', '1 s', '1d', '0s', '1e3s', '600h', '0.1ms']) assert.equal(parseDuration(text), null, text)
  })
})
