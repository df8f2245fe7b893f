// Whether nodes have programmed what is said, asked of agents over pods/exec: a real agent's answer behind a server of exec's own.
//
// **Invariant:** what the server runs is what the command's arguments say, given to an agent as its own command would.
import assert from 'node:assert/strict'
import { explainOnNode, type ExplainingOptions } from '../../../src/agent/explaining.ts'
import type { Counted } from '../../../src/ruleset/rule-counters.ts'
import { askAgents } from '../../../src/cli/explain-agents.ts'
import type { Answer, Programmed } from '../../../src/explain/answer.ts'
import type { World } from '../../../src/explain/world.ts'
import { compiled } from '../../support/check-cluster.ts'
import { ExecServer, message, NO_UPGRADE } from '../../support/exec-server.ts'
import { asked, worldOf } from '../../support/explain-world.ts'
import type { RawCluster, RawObject } from '../../support/manifests.ts'

function podOf(namespace: string, name: string, node: string, number: number, labels: Readonly<Record<string, string>> = { app: name }): RawObject {
  return {
    apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, uid: `pod-${number}-0`, labels }, spec: { nodeName: node, containers: [{ name: 'main' }] },
    status: { phase: 'Running', podIPs: [{ ip: `10.1.1.${number}` }, { ip: `fd00:1:1::${number}` }] },
  }
}

const AGENT = { 'app.kubernetes.io/name': 'picket', 'app.kubernetes.io/component': 'agent' }
const policy = (name: string, spec: object): RawObject => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'shop', name, uid: name }, spec: { podSelector: {}, ...spec } as never })
const allowing = (port: number): RawObject => policy('web', { podSelector: { matchLabels: { app: 'api' } }, ingress: [{ ports: [{ port }] }] })
const clusterOf = (...objects: readonly RawObject[]): RawCluster => new Map(objects.map((one) => [one.metadata.uid, one]))
const PODS: readonly RawObject[] = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', uid: 'ns' } }, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'picket-system', uid: 'ns-2' } },
  podOf('shop', 'web', 'n1', 1), podOf('shop', 'api', 'n2', 2), podOf('picket-system', 'agent-1', 'n1', 3, AGENT), podOf('picket-system', 'agent-2', 'n2', 4, AGENT),
]
const CLUSTER = clusterOf(...PODS, allowing(80))
const ENDED = message(3, '{"status":"Success"}')

/** What the agent of that node says, of the cluster as it knows it. */
async function saidBy(node: string, cluster: RawCluster, command: readonly string[], changes: Partial<ExplainingOptions>): Promise<string> {
  const { turns } = compiled(cluster, node)
  const options: ExplainingOptions = { config: { nodeName: node, nodeEgress: 'allow', serviceCIDRs: [] }, turns, held: () => ({ revision: turns.revision, at: 0 }), searching: () => false, drained: () => true, counted: () => Promise.resolve(new Map()), problems: () => [], ...changes }
  const { status, body } = await explainOnNode(options)({ halves: JSON.parse(command.at(-1) ?? '') as unknown })
  assert.equal(status, 200, JSON.stringify(body))
  return JSON.stringify(body)
}

