// `picket observe` from outside: whom it asks, how many at a time, what it says of whom it cannot, and streams that break.
//
// **Invariant:** requests and WebSockets are real; what a server of exec runs in a pod is what our own command would say there.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditRecord } from '../../../src/flows/record.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { observeBy } from '../../../src/cli/observe-cluster.ts'
import { askedOf, type FilterPair } from '../../../src/cli/observe-options.ts'
import { flowRecord, lostRecord } from '../../support/flow-records.ts'
import { ExecServer, message, type Running } from '../../support/exec-server.ts'

const ENDED = message(3, '{"status":"Success"}')
const failed = (status: number): Buffer => message(3, `{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"${status}"}]}}`)
const said = (...records: readonly AuditRecord[]): Buffer => message(1, records.map((record) => `${JSON.stringify(record)}\n`).join(''))
const at = (ms: number, changes: Parameters<typeof flowRecord>[0] = {}): AuditRecord => flowRecord({ time: new Date(Date.UTC(2026, 0, 5, 12, 0, 0, ms)).toISOString(), ...changes })

interface PodChanges {
  readonly namespace?: string
  readonly phase?: string
  readonly created?: string
  readonly going?: boolean
}
const podOf = (name: string, node: string, { namespace = 'shop', phase = 'Running', created = '2026-01-01T00:00:00Z', going = false }: PodChanges = {}) =>
  ({ metadata: { namespace, name, uid: `uid-${name}`, creationTimestamp: created, ...(going ? { deletionTimestamp: created } : {}) }, spec: { nodeName: node }, status: { phase } })
const agentOf = (node: string, name = `agent-${node}`, changes: PodChanges = {}) => podOf(name, node, { namespace: 'picket-system', ...changes })
type Pod = ReturnType<typeof podOf>

