// `picket lab up` and `picket lab down`: begin and end a lab that follows a folder of manifests.
//
// `up` starts the daemon (the hidden `picket lab daemon`), waits until everything is enforced, and shows what there is.
// **Invariant:** whatever `up` started and could not finish is gone when it returns.
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { Command } from 'commander'
import { PicketError } from '../lib/errors.ts'
import { formatProblem } from '../lib/problem.ts'
import { runDaemon } from '../lab/daemon.ts'
import { ask, isUp, type LabState } from '../lab/daemon-protocol.ts'
import { endLeftovers } from '../lab/remains.ts'
import { ownCommand, placesOf, type LabPlaces } from '../lab/places.ts'
import type { PodAttachment } from '../lab/testbed.ts'
import { attachmentOption, nameOption, nodesOption, progressOnStderr } from './lab-options.ts'
import { formatTable, print, ourCommand } from './output.ts'

/** How long the daemon may take until it listens. */
const LISTEN_TIMEOUT_MS = 10_000
const EXIT_INTERRUPTED = 130

interface UpOptions {
  readonly file: string
  readonly nodes: number
  readonly attachment: PodAttachment
  readonly name: string
}

export function upCommand(): Command {
  return new Command('up')
    .description('start a lab that follows a folder of manifests; ends with "picket lab down"')
    .requiredOption('-f, --file <dir>', 'folder of manifests: Pods, Namespaces, NetworkPolicies, Services; it is only read')
    .addOption(nodesOption(1))
    .addOption(attachmentOption())
    .addOption(nameOption())
    .addHelpText('after', HELP)
    .action((options: UpOptions) => up(options))
}

const HELP = `
The lab does what API server, scheduler and kubelet would: it spreads pods over the nodes (spec.nodeName is kept: n1, n2,
...), gives them addresses (status.podIPs is kept) and real servers on the containers' ports; a pod without ports serves
80 and 8080 over TCP. Services get addresses and node ports, and EndpointSlices of the pods that they select, where the folder
has none. What is edited, added or removed in the folder takes effect at once.`

async function up({ file, nodes, attachment, name }: UpOptions): Promise<void> {
  const places = placesOf(name)
  const dir = path.resolve(file)
  requireRoot()
  if (await isUp(places.socket)) {
    throw new PicketError('LabIsUp', `a lab called ${name} is up already; "picket lab down${nameFlag(name)}" ends it, "--name OTHER" makes another one`)
  }
  const stat = fs.statSync(dir, { throwIfNoEntry: false })
  if (stat?.isDirectory() !== true) throw new PicketError('InvalidFolder', `-f ${file}: ${stat === undefined ? 'no such folder' : 'is not a folder'}; expected a folder of manifests`)
  await endLeftovers(places)
  fs.mkdirSync(places.folder, { recursive: true, mode: 0o700 })
  const daemon = await startDaemon(places, dir, nodes, attachment)
  process.once('SIGINT', () => {
    process.stderr.write('ending the lab\n')
    void ask(places.socket, { command: 'down' }).finally(() => process.exit(EXIT_INTERRUPTED))
  })
  const state = await ask(places.socket, { command: 'state' }, progressOnStderr()).catch((error: unknown) => {
    throw error instanceof PicketError && error.code === 'LabDied' ? new PicketError('LabDied', `the lab ended before it was up${daemon.log()}`) : error
  })
  showState(state, name)
}

