// `picket cni` on folders of a made-up node: what is installed, what a runtime would find at every moment, what comes back.
//
// **Invariant:** the real program is run; removing leaves every byte as it was before installing.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { asList, withEntry, withoutEntry } from '../../../src/cli/cni-conf.ts'
import { picket as run, type Ran } from '../../support/picket-command.ts'

const main = path.resolve(import.meta.dirname, '../../../src/main.ts')
const ENTRY = { socket: '/run/picket/agent.sock', timeout: '10s', onTimeout: 'fail' } as const
const SHOWN = '{ "type": "picket-cni", "socket": "/run/picket/agent.sock", "timeout": "10s", "onTimeout": "fail" }'
const LIST = '{\n\t"cniVersion": "1.0.0",\n\t"name": "pods", "plugins": [\n\t\t{"type":"ptp","note":"a ] \\" } here"},\n\t\t{"type":"portmap"}\n\t],\n\t"more": {"plugins": []}\n}\n'

describe('the entry in a network configuration', () => {
  const lists: readonly (readonly [string, string])[] = [
    ['with tabs', LIST],
    ['in one line', '{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"bridge"}]}'],
    ['with blanks', '{ "plugins" : [ { "type": "bridge" } , {"type": "x"} ] , "cniVersion" : "1.1.0", "name":"n" }'],
    ['with versions', '{"cniVersion":"0.3.1","cniVersions":["0.3.1","1.1.0"],"plugins":[{"type":"a","list":[1,[2]],"t":true,"n":null}],"name":"n"}\n\n'],
  ]
  for (const [title, text] of lists) it(`goes in as the last one, and out again to the byte: ${title}`, () => {
    const edited = withEntry('f', text, ENTRY)
    const [before, after] = [JSON.parse(text), JSON.parse(edited)] as { plugins: object[] }[]
    assert.deepEqual(after, { ...before, plugins: [...(before?.plugins ?? []), JSON.parse(SHOWN)] })
    assert.equal(edited.replace(/,\s*\{ "type": "picket-cni"[^}]*\}/, ''), text)
    assert.equal(withoutEntry('f', edited), text)
    assert.equal(withEntry('f', edited, ENTRY), edited)
    const changed = withEntry('f', edited, { ...ENTRY, timeout: '5s', onTimeout: 'allow' })
    assert.equal(changed, edited.replace('"10s", "onTimeout": "fail"', '"5s", "onTimeout": "allow"'))
    assert.equal(withoutEntry('f', text), text)
  })
  it('stays in its place among others, and goes from there', () => {
    const text = `{"cniVersion":"1.0.0","plugins":[${SHOWN}, {"type":"a"}]}`
    assert.equal(withEntry('f', text, ENTRY), text)
    assert.equal(withoutEntry('f', text), '{"cniVersion":"1.0.0","plugins":[{"type":"a"}]}')
    assert.equal(withoutEntry('f', `{"plugins":[{"type":"a"}, ${SHOWN} , {"type":"b"}]}`), '{"plugins":[{"type":"a"} , {"type":"b"}]}')
  })
  it('is refused where it could not work, with the file and the field', () => {
    const refuse = (text: string, message: RegExp): void => assert.throws(() => withEntry('/etc/x.conflist', text, ENTRY), message)
    refuse('{"plugins":', /^Error: \/etc\/x\.conflist: not valid JSON: |^PicketError: \/etc\/x\.conflist: not valid JSON: /)
    refuse('[]', /x\.conflist: expected a network configuration/)
    refuse('{"cniVersion":"1.0.0","plugins":{}}', /x\.conflist: plugins: expected a list/)
    refuse('{"cniVersion":"1.0.0","plugins":[]}', /x\.conflist: plugins: found an empty list/)
    refuse('{"cniVersion":"0.3.1","plugins":[{"type":"a"}]}', /x\.conflist: cniVersion: found "0\.3\.1", expected one of 0\.4\.0, 1\.0\.0, 1\.1\.0/)
    refuse('{"plugins":[{"type":"a"}]}', /cniVersion: found nothing/)
    assert.throws(() => asList('f', '{"name":"n"}'), /f: expected a network configuration with name and type/)
  })
})