describe('picket observe from outside', function () {
  this.timeout(20_000)
  let server: ExecServer
  let pods: Pod[]
  let listed: string[]
  const commands = new Map<string, string[]>()
  const stops: AbortController[] = []

  beforeEach(async () => {
    server = await ExecServer.start()
    pods = [agentOf('n1'), agentOf('n2'), agentOf('n3'), podOf('web-1', 'n1'), podOf('web-2', 'n2'), podOf('api-0', 'n2', { namespace: 'pay' })]
    listed = []
    commands.clear()
    server.found = (url) => {
      const [, namespace] = /^\/api\/v1(?:\/namespaces\/([^/]+))?\/pods$/.exec(url.pathname) ?? []
      if (!url.pathname.endsWith('/pods')) return null
      const field = url.searchParams.get('fieldSelector')
      const isAgents = url.searchParams.get('labelSelector') === 'app.kubernetes.io/name=picket,app.kubernetes.io/component=agent'
      listed.push(`${namespace ?? '*'}${field === null ? '' : ` ${field}`}${isAgents ? ' agents' : ''}`)
      const items = pods.filter(({ metadata }) => (namespace === undefined || metadata.namespace === namespace) && (field === null || field === `metadata.name=${metadata.name}`))
      return [200, { kind: 'PodList', metadata: { resourceVersion: '1' }, items }]
    }
    server.program = (pod, command) => {
      commands.set(pod, [...command])
      return [said(flowRecord({ node: pod })), ENDED]
    }
  })
  afterEach(async () => {
    for (const stop of stops.splice(0)) stop.abort()
    await server.close()
  })

  interface Outcome {
    readonly records: AuditRecord[]
    readonly notes: string[]
    readonly stop: AbortController
    readonly told: Promise<readonly string[]>
  }
  function observing(pairs: readonly FilterPair[] = [], options: Parameters<typeof askedOf>[1] = {}, timeout = 5_000): Outcome {
    const stop = new AbortController()
    stops.push(stop)
    const records: AuditRecord[] = []
    const notes: string[] = []
    const question = { asked: askedOf(pairs, options, Date.now()), timeout, refresh: 1_500, clock: systemClock, onRecord: ({ record }: { record: AuditRecord }) => void records.push(record), note: (text: string) => void notes.push(text), progress: () => undefined }
    const told = observeBy(server.transport, question, stop.signal).then(({ unreached }) => unreached)
    told.catch(() => undefined)
    return { records, notes, stop, told }
  }
  async function asked(pairs: readonly FilterPair[] = [], options: Parameters<typeof askedOf>[1] = {}, timeout?: number): Promise<{ readonly agents: readonly string[]; readonly records: readonly AuditRecord[]; readonly notes: readonly string[]; readonly unreached: readonly string[] }> {
    const { records, notes, told } = observing(pairs, options, timeout)
    const unreached = await told
    return { agents: [...commands.keys()].toSorted(), records, notes, unreached }
  }

  it('asks every agent where no pod is named, in the words of its own options', async () => {
    const { agents, notes, unreached } = await asked([['verdict', 'DROPPED'], ['not', 'port=53'], ['namespace', 'shop']], { since: '5m', last: '7' })
    assert.deepEqual([agents, notes, unreached, listed], [['agent-n1', 'agent-n2', 'agent-n3'], [], [], ['picket-system agents']])
    assert.deepEqual(commands.get('agent-n1'), ['picket', 'observe', '--socket', '/run/picket/agent.sock', '--output', 'json', '--since', '5m', '--last', '7', '--verdict', 'DROPPED', '--not', '--port', '53', '--namespace', 'shop', '--timeout', '4000ms'])
  })
  it('asks the agents of the nodes that host the pods in question, and says what that leaves out', async () => {
    const of = async (...pairs: readonly FilterPair[]): Promise<readonly [readonly string[], readonly string[]]> => {
      commands.clear()
      listed = []
      const { agents, notes } = await asked(pairs)
      return [agents, notes]
    }
    assert.deepEqual(await of(['pod', 'shop/web-1']), [['agent-n1'], ["asked are the nodes that host shop/web-1 (n1); what the node of the other end drops is told there: name that pod, too, or ask every node with --node '*'"]])
    assert.deepEqual(listed, ['picket-system agents', 'shop metadata.name=web-1'])
    assert.deepEqual(await of(['from-pod', 'shop/web-*'], ['to-pod', 'pay/api-0']), [['agent-n1', 'agent-n2'], []])
    assert.deepEqual(await of(['from-pod', 'web-1'], ['to-pod', 'pay/api-*'], ['namespace', 'shop']), [['agent-n1', 'agent-n2'], []])
    assert.deepEqual(listed, ['picket-system agents', 'shop metadata.name=web-1', 'pay'])
    assert.deepEqual(await of(['pod', 'shop/web-1'], ['node', '*']), [['agent-n1', 'agent-n2', 'agent-n3'], []])
    assert.deepEqual(await of(['node', 'n2,n3']), [['agent-n2', 'agent-n3'], []])
    assert.deepEqual(await of(['not', 'node=n2']), [['agent-n1', 'agent-n3'], []])
    assert.deepEqual(await of(['pod', 'shop/gone-1']), [['agent-n1', 'agent-n2', 'agent-n3'], ['no pod shop/gone-1 runs now: the agents of all nodes are asked']])
    // One that has ended is nowhere, and what is left out is no pod in question.
    pods.push(podOf('web-9', 'n3', { phase: 'Succeeded' }))
    assert.deepEqual((await of(['from-pod', 'shop/web-*'], ['to-pod', 'shop/web-9']))[0], ['agent-n1', 'agent-n2'])
    assert.deepEqual((await of(['not', 'pod=shop/web-1']))[0], ['agent-n1', 'agent-n2', 'agent-n3'])
  })
  it('asks one agent a node: the newest that runs', async () => {
    pods = [agentOf('n1', 'old', { created: '2026-01-01T00:00:00Z', going: true }), agentOf('n1', 'new', { created: '2026-01-02T00:00:00Z' }), agentOf('n2', 'done', { phase: 'Failed', created: '2026-01-03T00:00:00Z' }), agentOf('n2', 'works'), agentOf('n3', 'works-3'), agentOf('n3', 'starts', { phase: 'Pending', created: '2026-01-03T00:00:00Z' })]
    assert.deepEqual((await asked()).agents, ['new', 'works', 'works-3'])
  })
  it('names nodes without an agent, and clusters without any', async () => {
    pods.push(podOf('web-3', 'n4'))
    const { agents, notes, unreached } = await asked([['from-pod', 'shop/web-*'], ['to-pod', 'shop/web-3']])
    assert.deepEqual([agents, notes, unreached], [['agent-n1', 'agent-n2'], ['node n4: not asked: no agent runs there'], ['n4']])
    pods = []
    await assert.rejects(asked(), /no agent runs in this cluster: expected pods of DaemonSet picket-agent in picket-system/)
  })
  it('merges by time, and takes the newest of all', async () => {
    server.program = (pod) => [said(...(pod === 'agent-n1' ? [at(1), at(4)] : pod === 'agent-n2' ? [at(2), lostRecord({ time: at(3).time })] : [at(0), at(5)]).map((record) => ({ ...record, node: pod }))), ENDED]
    assert.deepEqual((await asked()).records.map(({ time }) => Date.parse(time) % 1000), [0, 1, 2, 3, 4, 5])
    assert.deepEqual((await asked([], { last: '2' })).records.map(({ time }) => Date.parse(time) % 1000), [4, 5])
  })
  it('asks 32 at a time', async () => {
    pods = Array.from({ length: 80 }, (_, i) => agentOf(`n${i}`))
    const open: Running[] = []
    server.program = () => (running) => void open.push(running)
    const { records, told } = observing([], {}, 15_000)
    for (const count of [32, 64, 80]) {
      await until(() => open.length === count)
      await sleep(200)
      assert.equal(open.length, count)
      for (const running of open.slice(Math.floor((count - 1) / 32) * 32)) running.send(said(flowRecord()), ENDED)
    }
    assert.deepEqual([await told, records.length], [[], 80])
  })
  it('shows what the others say where some cannot be asked, and tells why by node', async () => {
    server.program = (pod) => {
      if (pod === 'agent-n1') return [message(2, 'picket: socket /run/picket/agent.sock: no agent answers\n'), failed(2)]
      if (pod === 'agent-n2') return [message(2, "picket: unknown command 'observe'\n"), failed(2)]
      return [message(2, 'picket observe: records may be missing\u001b[2J\n'), said(flowRecord()), message(1, '{"schema":1}\n'), failed(1)]
    }
    const { records, notes, unreached } = await asked()
    assert.equal(records.length, 1)
    assert.deepEqual(notes.toSorted(), [
      'node n1: not asked: pod picket-system/agent-n1 says: socket /run/picket/agent.sock: no agent answers',
      "node n2: not asked: pod picket-system/agent-n2 says: unknown command 'observe': is it of this version?",
      'node n3: a line that is no record: schema: expected one of picket.flow/v1, found 1: is it of this version?',
      'node n3: records may be missing\\u{1b}[2J',
    ])
    assert.deepEqual(unreached.toSorted(), ['n1', 'n2'])
  })
  it('does not wait for an agent that hangs', async () => {
    server.program = (pod) => (pod === 'agent-n1' ? 'hang' : [said(flowRecord()), ENDED])
    const { records, notes, unreached } = await asked([], {}, 500)
    assert.deepEqual([records.length, notes, unreached], [2, ['node n1: not asked: pod picket-system/agent-n1 has not answered for 0.5 s'], ['n1']])
  })
  it('names the right that is missing, and to whom', async () => {
    server.plain.GET = [403, { kind: 'Status', reason: 'Forbidden', code: 403, message: 'no' }]
    server.plain.POST = [201, { kind: 'SelfSubjectReview', status: { userInfo: { username: 'jane' } } }]
    for (const options of [{}, { follow: true }]) {
      const { notes, unreached } = await asked([], options)
      assert.deepEqual(notes.toSorted(), ['n1', 'n2', 'n3'].map((node) => `node ${node}: not asked: pods/exec in picket-system is forbidden to jane; it takes get and create there`))
      assert.deepEqual(unreached.toSorted(), ['n1', 'n2', 'n3'])
    }
    const found = server.found
    server.found = (url) => (url.pathname.startsWith('/api/v1/namespaces/shop/') ? [403, { kind: 'Status', reason: 'Forbidden', code: 403, message: 'no' }] : found(url))
    await assert.rejects(asked([['pod', 'shop/web-1']]), /the role lacks the verb "list" on the resource "pods"/)
    server.found = () => [403, { kind: 'Status', reason: 'Forbidden', code: 403, message: 'no' }]
    await assert.rejects(asked(), /the role lacks the verb "list" on the resource "pods"/)
  })

  describe('following', () => {
    const running = new Map<string, Running[]>()
    beforeEach(() => {
      running.clear()
      server.program = (pod, command) => {
        commands.set(pod, [...command])
        return (one) => {
          running.set(pod, [...(running.get(pod) ?? []), one])
          one.send(message(1, '\n'))
        }
      }
    })
    const on = (pod: string): Running => running.get(pod)?.at(-1) as Running
    const times = (records: readonly AuditRecord[]): readonly number[] => records.map(({ time }) => Date.parse(time) % 1000)

    it('shows what comes, merged within a moment, until it is told to end', async () => {
      const { records, notes, stop, told } = observing([['verdict', 'DROPPED']], { follow: true })
      await until(() => running.size === 3)
      assert.deepEqual(commands.get('agent-n2')?.slice(6), ['--follow', '--verdict', 'DROPPED', '--lease', '5m'])
      on('agent-n1').send(said(at(3)))
      on('agent-n2').send(said(at(2)))
      on('agent-n3').send(said(at(1)))
      await until(() => records.length === 3)
      on('agent-n1').send(said(at(4)), message(1, '\n'))
      await until(() => records.length === 4)
      assert.deepEqual([times(records), notes], [[1, 2, 3, 4], []])
      stop.abort()
      assert.deepEqual(await told, [])
      // The server does not agree to the end: the connections go all the same.
      await Promise.all([...running.values()].flat().map(({ gone }) => gone))
    })
    it('takes up a stream that broke, without what was shown', async () => {
      pods = [agentOf('n1')]
      const { records, notes } = observing([], { follow: true, since: '1h' })
      await until(() => running.size === 1)
      on('agent-n1').send(said(at(1), at(2)))
      await until(() => records.length === 2)
      on('agent-n1').cut()
      await until(() => running.get('agent-n1')?.length === 2)
      // So far back that the last ones are there again.
      const [, since = ''] = /--follow --since (\d+)ms --lease 5m$/.exec((commands.get('agent-n1') ?? []).join(' ')) ?? []
      assert.ok(Number(since) >= 5_000 && Number(since) < 10_000, (commands.get('agent-n1') ?? []).join(' '))
      on('agent-n1').send(said(at(1), at(2), at(3)))
      await until(() => records.length === 3)
      // Its lease is over.
      on('agent-n1').send(ENDED)
      await until(() => running.get('agent-n1')?.length === 3)
      on('agent-n1').send(said(at(2), at(3), at(4)))
      await until(() => records.length === 4)
      assert.deepEqual([times(records), notes], [[1, 2, 3, 4], []])
    })
    it('goes on with the agent that replaces another, and says what may be missing', async () => {
      pods = [agentOf('n1', 'old')]
      const { records, notes } = observing([], { follow: true })
      await until(() => running.size === 1)
      on('old').send(said(at(1)))
      await until(() => records.length === 1)
      await sleep(1_100)
      pods = [agentOf('n1', 'new')]
      on('old').cut()
      await until(() => running.has('new'))
      on('new').send(said(at(2)))
      await until(() => records.length === 2)
      assert.deepEqual(notes, ['node n1: another agent answers now (new): what the one before logged at its end may be missing'])
    })
    it('tells a gap where the agent no longer has what was seen last', async () => {
      pods = [agentOf('n1')]
      const { records, notes } = observing([], { follow: true })
      await until(() => running.size === 1)
      on('agent-n1').send(said(at(1)))
      await until(() => records.length === 1)
      on('agent-n1').cut()
      await until(() => running.get('agent-n1')?.length === 2)
      on('agent-n1').send(said(at(7)))
      await until(() => records.length === 2)
      assert.deepEqual(notes, [`node n1: records between ${at(1).time} and ${at(7).time} may be missing: the stream was broken, and the agent no longer has what was seen last`])
    })
    it('follows agents of nodes that come later', async () => {
      pods = [agentOf('n1')]
      const { records } = observing([], { follow: true })
      await until(() => running.size === 1)
      pods.push(agentOf('n9'))
      await until(() => running.has('agent-n9'))
      on('agent-n9').send(said(at(1)))
      await until(() => records.length === 1)
    })
    it('opens 32 at a time, and follows all', async () => {
      pods = Array.from({ length: 40 }, (_, i) => agentOf(`n${i}`))
      const waiting: Running[] = []
      server.program = () => (one) => void waiting.push(one)
      const { records } = observing([], { follow: true })
      await until(() => waiting.length === 32)
      await sleep(200)
      assert.equal(waiting.length, 32)
      for (const one of [...waiting]) one.send(message(1, '\n'))
      await until(() => waiting.length === 40)
      for (const [index, one] of waiting.entries()) one.send(said(at(index)))
      await until(() => records.length === 40)
    })
    it('leaves out one that is of another version, and ends when nobody is left', async () => {
      pods = [agentOf('n1'), agentOf('n2')]
      const followed = server.program
      server.program = (pod, command) => (pod === 'agent-n1' ? [message(2, "picket: unknown option '--lease'\n"), failed(2)] : followed(pod, command))
      const { records, notes, told } = observing([], { follow: true })
      await until(() => running.size === 1 && notes.length === 1)
      on('agent-n2').send(said(at(1)))
      await until(() => records.length === 1)
      on('agent-n2').send(message(2, "picket: unknown option '--lease'\n"), failed(2))
      assert.deepEqual(await told, ['n1', 'n2'])
      assert.equal(notes[0], "node n1: not asked: pod picket-system/agent-n1 says: unknown option '--lease': is it of this version?")
    })
  })
})

async function until(holds: () => boolean, patience = 5_000): Promise<void> {
  for (const end = Date.now() + patience; !holds(); await sleep(10)) if (Date.now() > end) assert.fail(`not within ${patience} ms: ${holds.toString()}`)
}
