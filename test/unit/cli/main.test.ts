// The command line as people use it: a process with arguments, an exit status and two streams.
//
// **Invariant:** each kind of ending is tried on the real program: 0, 2, help, a reader that goes away.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { COMMANDS } from '../../../src/cli/commands.ts'
import { bashScript, fishScript, stopsOf, zshScript } from '../../../src/cli/completion.ts'
import { buildProgram } from '../../../src/cli/program.ts'

const root = path.resolve(import.meta.dirname, '../../..')
const main = path.join(root, 'src/main.ts')
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }

function picket(...args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
}

function refused(args: readonly string[], message: RegExp): void {
  const { status, stdout, stderr } = picket(...args)
  assert.deepEqual({ status, stdout }, { status: 2, stdout: '' }, args.join(' '))
  assert.match(stderr, message)
  assert.match(stderr, /^picket: [^\n]*\n$/)
}

describe('picket', function () {
  this.timeout(20_000)

  it('version says what runs, for people and for programs', () => {
    const { status, stdout, stderr } = picket('version', '--output', 'json')
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    const found = JSON.parse(stdout) as Record<string, unknown>
    assert.equal(found['picket'], version)
    assert.equal(found['node'], process.versions.node)
    assert.match(picket('version').stdout, new RegExp(`^picket +${version}\nnode +${process.versions.node}\nnft +`))
    assert.equal(picket('--version').stdout, `${version}\n`)
  })

  it('prints help on stdout with status 0, and every command in it', () => {
    const { status, stdout, stderr } = picket('--help')
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    for (const { name, summary } of COMMANDS) assert.ok(stdout.includes(name) && stdout.includes(summary.split(' ')[0] as string), name)
    assert.match(picket('version', '--help').stdout, /Usage: picket version/)
    assert.equal(picket('help', 'version').stdout, picket('version', '--help').stdout)
  })

  it('answers mistakes with one line that says what next, and status 2', () => {
    refused([], /a command is missing; expected picket with one of .*version/)
    refused(['nope'], /unknown command 'nope'/)
    refused(['--nope'], /unknown option '--nope'.*see "picket --help"/)
    refused(['version', '--outptu', 'json'], /unknown option '--outptu'.*Did you mean --output.*see "picket version --help"/)
    refused(['version', '--output', 'xml'], /'xml' is invalid.*text, json/)
    refused(['version', 'more'], /too many arguments/)
    refused(['completion', 'ksh'], /'ksh' is invalid.*bash, zsh, fish/)
    refused(['completion'], /missing required argument 'shell'/)
  })

  it('is content with a reader that goes away', async () => {
    const child = spawn(process.execPath, [main, 'completion', 'bash'], { stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.destroy()
    let stderr = ''
    child.stderr.on('data', (chunk) => (stderr += String(chunk)))
    const status = await new Promise((resolve) => child.once('close', resolve))
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
  })
})

describe('the list of commands', () => {
  it('says of each command what the command says of itself', async () => {
    for (const { name, summary, load } of COMMANDS) {
      const command = (await load()).command()
      assert.equal(command.name(), name)
      assert.equal(command.description(), summary)
    }
  })
  it('imports only the command that is wanted', async () => {
    const program = await buildProgram(['version'])
    const optionsOf = (name: string) => program.commands.find((one) => one.name() === name)?.options.length
    assert.equal(optionsOf('version'), 1)
    assert.equal(optionsOf('agent'), 0)
  })
})

/** What bash would offer after these words. */
function complete(script: string, words: readonly string[]): readonly string[] {
  const quoted = words.map((word) => `'${word}'`).join(' ')
  const ask = `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _picket; printf '%s\\n' "\${COMPREPLY[@]}"`
  return spawnSync('bash', ['-c', ask], { encoding: 'utf8' }).stdout.split('\n').filter((line) => line !== '')
}

describe('completion', () => {
  it('offers commands, options and choices in bash', async () => {
    const script = bashScript(stopsOf(await buildProgram('all')))
    assert.deepEqual(complete(script, ['picket', 'ver']), ['version'])
    assert.deepEqual(complete(script, ['picket', 'version', '--o']), ['--output'])
    assert.deepEqual(complete(script, ['picket', 'version', '--output', '']), ['text', 'json'])
    assert.deepEqual(complete(script, ['picket', 'completion', '']).slice(0, 3), ['bash', 'zsh', 'fish'])
    assert.deepEqual(complete(script, ['picket', 'agent', '--new-pods', '']), ['deny', 'allow'])
    assert.ok(complete(script, ['picket', 'lab', '']).includes('matrix'))
    for (const flag of ['--wait', '--policy', '--namespace', '-A', '--kubeconfig', '--context', '--timeout', '--socket', '-o']) assert.deepEqual(complete(script, ['picket', 'status', flag]), [flag])
    assert.deepEqual([complete(script, ['picket', 'status', '-o', '']), complete(script, ['picket', 'status', '--policy', ''])], [['text', 'json'], []])
    for (const name of ['up', 'run']) assert.deepEqual(complete(script, ['picket', 'lab', name, '--attachment', '']), ['veth', 'bridge'])
    assert.deepEqual(complete(script, ['picket', 'agent', '--config', '']), [])
  })
  it('knows the same commands in zsh and fish', async () => {
    const stops = stopsOf(await buildProgram('all'))
    for (const script of [zshScript(stops), fishScript(stops)]) {
      for (const stop of stops) assert.ok(script.includes(stop.path), stop.path)
      assert.doesNotMatch(script, /undefined|\[object/)
    }
  })
})

describe('the bundle', function () {
  this.timeout(60_000)
  it('runs, with an entry for each worker', async () => {
    // Below node_modules, since koffi stays outside of the bundle and is looked for from there.
    const folder = mkdtempSync(path.join(root, 'node_modules/.picket-bundle-'))
    try {
      const built = spawnSync(process.execPath, [path.join(root, 'src/bootstrap/build.mjs'), folder], { encoding: 'utf8', cwd: os.tmpdir() })
      assert.equal(built.status, 0, built.stderr)
      const { WORKERS } = await import('../../../src/lib/workers.ts')
      for (const name of ['main', ...Object.keys(WORKERS)]) {
        const checked = spawnSync(process.execPath, ['--check', path.join(folder, `${name}.js`)], { encoding: 'utf8' })
        assert.equal(checked.status, 0, `${name}: ${checked.stderr}`)
      }
      const run = spawnSync(process.execPath, [path.join(folder, 'main.js'), 'version', '-o', 'json'], { encoding: 'utf8' })
      assert.equal(run.status, 0, run.stderr)
      assert.equal((JSON.parse(run.stdout) as Record<string, unknown>)['picket'], version)
      const help = spawnSync(process.execPath, [path.join(folder, 'main.js'), 'agent'], { encoding: 'utf8', env: {} })
      assert.deepEqual({ status: help.status, stdout: help.stdout }, { status: 2, stdout: '' })
      assert.match(help.stderr, /^picket: nodeName is not set/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
