// The agent with the API server as its source, in a namespace of its own: it writes once everything is read, waits while the
// API server is away, and changes nothing meanwhile. **Invariant:** the API server is the tests' own; no packet leaves the namespace.
import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { ownCommand } from '../../src/lab/places.ts'
import type { Problem } from '../../src/lib/problem.ts'
import { kubeconfigText, podObject, PODS, POLICIES, TemporaryFolder } from '../support/cluster-follower.ts'
import { STAGE_PORT, type StageOrder } from '../support/kube-stage.ts'

const SERVER = `http://127.0.0.1:${STAGE_PORT}`
const LONGEST_WAIT_MS = 20_000

interface Status {
  readonly ready: boolean
  readonly waitingFor?: string
  readonly counts: { readonly localPods: number; readonly isolatedPods: number }
  readonly problems: readonly Problem[]
  readonly cluster: { readonly serverVersion: string | null; readonly resources: readonly { readonly resource: string; readonly synced: boolean }[] }
}

describe('the agent on an API server', function () {
  this.timeout(90_000)
  let folder: TemporaryFolder
  let stage: ChildProcess
  let agent: ChildProcess | null = null

  before(async () => {
    folder = await TemporaryFolder.make()
    await folder.write('kubeconfig', kubeconfigText(SERVER))
    const script = path.join(import.meta.dirname, '../support/kube-stage.ts')
    stage = spawn('unshare', ['--net', process.execPath, script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    await once(stage, 'message')
    await order({ do: 'put', path: '/api/v1/namespaces', object: { metadata: { name: 'shop', uid: 'uid-shop', labels: {} } } })
    await order({ do: 'put', path: '/api/v1/nodes', object: { metadata: { name: 'n1', uid: 'uid-n1', labels: {} } } })
    await order({ do: 'put', path: PODS, object: podObject('web') })
    await order({ do: 'put', path: POLICIES, object: policy('one') })
  })
  after(async () => {
    await stop('SIGKILL')
    stage.kill()
    await folder.remove()
  })

  function policy(name: string): ReturnType<typeof podObject> {
    return { metadata: { namespace: 'shop', name, uid: `uid-${name}` }, spec: { podSelector: {}, policyTypes: ['Ingress'] } }
  }

  async function order(one: StageOrder): Promise<void> {
    stage.send(one)
    await once(stage, 'message')
  }

  const inside = (): readonly string[] => [`--net=/proc/${stage.pid}/ns/net`, '--']
  const socket = (): string => path.join(folder.dir, 'agent.sock')

  function start(): void {
    const args = ['agent', '--node-name', 'n1', '--kubeconfig', path.join(folder.dir, 'kubeconfig'), '--socket', socket(), '--log-level', 'fatal']
    agent = spawn('nsenter', [...inside(), ...ownCommand(), ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
  }

  async function stop(signal: NodeJS.Signals): Promise<void> {
    if (agent === null || agent.exitCode !== null) return
    agent.kill(signal)
    await once(agent, 'exit')
    agent = null
  }

  async function status(): Promise<Status | null> {
    if (!existsSync(socket())) return null
    return new Promise((resolve, reject) => {
      const request = http.get({ socketPath: socket(), path: '/status' }, (response) => {
        let text = ''
        response.on('data', (chunk) => (text += String(chunk))).on('end', () => resolve(JSON.parse(text) as Status))
      })
      request.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? resolve(null) : reject(error)))
    })
  }

  async function until(what: string, condition: (status: Status) => boolean): Promise<Status> {
    const end = performance.now() + LONGEST_WAIT_MS
    for (let last: Status | null = null; ; ) {
      last = await status()
      if (last !== null && condition(last)) return last
      if (performance.now() > end) assert.fail(`not within ${LONGEST_WAIT_MS} ms: ${what}; ${JSON.stringify(last)}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  function table(): string {
    const list = execFileSync('nsenter', [...inside(), 'nft', '-nn', 'list', 'ruleset'], { encoding: 'utf8' })
    return list.replaceAll(/ packets \d+ bytes \d+/g, '')
  }

  it('rules 102, 103: an API server that is away is waited for, and nothing is written before all is read', async () => {
    start()
    const waiting = await until('the trouble is told', ({ problems }) => problems.length === 4)
    assert.deepEqual([waiting.ready, waiting.waitingFor], [false, 'waiting for the API server: namespaces, nodes, pods, networkpolicies not read yet'])
    assert.ok(waiting.problems.every(({ code, message }) => code === 'ApiUnreachable' && message.includes('nothing is written to the kernel until they are read')))
    assert.equal(table(), '')
    await order({ do: 'open' })
    const ready = await until('everything is enforced', (one) => one.ready)
    assert.deepEqual([ready.counts.localPods, ready.counts.isolatedPods, ready.cluster.serverVersion], [1, 1, 'v1.37.2'])
    assert.match(table(), /table inet picket/)
  })

  it('rule 104: what changes is followed, over cuts and a history that is gone', async () => {
    await order({ do: 'put', path: PODS, object: podObject('db') })
    await until('the pod is known', ({ counts }) => counts.isolatedPods === 2)
    await order({ do: 'cut' })
    await order({ do: 'remove', path: PODS, key: 'shop/db' })
    await order({ do: 'compact' })
    await until('the pod is gone', ({ counts }) => counts.localPods === 1)
    await until('no trouble', ({ problems }) => problems.length === 0)
  })

  it('rules 101, 102: an API server that goes away changes nothing, nor does an agent that starts meanwhile', async () => {
    const before = table()
    await order({ do: 'close' })
    await until('the trouble is told', ({ problems }) => problems.length === 4)
    assert.equal(table(), before)
    await stop('SIGKILL')
    start()
    const waiting = await until('the trouble is told again', ({ ready, problems }) => !ready && problems.length === 4)
    assert.match(waiting.waitingFor ?? '', /^waiting for the API server: /)
    assert.equal(table(), before)
    await order({ do: 'put', path: PODS, object: podObject('late') })
    await order({ do: 'open' })
    const ready = await until('everything is enforced again', (one) => one.ready)
    assert.equal(ready.counts.isolatedPods, 2)
  })
})