describe('picket cni', function () {
  this.timeout(30_000)
  let node: string
  let bin: string
  let conf: string
  beforeEach(() => {
    node = mkdtempSync(path.join(os.tmpdir(), 'picket-cni-'))
    ;[bin, conf] = [path.join(node, 'bin'), path.join(node, 'conf')]
    for (const folder of [bin, conf]) mkdirSync(folder)
    writeFileSync(path.join(node, 'plugin'), 'the program')
  })
  afterEach(() => rmSync(node, { recursive: true }))

  const flags = (): readonly string[] => ['--bin-dir', bin, '--conf-dir', conf]
  const picket = (...args: readonly string[]): Promise<Ran> => run('cni', ...args)
  const install = (...args: readonly string[]) => picket('install', ...flags(), '--plugin', path.join(node, 'plugin'), ...args)
  const done = async (ran: Promise<Ran>): Promise<string> => {
    const { status, stdout, stderr } = await ran
    assert.deepEqual([status, stderr], [0, ''])
    return stdout
  }
  /** Name -> content of a folder. */
  const filesOf = (folder: string): Readonly<Record<string, string>> => Object.fromEntries(readdirSync(folder).sort().map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]))

  it('installs, brings up to date, shows and removes; each again changes nothing', async () => {
    writeFileSync(path.join(conf, '10-pods.conflist'), LIST, { mode: 0o640 })
    writeFileSync(path.join(conf, '20-later.conflist'), LIST)
    writeFileSync(path.join(conf, '00-note.txt'), 'not a configuration')
    const before = filesOf(conf)
    assert.equal(await done(install()), `${bin}/picket-cni: installed\n${conf}/10-pods.conflist: entry added\n`)
    assert.deepEqual([filesOf(bin), statSync(path.join(bin, 'picket-cni')).mode & 0o777], [{ 'picket-cni': 'the program' }, 0o755])
    assert.deepEqual(filesOf(conf), { ...before, '10-pods.conflist': withEntry('f', LIST, ENTRY) })
    assert.equal(statSync(path.join(conf, '10-pods.conflist')).mode & 0o777, 0o640)
    assert.equal(await done(install()), `${bin}/picket-cni: up to date\n${conf}/10-pods.conflist: up to date\n`)
    writeFileSync(path.join(node, 'plugin'), 'a newer program')
    assert.equal(await done(install('--on-timeout', 'allow', '--timeout', '2s', '--socket', '/run/x.sock')), `${bin}/picket-cni: installed\n${conf}/10-pods.conflist: entry changed\n`)
    assert.deepEqual(JSON.parse(filesOf(conf)['10-pods.conflist'] ?? '').plugins[2], { type: 'picket-cni', socket: '/run/x.sock', timeout: '2s', onTimeout: 'allow' })
    assert.match(await done(picket('status', ...flags())), /^WHAT +WHERE +THERE\nprogram +\S+picket-cni +yes\nentry +\S+10-pods\.conflist +yes\n$/)
    assert.equal(JSON.parse(await done(picket('status', ...flags(), '-o', 'json'))).installed, true)
    assert.equal(await done(picket('remove', ...flags())), `${conf}/10-pods.conflist: entry removed\n${bin}/picket-cni: removed\n`)
    assert.deepEqual([filesOf(conf), filesOf(bin)], [before, {}])
    assert.equal(await done(picket('remove', ...flags())), 'nothing to remove\n')
    const status = await picket('status', ...flags(), '-o', 'json')
    assert.deepEqual([status.status, JSON.parse(status.stdout).hasEntry], [1, false])
  })

  it('makes a list of a single configuration, and puts it back', async () => {
    for (const name of ['10-pods.conf', '10-pods.json']) {
      const single = '{ "cniVersion": "0.4.0", "name": "pods", "type": "bridge" }\n'
      writeFileSync(path.join(conf, name), single)
      assert.match(await done(install()), /10-pods\.conflist: made of 10-pods\.(conf|json), with an entry for picket-cni; the old file is kept as /)
      const list = JSON.parse(filesOf(conf)['10-pods.conflist'] ?? '')
      assert.deepEqual([list.name, list.cniVersion, list.plugins.map((one: { type: string }) => one.type)], ['pods', '0.4.0', ['bridge', 'picket-cni']])
      assert.deepEqual(Object.keys(filesOf(conf)), [`${name}.before-picket`, '10-pods.conflist'].sort())
      assert.match(await done(install()), /10-pods\.conflist: up to date\n$/)
      assert.match(await done(picket('remove', ...flags(), '--keep-program')), /put back as it was, in place of 10-pods\.conflist\n$/)
      assert.deepEqual(filesOf(conf), { [name]: single })
      rmSync(path.join(conf, name))
    }
    assert.deepEqual(Object.keys(filesOf(bin)), ['picket-cni'])
  })

  it('waits for a configuration, says so, and gives up in time', async () => {
    const child = spawn(process.execPath, [main, 'cni', 'install', ...flags(), '--plugin', path.join(node, 'plugin')], { stdio: ['ignore', 'pipe', 'pipe'] })
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    const told = await new Promise<string>((resolve) => child.stderr.once('data', (part: Buffer) => resolve(part.toString())))
    assert.match(told, /no network configuration yet; waiting for the cluster's network plugin \(0 s\)/)
    assert.deepEqual(Object.keys(filesOf(bin)), ['picket-cni'])
    writeFileSync(path.join(conf, '10-pods.conflist'), LIST)
    assert.equal(await ended, 0)
    assert.equal(filesOf(conf)['10-pods.conflist'], withEntry('f', LIST, ENTRY))
    rmSync(path.join(conf, '10-pods.conflist'))
    const late = await install('--wait', '1s')
    assert.deepEqual([late.status, late.stderr.trimEnd().split('\n').at(-1)], [2, `picket: ${conf}: no network configuration (*.conflist, *.conf, *.json) came within 1 s; install the cluster's network plugin first, or name another folder with --conf-dir`])
  })

  it('names what is wrong, and leaves the folder as it was', async () => {
    writeFileSync(path.join(conf, '10-pods.conflist'), '{"plugins": [')
    const before = filesOf(conf)
    const refused = async (ran: Promise<Ran>, message: RegExp): Promise<void> => {
      const { status, stderr } = await ran
      assert.equal(status, 2)
      assert.match(stderr, message)
      assert.match(stderr, /^picket: [^\n]*\n$/)
    }
    await refused(install(), /10-pods\.conflist: not valid JSON: /)
    assert.deepEqual(filesOf(conf), before)
    await refused(install('--timeout', '2m'), /expected a duration of 100ms to 60s such as 10s/)
    await refused(install('--socket', 'x'), /expected an absolute path/)
    await refused(install('--on-timeout', 'maybe'), /fail, allow/)
    await refused(picket('install', ...flags(), '--plugin', path.join(node, 'nowhere')), /nowhere: there is no such program; name it with --plugin/)
    await refused(picket('install', '--bin-dir', path.join(node, 'no'), '--conf-dir', conf, '--plugin', path.join(node, 'plugin')), /no: is no folder; name the runtime's with --bin-dir/)
    assert.equal(await done(picket('remove', ...flags(), '--keep-program')), 'nothing to remove\n')
  })

  it('hands a runtime that starts it over to the static program', () => {
    const started = spawnSync(process.execPath, [main, 'cni'], { encoding: 'utf8', input: '{}', env: { ...process.env, CNI_COMMAND: 'VERSION' } })
    assert.ok(started.stdout.includes('supportedVersions') || /the plugin is another program, picket-cni/.test(started.stderr), started.stderr)
  })
})
