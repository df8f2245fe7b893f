// The image as a container: its root read-only, without a shell, NET_ADMIN its only right, in a network namespace of its own.
//
// Started by runc alone, with nothing of a cluster around it. **Invariant:** what is started is the archive that the
// cluster's nodes get, unpacked and otherwise untouched.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, globSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { getOver } from '../../src/lab/agent-status.ts'
import { namespaceText, nodeText } from '../../src/lab/kube-objects.ts'
import { buildImage } from './image.ts'
import { mustRun, runIn, until } from './processes.ts'

const MB = 1_000_000
const NETNS = `pcluster-image-${process.pid}`

describe('image', function () {
  this.timeout(120_000)
  let folder: string
  let archive: string
  let entry: readonly string[]
  const started: { readonly id: string; readonly child: ChildProcess }[] = []

  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'picket-image-test-'))
    archive = (await buildImage(() => undefined)).archive
    mkdirSync(path.join(folder, 'archive'))
    mkdirSync(path.join(folder, 'bundle/rootfs'), { recursive: true })
    await mustRun(null, ['tar', '-C', path.join(folder, 'archive'), '-xf', archive])
    const [image] = JSON.parse(readFileSync(path.join(folder, 'archive/manifest.json'), 'utf8')) as [{ readonly Config: string; readonly Layers: readonly string[] }]
    for (const layer of image.Layers) await mustRun(null, ['tar', '-C', path.join(folder, 'bundle/rootfs'), '-xf', path.join(folder, 'archive', layer)])
    const { config } = JSON.parse(readFileSync(path.join(folder, 'archive', image.Config), 'utf8')) as { readonly config: { readonly Entrypoint: readonly string[] } }
    entry = config.Entrypoint
    await mustRun(null, ['ip', 'netns', 'add', NETNS])
    await mustRun({ netns: NETNS }, ['ip', 'link', 'set', 'lo', 'up'])
  })

  after(async () => {
    for (const { id } of started) await runIn(null, ['runc', '--root', path.join(folder, 'runc'), 'delete', '--force', id])
    await runIn(null, ['ip', 'netns', 'delete', NETNS])
    rmSync(folder, { recursive: true, force: true })
  })

  it('is under 200 MB', () => assert.ok(statSync(archive).size < 200 * MB, `${statSync(archive).size} bytes`))

  it('has no shell, no package manager, nothing that is setuid', () => {
    const root = path.join(folder, 'bundle/rootfs')
    const files = globSync('**', { cwd: root }).filter((file) => lstatSync(path.join(root, file)).isFile())
    const programs = files.filter((file) => (lstatSync(path.join(root, file)).mode & 0o111) !== 0 && !/\.so(\.|$)|koffi\.node$/.test(file))
    assert.deepEqual(programs.sort(), ['opt/picket/dist/main.js', 'opt/picket/picket-cni', 'usr/bin/node', 'usr/sbin/nft'])
    assert.deepEqual(files.filter((file) => (lstatSync(path.join(root, file)).mode & 0o6000) !== 0), [])
  })

  it('says its versions, nft among them', async () => {
    const { output } = await run('version', ['version'])
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { readonly version: string }
    assert.match(output, new RegExp(`^picket +${version}\\nnode +24\\.\\S+\\nnft +1\\.\\d`))
  })

  it('runs the agent, which programs the kernel', async () => {
    const manifests = path.join(folder, 'manifests')
    mkdirSync(manifests)
    mkdirSync(path.join(folder, 'run'))
    writeFileSync(path.join(manifests, 'all.json'), namespaceText('default', 'u1', new Map(), '2026-01-01T00:00:00Z'))
    writeFileSync(path.join(manifests, 'node.json'), nodeText('n1', 'u2', ['192.0.2.1'] as never, [], '2026-01-01T00:00:00Z'))
    const agent = start('agent', ['agent', '--node-name', 'n1', '--source', 'manifests:/manifests', '--socket', '/run/picket/agent.sock'])
    const socket = path.join(folder, 'run/agent.sock')
    await until('the agent is ready', 20_000, async () => {
      if (!existsSync(socket)) return null
      const { status } = await getOver(socket, '/readyz', 2000).catch(() => ({ status: 0 }))
      return status === 200 ? true : null
    }, () => agent.output())
    const status = JSON.parse((await getOver(socket, '/status', 2000)).body) as { readonly kernel: string; readonly problems: readonly unknown[]; readonly enforced: boolean }
    assert.match(status.kernel, /^libnftables 1\./)
    assert.deepEqual([status.enforced, status.problems], [true, []])
    assert.match(await mustRun({ netns: NETNS }, ['nft', 'list', 'tables']), /table inet picket/)
  })

  /** To its end. */
  async function run(id: string, args: readonly string[]): Promise<{ readonly output: string }> {
    const { child, output } = start(id, args)
    await new Promise((resolve) => child.once('close', resolve))
    return { output: output() }
  }

  function start(id: string, args: readonly string[]): { readonly child: ChildProcess; readonly output: () => string } {
    const bundle = path.join(folder, 'bundle')
    writeFileSync(path.join(bundle, 'config.json'), JSON.stringify(spec(args)))
    const child = spawn('runc', ['--root', path.join(folder, 'runc'), 'run', '--bundle', bundle, `picket-${id}-${process.pid}`], { stdio: ['ignore', 'pipe', 'pipe'] })
    started.push({ id: `picket-${id}-${process.pid}`, child })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void (text += chunk.toString()))
    return { child, output: () => text }
  }

  function spec(args: readonly string[]): unknown {
    const rights = ['CAP_NET_ADMIN']
    const bind = (source: string, destination: string, ...options: readonly string[]): unknown => ({ destination, source, type: 'bind', options: ['bind', ...options] })
    return {
      ociVersion: '1.0.2',
      process: {
        user: { uid: 0, gid: 0 }, args: [...entry, ...args], cwd: '/', env: ['PATH=/usr/bin:/usr/sbin'], noNewPrivileges: true,
        capabilities: { bounding: rights, effective: rights, permitted: rights },
      },
      root: { path: 'rootfs', readonly: true },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
        ...(existsSync(path.join(folder, 'manifests')) ? [bind(path.join(folder, 'manifests'), '/manifests', 'ro'), bind(path.join(folder, 'run'), '/run/picket', 'rw')] : []),
      ],
      linux: {
        cgroupsPath: `/picket-image-${process.pid}`,
        namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }, { type: 'network', path: `/run/netns/${NETNS}` }],
      },
    }
  }
})
