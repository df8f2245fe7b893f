// The CNI plugin as a runtime calls it, with a real agent on a node of the testbed: every command in every version of the
// specification, an agent that is away, late or frozen, and input that is wrong.
//
// **Invariant:** a failure is the JSON of the specification on stdout with a status that is not 0; success never is.
import assert from 'node:assert/strict'
import type { RealPod } from '../support/real-objects.ts'
import { answersOf, GateWorld, untold } from '../support/gate-world.ts'
import { pause } from '../support/real-wire.ts'
import { buildPlugin, configOf, environmentOf, resultOf, start, VERSIONS, type Call, type Called, type Failure, type Running } from './cni-caller.ts'

const NOWHERE = '/run/picket-nowhere/agent.sock'
const MOST_MS = 150
const MOST_BYTES = 60 * 2 ** 20

for (const attachment of ['veth', 'bridge'] as const) describe(`the CNI plugin, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let world: GateWorld
  let program: string

  before(async () => {
    program = buildPlugin()
    world = await GateWorld.open(attachment)
  })
  after(() => world.lab.close())
  afterEach(() => world.clear())

  const made = (pod: RealPod): readonly string[] => [...(attachment === 'bridge' ? ['cni0'] : []), world.lab.testbed.hostInterface(pod.key)]

  function started(command: string, pod: RealPod, version: string, { env = {}, config = {}, stdin }: Call = {}): Running {
    const whole = { ...configOf(pod, 'prevResult' in config ? [] : made(pod), world.lab.agents.socket('n1'), version), ...config }
    return start(program, { CNI_COMMAND: command, ...environmentOf(pod), ...env }, stdin ?? JSON.stringify(whole))
  }
  const call = (command: string, pod: RealPod, version: string, more: Call = {}): Promise<Called> => started(command, pod, version, more).done

  function failure({ status, stdout }: Called): Failure {
    assert.equal(status, 1, stdout)
    return JSON.parse(stdout) as Failure
  }

  for (const version of VERSIONS) it(`${version}: ADD answers prevResult when the pod is programmed, CHECK says yes, DEL takes it back`, async () => {
    const pod = await world.started('shop/web')
    const added = await call('ADD', pod, version)
    assert.deepEqual([added.status, added.stderr], [0, ''], added.stdout)
    assert.deepEqual(JSON.parse(added.stdout), resultOf(pod, made(pod), version))
    await world.lab.check(answersOf('shop/web'))
    const checked = await call('CHECK', pod, version)
    assert.deepEqual([checked.status, checked.stdout, checked.stderr], [0, '', ''])
    for (let again = 0; again < 2; again++) {
      const removed = await call('DEL', pod, version)
      assert.deepEqual([removed.status, removed.stdout, removed.stderr], [0, '', ''])
    }
    await world.nothingKept()
    const { code, cniVersion, msg } = failure(await call('CHECK', pod, version, { config: { timeout: '1s' } }))
    assert.deepEqual([code, cniVersion], [101, version])
    assert.match(msg, /^pod shop\/web is not programmed after /)
    await world.gone(pod)
  })

  it('passes prevResult on in the version of the configuration', async () => {
    const pod = await world.started('shop/web')
    const older = await call('ADD', pod, '0.4.0', { config: { prevResult: resultOf(pod, made(pod), '1.0.0') } })
    assert.deepEqual(JSON.parse(older.stdout), resultOf(pod, made(pod), '0.4.0'))
    const newer = await call('ADD', pod, '1.1.0', { config: { prevResult: resultOf(pod, made(pod), '0.4.0') } })
    assert.deepEqual(JSON.parse(newer.stdout), resultOf(pod, made(pod), '1.1.0'))
    await world.gone(pod)
  })

  it(`ADD takes less than ${MOST_MS} ms and 60 MB`, async () => {
    const times: number[] = []
    for (let round = 0; round < 5; round++) {
      const pod = await world.started(`shop/web-${round}`)
      const { status, ms } = await call('ADD', pod, '1.0.0')
      assert.equal(status, 0)
      times.push(ms)
    }
    const pod = world.pod('shop/web')
    await world.lab.runPod(pod)
    const waiting = started('ADD', pod, '1.0.0')
    await pause(300)
    const bytes = waiting.peak()
    world.lab.put(untold(pod))
    await world.lab.settle()
    assert.equal((await waiting.done).status, 0)
    const median = times.sort((a, b) => a - b)[2] as number
    console.log(`      ADD: ${times.map((ms) => Math.round(ms)).join(', ')} ms, ${(bytes / 2 ** 20).toFixed(1)} MiB`)
    assert.ok(median < MOST_MS, `${Math.round(median)} ms`)
    assert.ok(bytes > 0 && bytes < MOST_BYTES, `${bytes} bytes`)
  })

  it('waits for an agent that is being restarted', async () => {
    const pod = await world.started('shop/web')
    await world.lab.agents.stop('n1')
    const waiting = call('ADD', pod, '1.0.0')
    await pause(500)
    await world.lab.agents.start('n1')
    assert.equal((await waiting).status, 0)
    await world.lab.check(answersOf('shop/web'))
    await world.gone(pod)
  })

  it('is cut by a restart while it waits, and asks the next agent', async () => {
    const pod = world.pod('shop/web')
    await world.lab.runPod(pod)
    const waiting = call('ADD', pod, '1.0.0', { config: { timeout: '20s' } })
    await pause(200)
    await world.lab.agents.stop('n1', 'SIGKILL')
    await world.lab.agents.start('n1')
    world.lab.put(untold(pod))
    await world.lab.settle()
    assert.equal((await waiting).status, 0)
    await world.gone(pod)
  })

  it('fails when the time is over, and says why: no agent, a frozen one, a pod that nobody tells of', async () => {
    const pod = world.pod('shop/web')
    await world.lab.runPod(pod)
    const late = async (config: Call['config']): Promise<string> => {
      const called = await call('ADD', pod, '1.0.0', { config: { timeout: '1s', ...config } })
      const { code, cniVersion, msg, details } = failure(called)
      assert.deepEqual([code, cniVersion], [11, '1.0.0'])
      assert.ok(called.ms > 600 && called.ms < 1_500, `${called.ms} ms`)
      assert.match(details ?? '', /^the pod is not started, so that no packet of it passes unjudged; /)
      return msg
    }
    assert.match(await late({ socket: NOWHERE }), /^pod shop\/web: no answer of Picket's agent on \/run\/picket-nowhere\/agent\.sock within 1s: .*no such file/)
    assert.match(await late({}), /^pod shop\/web is not programmed after 0\.7 s: the API server has not told of it yet$/)
    await world.lab.agents.stop('n1')
    const agent = await world.lab.agents.start('n1')
    await world.lab.settle()
    agent.kill('SIGSTOP')
    assert.match(await late({}), /^pod shop\/web: no answer of Picket's agent on .*: it takes the request and does not answer$/)
    const removed = await call('DEL', pod, '1.0.0')
    assert.deepEqual([removed.status, removed.stdout], [0, ''])
    agent.kill('SIGCONT')
    await world.gone(pod)
  })

  it('onTimeout: allow lets the pod start, and says so', async () => {
    const pod = world.pod('shop/web')
    await world.lab.runPod(pod)
    for (const socket of [NOWHERE, world.lab.agents.socket('n1')]) {
      const { status, stdout, stderr } = await call('ADD', pod, '1.0.0', { config: { socket, timeout: '500ms', onTimeout: 'allow' } })
      assert.equal(status, 0, stdout)
      assert.deepEqual(JSON.parse(stdout), resultOf(pod, made(pod), '1.0.0'))
      assert.match(stderr, /^picket-cni: pod shop\/web.*onTimeout is allow: the pod starts/)
    }
    // What was told holds as soon as the object comes.
    world.lab.put(untold(pod))
    await world.lab.settle()
    await world.lab.check(answersOf('shop/web'))
    await world.gone(pod)
  })

  it('a refusal of the agent fails whatever onTimeout says', async () => {
    const pod = await world.started('shop/web')
    world.lab.put(untold(pod, { status: { phase: 'Succeeded' } }))
    await world.lab.settle()
    const { code, msg } = failure(await call('ADD', pod, '1.0.0', { config: { onTimeout: 'allow' } }))
    assert.deepEqual([code, msg], [100, "Picket's agent refused: pod shop/web is finished, as the API server says: it gets no sandbox"])
    await world.gone(pod)
  })

  it('what is no pod of Kubernetes, or has no address, is passed on as it is', async () => {
    const pod = await world.started('shop/web')
    const config = { socket: NOWHERE }
    const other = await call('ADD', pod, '1.0.0', { env: { CNI_ARGS: undefined }, config })
    assert.deepEqual([other.status, JSON.parse(other.stdout)], [0, resultOf(pod, made(pod), '1.0.0')])
    assert.match(other.stderr, /no pod of Kubernetes/)
    const bare = await call('ADD', pod, '1.0.0', { config: { ...config, prevResult: { cniVersion: '1.0.0', interfaces: [], more: { kept: 1 } } } })
    assert.deepEqual([bare.status, JSON.parse(bare.stdout)], [0, { cniVersion: '1.0.0', interfaces: [], more: { kept: 1 } }])
    await world.gone(pod)
  })
})

describe('the CNI plugin without an agent', function () {
  this.timeout(60_000)
  const pod = { key: 'shop/web', node: 'n1', addresses: ['10.88.0.9', 'fd00:88::9'], ports: [], labels: null, uid: 'uid-1' } satisfies RealPod
  let program: string
  before(() => (program = buildPlugin()))

  function call(command: string | undefined, version: string, { env = {}, config = {}, stdin }: Call = {}): Promise<Called> {
    const whole = { ...configOf(pod, ['veth1'], NOWHERE, version), timeout: '300ms', ...config }
    return start(program, { CNI_COMMAND: command, ...environmentOf(pod), ...env }, stdin ?? JSON.stringify(whole)).done
  }

  for (const version of VERSIONS) it(`${version}: STATUS, GC, DEL and CHECK succeed, and VERSION says what it speaks`, async () => {
    for (const command of ['STATUS', 'GC']) {
      const env = { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined, CNI_ARGS: undefined }
      const { status, stdout, stderr, ms } = await call(command, version, { env, config: { prevResult: undefined } })
      assert.deepEqual([command, status, stdout, stderr], [command, 0, '', ''])
      assert.ok(ms < 1_000)
    }
    for (const command of ['DEL', 'CHECK']) {
      const { status, stdout, stderr } = await call(command, version)
      assert.deepEqual([command, status, stdout], [command, 0, ''])
      assert.match(stderr, /^picket-cni: (container|pod) \S+: no answer of Picket's agent/)
    }
    const bare = await call('DEL', version, { env: { CNI_NETNS: undefined, CNI_ARGS: undefined }, config: { prevResult: undefined } })
    assert.deepEqual([bare.status, bare.stdout], [0, ''])
    const { status, stdout } = await call('VERSION', version, { stdin: JSON.stringify({ cniVersion: version }) })
    assert.deepEqual([status, JSON.parse(stdout)], [0, { cniVersion: version, supportedVersions: VERSIONS }])
  })

  const wrong: readonly (readonly [string, string | undefined, Call, number, RegExp])[] = [
    ['no command', undefined, {}, 4, /^CNI_COMMAND is not set: expected ADD, /],
    ['an unknown command', 'UPDATE', {}, 4, /^CNI_COMMAND: found "UPDATE"/],
    ['no container', 'ADD', { env: { CNI_CONTAINERID: '' } }, 4, /^CNI_CONTAINERID not set/],
    ['no namespace and no interface', 'ADD', { env: { CNI_NETNS: undefined, CNI_IFNAME: undefined } }, 4, /^CNI_NETNS, CNI_IFNAME not set: required with CNI_COMMAND=ADD/],
    ['DEL without an interface', 'DEL', { env: { CNI_IFNAME: undefined } }, 4, /^CNI_IFNAME not set/],
    ['a strange container', 'ADD', { env: { CNI_CONTAINERID: '-a' } }, 4, /^CNI_CONTAINERID: found "-a"/],
    ['a strange interface', 'CHECK', { env: { CNI_IFNAME: 'a/b' } }, 4, /^CNI_IFNAME: found "a\/b"/],
    ['malformed arguments', 'ADD', { env: { CNI_ARGS: 'K8S_POD_NAME' } }, 4, /^CNI_ARGS: found "K8S_POD_NAME", expected KEY=VALUE/],
    ['half a pod', 'ADD', { env: { CNI_ARGS: 'K8S_POD_NAME=a' } }, 4, /^CNI_ARGS: K8S_POD_NAMESPACE is missing/],
    ['nothing on stdin', 'ADD', { stdin: '' }, 6, /^stdin: expected a network configuration/],
    ['no JSON on stdin', 'STATUS', { stdin: '{"cniVersion"' }, 6, /^stdin: expected/],
    ['no object on stdin', 'ADD', { stdin: '[]' }, 6, /^stdin: expected/],
    ['too much on stdin', 'ADD', { stdin: `"${'x'.repeat(2 ** 20)}"` }, 6, /at most 1048576 bytes$/],
    ['no version', 'ADD', { config: { cniVersion: undefined } }, 1, /^cniVersion: found "", expected one of 0\.4\.0, 1\.0\.0, 1\.1\.0$/],
    ['a version that is not spoken', 'ADD', { config: { cniVersion: '0.3.1' } }, 1, /^cniVersion: found "0\.3\.1"/],
    ['no name', 'ADD', { config: { name: undefined } }, 7, /^name: found nothing/],
    ['a socket that is no path', 'ADD', { config: { socket: 'agent.sock' } }, 7, /^socket: found "agent\.sock", expected an absolute path/],
    ['a timeout of another kind', 'ADD', { config: { timeout: 10 } }, 7, /^timeout: found a JSON number, expected a string$/],
    ['a timeout that is none', 'STATUS', { config: { timeout: 'soon' } }, 7, /^timeout: found "soon", expected a duration/],
    ['a timeout that is too long', 'ADD', { config: { timeout: '2h' } }, 7, /^timeout: found "2h", expected a duration of 100ms to 60s/],
    ['a word for onTimeout', 'ADD', { config: { onTimeout: 'maybe' } }, 7, /^onTimeout: found "maybe", expected fail or allow$/],
    ['no prevResult', 'ADD', { config: { prevResult: undefined } }, 7, /^prevResult: found nothing, which ADD needs$/],
    ['CHECK without prevResult', 'CHECK', { config: { prevResult: null } }, 7, /^prevResult: found nothing, which CHECK needs$/],
    ['prevResult of another kind', 'ADD', { config: { prevResult: [] } }, 7, /^prevResult: found no JSON object/],
    ['interfaces of another kind', 'ADD', { config: { prevResult: { interfaces: 7 } } }, 7, /^prevResult\.interfaces: /],
    ['an address without its length', 'ADD', { config: { prevResult: { ips: [{ address: '10.0.0.1' }] } } }, 7, /^prevResult\.ips\[0\]\.address: found "10\.0\.0\.1"/],
    ['an index that is out of range', 'ADD', { config: { prevResult: { ips: [{ address: '10.0.0.1/24', interface: 3 }] } } }, 7, /^prevResult\.ips\[0\]\.interface: found 3/],
  ]
  for (const [title, command, input, code, message] of wrong) it(`${title}: code ${code}, with the place`, async () => {
    const { status, stdout } = await call(command, '1.0.0', input)
    assert.equal(status, 1, stdout)
    const found = JSON.parse(stdout) as Failure
    assert.equal(found.code, code, stdout)
    assert.match(found.msg, message)
    assert.ok((VERSIONS as readonly string[]).includes(found.cniVersion))
  })
})