describe('agents that are asked from outside', () => {
  let server: ExecServer
  const commands: string[] = []
  beforeEach(async () => {
    server = await ExecServer.start()
    commands.length = 0
  })
  afterEach(() => server.close())

  const world = (...more: readonly RawObject[]): World => worldOf([...CLUSTER.values(), ...more])
  const words = ({ flows }: Answer): readonly Programmed[] => flows.flatMap(({ legs }) => legs.flatMap(({ egress, ingress }) => [egress.programmed, ingress.programmed].filter((one) => one !== undefined)))
  const ask = (of: World, from = 'shop/web', to = 'shop/api', port = '80/TCP'): Promise<Answer> => askAgents(asked(of, from, to, port), of.snapshot, server.transport, { from, to, port })

  /** Both agents know `theirs`, and the kernel is as far as `changes` says. */
  async function agentsKnow(theirs: RawCluster, changes: Partial<ExplainingOptions> = {}): Promise<void> {
    const answers = new Map<string, string>()
    server.program = (pod, command) => {
      commands.push(`${pod} ${command.slice(0, -1).join(' ')}`)
      return [message(1, answers.get(`${pod} ${command.at(-1)}`) ?? ''), ENDED]
    }
    // What will be asked is known: an answer cannot be waited for in the middle of a handshake.
    for (const [pod, node] of [['agent-1', 'n1'], ['agent-2', 'n2']] as const) {
      const halves = HALVES[node]
      answers.set(`${pod} ${halves}`, await saidBy(node, theirs, [halves], changes))
    }
  }

  it('say that their kernels hold it, each for its own halves, once', async () => {
    await agentsKnow(CLUSTER)
    const answer = await ask(world())
    assert.equal(answer.verdict, 'allowed')
    assert.deepEqual([...new Set(words(answer).map(({ node, state }) => `${node} ${state}`))], ['n1 programmed', 'n2 programmed'])
    assert.match(words(answer)[0]?.text ?? '', /^programmed on node n1 \(revision \d+ of 1970-01-01T00:00:00\.000Z\)$/)
    assert.deepEqual(commands.toSorted(), ['agent-1', 'agent-2'].map((pod) => `${pod} picket explain --source socket --from shop/web --to shop/api --port 80/TCP --timeout 8s --output json --halves`))
  })

  it('say what they counted, unless they judge otherwise', async () => {
    const counted: Counted = { kind: 'allowed', namespace: 'shop', policy: { name: 'web', uid: 'web' }, direction: 'ingress', rule: 0 }
    const counting = { counted: () => Promise.resolve(new Map([['passed', { counted, live: true, packets: 3, bytes: 180 }]])) }
    const counts = ({ flows }: Answer): readonly unknown[] => flows.flatMap(({ legs }) => legs.flatMap(({ egress, ingress }) => [egress.counted, ingress.counted]))
    await agentsKnow(CLUSTER, counting)
    assert.deepEqual(counts(await ask(world())), Array.from({ length: 2 }, () => [undefined, { packets: 3, bytes: 180 }]).flat())
    await agentsKnow(clusterOf(...PODS, allowing(80), policy('gone', { podSelector: { matchLabels: { app: 'api' } }, policyTypes: ['Ingress'] })), counting)
    assert.deepEqual(counts(await ask(world())), Array.from({ length: 4 }, () => undefined))
  })

  it('say that their kernels are not as far yet', async () => {
    await agentsKnow(CLUSTER, { held: () => null })
    for (const { state, text } of words(await ask(world()))) {
      assert.equal(state, 'not-yet')
      assert.match(text, /^node n[12] has NOT PROGRAMMED this yet: its kernel holds nothing, this is of revision \d+$/)
    }
  })

  it('say so of an earlier revision, too', async () => {
    await agentsKnow(CLUSTER, { held: () => ({ revision: 0, at: 0 }) })
    assert.match(words(await ask(world()))[0]?.text ?? '', /^node n1 has NOT PROGRAMMED this yet: its kernel holds revision 0 of 1970-01-01T00:00:00\.000Z, this is of revision \d+$/)
  })

  it('judge otherwise where they have not heard of a policy, of its edit, or of its end', async () => {
    await agentsKnow(clusterOf(...PODS))
    const unheard = await ask(world())
    assert.equal(unheard.verdict, 'allowed')
    assert.deepEqual(words(unheard).map(({ node, state }) => `${node} ${state}`), ['n1 programmed', 'n2 otherwise', 'n1 programmed', 'n2 otherwise'])
    assert.match(words(unheard)[1]?.text ?? '', /^node n2 does OTHERWISE \(revision \d+ of \S+\): no policy isolates shop\/api for ingress; ask again/)
    await agentsKnow(clusterOf(...PODS, allowing(443)))
    assert.match(words(await ask(world()))[1]?.text ?? '', /OTHERWISE .*: isolated by shop\/web for ingress, and no rule allows this/)
    await agentsKnow(clusterOf(...PODS, allowing(80), policy('gone', { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Egress'] })))
    assert.match(words(await ask(world()))[0]?.text ?? '', /node n1 does OTHERWISE .*: isolated by shop\/gone for egress/)
    // Denied before and after an edit, and not by the same rule.
    await agentsKnow(clusterOf(...PODS, allowing(443)))
    const edited = worldOf(clusterOf(...PODS, allowing(8443)).values())
    const denied = await ask(edited)
    assert.deepEqual([denied.verdict, words(denied)[1]?.state], ['denied', 'otherwise'])
  })

  it('are named where nobody could be asked, and the verdict stands', async () => {
    const told = async (): Promise<string> => {
      const answer = await ask(world())
      assert.equal(answer.verdict, 'allowed')
      assert.ok(words(answer).every(({ state }) => state === 'not-asked'))
      return words(answer)[0]?.text ?? ''
    }
    server.plain.GET = [403, { kind: 'Status', reason: 'Forbidden', code: 403, message: 'no' }]
    assert.equal(await told(), 'node n1: not asked: pods/exec in picket-system is forbidden to us; it takes get and create there')
    server.plain.POST = [201, { kind: 'SelfSubjectReview', status: { userInfo: { username: 'jane' } } }]
    assert.equal(await told(), 'node n1: not asked: pods/exec in picket-system is forbidden to jane; it takes get and create there')
    server.plain.POST = NO_UPGRADE
    server.plain.GET = NO_UPGRADE
    server.program = () => [message(2, "picket: unknown option '--halves'\n"), message(3, '{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"2"}]}}')]
    assert.match(await told(), /^node n1: not asked: pod picket-system\/agent-1 says: unknown option '--halves': is it of this version\?$/)
    server.program = () => [message(2, 'picket: this agent has not read all objects yet\n'), message(3, '{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"2"}]}}')]
    assert.match(await told(), /agent-1 says: this agent has not read all objects yet$/)
    server.program = () => [message(3, '{"status":"Failure","reason":"InternalError","message":"no such container"}')]
    assert.match(await told(), /agent-1 says: no such container$/)
    for (const text of ['', '{', 'null', '{"node":{"programmed":true},"halves":[]}', '{"halves":[{},{}]}']) {
      server.program = () => [message(1, text), ENDED]
      assert.match(await told(), /agent-1 answers in another form: is it of this version\?$/)
    }
    const none = worldOf([...CLUSTER.values()].filter(({ metadata }) => metadata.namespace !== 'picket-system'))
    assert.match(words(await ask(none))[0]?.text ?? '', /^node n1: not asked: no agent runs there \(no pod of DaemonSet picket-agent in picket-system\)$/)
  })

  it('are not asked about ends that no policy holds for', async () => {
    server.program = () => assert.fail('nobody is to be asked')
    const answer = await ask(world(), '192.0.2.1', '192.0.2.2')
    assert.deepEqual(words(answer), [])
  })
})

function halvesOf(direction: 'egress' | 'ingress'): string {
  return JSON.stringify([['10.1.1.1', '10.1.1.2'], ['fd00:1:1::1', 'fd00:1:1::2']].map(([source, destination]) => ({ direction, source, destination, protocol: 'TCP', port: 80 })))
}
const HALVES = { n1: halvesOf('egress'), n2: halvesOf('ingress') } as const
