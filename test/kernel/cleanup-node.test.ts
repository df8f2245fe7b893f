// `picket cleanup` as deploy/uninstall runs it, and `picket status`, beside a real agent in a network namespace of their own.
//
// **Invariant:** nothing outside of that namespace and of a temporary folder is touched.
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { ownCommand } from '../../src/lab/places.ts'
import { pause } from '../support/real-wire.ts'

const STAY = '127.0.0.1:9656'
const LIST = { cniVersion: '1.0.0', name: 'x', plugins: [{ type: 'ptp' }, { type: 'picket-cni' }] }

describe('cleaning a node', function () {
  this.timeout(60_000)
  let folder: string
  let holder: ChildProcess
  const running: ChildProcess[] = []
  const at = (...names: readonly string[]): string => path.join(folder, ...names)
  const inside = (): readonly string[] => [`--net=/proc/${holder.pid}/ns/net`, '--']
  const flags = (): readonly string[] => ['--socket', at('run/agent.sock')]
  const cniFlags = (): readonly string[] => ['--cni-bin-dir', at('bin'), '--cni-conf-dir', at('conf')]

  beforeEach(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'picket-cleanup-'))
    for (const name of ['run', 'bin', 'conf', 'manifests']) mkdirSync(at(name))
    writeFileSync(at('conf/10-x.conflist'), JSON.stringify(LIST))
    writeFileSync(at('bin/picket-cni'), '')
    writeFileSync(at('bin/ptp'), '')
    holder = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && echo up && exec sleep infinity'], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(holder.stdout as NodeJS.ReadableStream, 'data')
  })
  afterEach(async () => {
    for (const one of running.splice(0)) await end(one, 'SIGKILL')
    await end(holder, 'SIGKILL')
    rmSync(folder, { recursive: true })
  })

  function picket(args: readonly string[]): ReturnType<typeof spawnSync> & { readonly stdout: string; readonly stderr: string } {
    return spawnSync('nsenter', [...inside(), ...ownCommand(), ...args], { encoding: 'utf8' })
  }
  function start(args: readonly string[]): { readonly child: ChildProcess; readonly lines: () => string } {
    let text = ''
    const child = spawn('nsenter', [...inside(), ...ownCommand(), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.on('data', (chunk) => (text += String(chunk)))
    running.push(child)
    return { child, lines: () => text }
  }
  async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal)
      await once(child, 'exit')
    }
    return child.exitCode
  }
  async function until(what: string, done: () => boolean): Promise<void> {
    for (let tries = 0; !done(); tries++) {
      assert.ok(tries < 200, what)
      await pause(100)
    }
  }
  async function startAgent(): Promise<ChildProcess> {
    const { child } = start(['agent', '--node-name', 'n1', '--source', `manifests:${at('manifests')}`, '--log-level', 'fatal', ...flags()])
    await until('an agent that enforces', () => picket(['status', ...flags()]).status === 0)
    return child
  }
  const tables = (): string => execFileSync('nsenter', [...inside(), 'nft', 'list', 'tables'], { encoding: 'utf8' })
  /** 0: nobody answers. */
  const readyz = (): number => {
    const ask = `fetch('http://${STAY}/readyz').then((r) => console.log(r.status), () => console.log(0))`
    return Number(execFileSync('nsenter', [...inside(), process.execPath, '-e', ask], { encoding: 'utf8' }))
  }
  const plugins = (): unknown => (JSON.parse(readFileSync(at('conf/10-x.conflist'), 'utf8')) as typeof LIST).plugins

  it('waits for the agent, takes the gate first and then the tables, stays clean, and ends when it is told', async () => {
    const agent = await startAgent()
    const stay = start(['cleanup', ...flags(), ...cniFlags(), '--stay', STAY])
    await until('it waits', () => stay.lines().includes('waiting: an agent runs'))
    assert.deepEqual(plugins(), [{ type: 'ptp' }])
    assert.match(tables(), /table inet picket/)
    assert.equal(readyz(), 503)
    await end(agent, 'SIGKILL')
    await until('it is clean', () => readyz() === 200)
    assert.equal(tables(), '')
    assert.deepEqual([readdirSync(at('run')), readdirSync(at('bin'))], [[], ['ptp']])
    // It answers a moment before its last line is here.
    await until('it says so', () => stay.lines().endsWith('this node is clean\n'))
    assert.match(stay.lines(), /entry removed[^]*picket-cni: removed[^]*waiting[^]*table inet picket: removed[^]*agent\.sock: removed[^]*this node is clean\n$/)
    // What comes back is told, and goes again.
    const second = await startAgent()
    await until('it notices', () => readyz() === 503)
    await end(second, 'SIGTERM')
    await until('it is clean again', () => readyz() === 200)
    assert.equal(tables(), '')
    assert.equal(await end(stay.child, 'SIGTERM'), 0)
  })

  it('once: refuses beside an agent, then removes everything, and finds nothing the second time', async () => {
    const agent = await startAgent()
    const refused = picket(['cleanup', ...flags(), ...cniFlags()])
    assert.equal(refused.status, 2)
    assert.match(refused.stderr, /^picket: socket \S+: an agent runs on this node [^\n]*delete daemonset picket-agent; nothing was removed\n$/)
    assert.deepEqual(plugins(), LIST.plugins)
    assert.match(tables(), /table inet picket/)
    await end(agent, 'SIGTERM')
    assert.match(picket(['cleanup', ...flags(), ...cniFlags()]).stdout, /entry removed\n[^]*removed: table inet picket/)
    assert.deepEqual([tables(), plugins(), existsSync(at('bin/picket-cni'))], ['', [{ type: 'ptp' }], false])
    assert.equal(picket(['cleanup', ...flags(), ...cniFlags()]).stdout, 'nothing to remove: no table of Picket is here\n')
  })

  it('one CNI folder alone is refused; status says that nobody answers', () => {
    const refused = picket(['cleanup', ...flags(), '--cni-bin-dir', at('bin')])
    assert.deepEqual([refused.status, /together; got one of them alone/.test(refused.stderr)], [2, true])
    const status = picket(['status', ...flags()])
    assert.equal(status.status, 2)
    assert.match(status.stderr, /^picket: socket \S+: no agent answers [^\n]+\n$/)
  })
})