/** Starts the daemon, detached, and resolves when it listens. */
async function startDaemon(places: LabPlaces, dir: string, nodes: number, attachment: PodAttachment): Promise<{ readonly log: () => string }> {
  const log = fs.openSync(places.daemonLog, 'a', 0o600)
  const [program = '', ...own] = ownCommand()
  const args = [...own, 'lab', 'daemon', '--name', places.name, '-f', dir, '--nodes', String(nodes), '--attachment', attachment]
  const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], cwd: '/' })
  fs.closeSync(log)
  const readLog = (): string => {
    const text = fs.existsSync(places.daemonLog) ? fs.readFileSync(places.daemonLog, 'utf8').trim() : ''
    return text === '' ? '' : `: ${text.split('\n').slice(-5).join('\n  ')}`
  }
  let ended = false
  child.on('exit', () => (ended = true))
  child.on('error', () => (ended = true))
  child.unref()
  for (const until = performance.now() + LISTEN_TIMEOUT_MS; performance.now() < until && !ended; ) {
    if (await isUp(places.socket)) return { log: readLog }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const said = readLog()
  await endLeftovers(places)
  throw new PicketError('LabDied', `the lab did not start${said}`)
}

function showState(state: LabState, name: string): void {
  print(formatTable(['node', 'addresses', 'pods'], state.nodes.map((one) => [one.name, one.addresses.join(' '), one.pods])))
  print('')
  print(formatTable(['pod', 'node', 'addresses', 'serves'], state.pods.map((one) => [one.key, one.node, one.addresses.join(' '), one.ports.join(' ')])))
  if (state.services.length > 0) {
    print('')
    print(formatTable(['service', 'type', 'addresses', 'ports', 'outside'], state.services.map((one) => [
      one.key, one.type, one.addresses.join(' '), one.ports.join(' '), [...one.external, ...one.nodePorts.map((port) => `node:${port}`)].join(' '),
    ])))
  }
  print(`\n${state.policies} ${state.policies === 1 ? 'policy is' : 'policies are'} enforced on ${state.nodes.length} ${state.nodes.length === 1 ? 'node' : 'nodes'}; edit ${state.folder} and look again.`)
  for (const note of state.notes) print(`note: ${note}`)
  for (const { problem, nodes } of state.problems) print(`${formatProblem(problem)} (${nodes.join(', ')})`)
  const [first] = state.pods
  const lab = `  ${ourCommand()} lab`
  const flag = nameFlag(name)
  const [service] = state.services.filter((one) => one.addresses.length > 0 && one.ports.length > 0)
  const ofService = first === undefined || service === undefined ? [] : [`${lab} probe${flag} --from ${first.key} --to ${service.key.replace('/', '/svc/')} --port ${service.ports[0]}`]
  const ofPod = first === undefined ? [] : [`${lab} probe${flag} --from outside --to ${first.key} --port ${first.ports[0] ?? '80/tcp'}`, `${lab} exec${flag} ${first.key} -- ip address`]
  print(['', 'Try next:', `${lab} matrix${flag}`, ...ofPod, ...ofService, `${lab} down${flag}`].join('\n'))
}

function nameFlag(name: string): string {
  return name === 'default' ? '' : ` --name ${name}`
}

function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new PicketError('NotRoot', 'the lab makes network namespaces, which takes root: run it with sudo')
}

export function downCommand(): Command {
  return new Command('down')
    .description('end a lab: its agents, namespaces, sockets and folders')
    .addOption(nameOption())
    .action(async ({ name }: { name: string }) => {
      const places = placesOf(name)
      requireRoot()
      const wasUp = await isUp(places.socket)
      if (wasUp) await ask(places.socket, { command: 'down' }, progressOnStderr())
      // Also where the daemon died and left something, or lives and did not manage.
      const left = await endLeftovers(places)
      print(wasUp ? `lab ${name} is down` : left ? `lab ${name} had died; what it left is gone` : `no lab called ${name} is up`)
    })
}

export function daemonCommand(): Command {
  return new Command('daemon')
    .description('runs a lab; started by "picket lab up"')
    .requiredOption('-f, --file <dir>', 'folder of manifests')
    .addOption(nodesOption(1))
    .addOption(attachmentOption())
    .addOption(nameOption())
    .action(({ file, nodes, attachment, name }: UpOptions) => runDaemon(placesOf(name), { dir: file, nodes, attachment }))
}

