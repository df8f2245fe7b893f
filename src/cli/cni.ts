// `picket cni`: installs the pod-start gate's CNI plugin on a node, removes it, and says what is there.
//
// The plugin itself is a static program (src/cni): a runtime that starts `picket cni` is handed over to it.
// **Invariant:** the program comes before its entry and goes after it.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { isStartedByRuntime } from '../config.ts'
import { parseDuration } from '../lib/duration.ts'
import { PicketError } from '../lib/errors.ts'
import { PLUGIN } from './cni-conf.ts'
import { cniState, putEntry, putProgram, takeEntries, takeProgram, type CniFolders } from './cni-node.ts'
import { durationArgument, outputOption } from './options.ts'
import { print, printJson, printTable } from './output.ts'

const IN_IMAGE = `/opt/picket/${PLUGIN}`
const SHORTEST_TIMEOUT_MS = 100
const LONGEST_TIMEOUT_MS = 60_000
const POLL_MS = 1_000
const TELL_EVERY_MS = 10_000
/** A runtime that watches its folder has read it anew by then: no pod start finds an entry without its program. */
const RELOAD_MS = 2_000

interface Output {
  readonly output: string
}

export function command(): Command {
  const cni = new Command('cni')
    .description('install or remove the pod-start gate: a CNI plugin that holds a pod back until its policies are in the kernel')
    .addHelpText('after', '\nPages: deploy/docs/pod-start-gate.md')
    .addCommand(installCommand())
    .addCommand(removeCommand())
    .addCommand(statusCommand())
  return cni.hook('preAction', (_, acting) => {
    if (acting === cni && isStartedByRuntime()) handOver()
  })
}

function withFolders(command: Command): Command {
  return command
    .option('--bin-dir <dir>', "the runtime's folder of CNI plugins", '/opt/cni/bin')
    .option('--conf-dir <dir>', "the runtime's folder of network configurations", '/etc/cni/net.d')
    .addOption(outputOption('text', 'json'))
}

function pluginTimeout(text: string): string {
  const ms = parseDuration(text)
  if (ms !== null && ms >= SHORTEST_TIMEOUT_MS && ms <= LONGEST_TIMEOUT_MS) return text
  throw new InvalidArgumentError('expected a duration of 100ms to 60s such as 10s')
}

function socketPath(text: string): string {
  if (text.startsWith('/') && text.length <= 107) return text
  throw new InvalidArgumentError('expected an absolute path of at most 107 characters')
}

interface InstallOptions extends CniFolders, Output {
  readonly plugin?: string
  readonly socket: string
  readonly timeout: string
  readonly onTimeout: 'fail' | 'allow'
  /** Milliseconds. */
  readonly wait: number
}

function installCommand(): Command {
  return withFolders(new Command('install').description('copy the plugin to this node and add its entry to the network configuration; again: brings both up to date'))
    .option('--plugin <file>', `the program to copy (default: ${IN_IMAGE}, or beside picket)`)
    .addOption(new Option('--socket <path>', "the agent's socket").argParser(socketPath).default('/run/picket/agent.sock'))
    .addOption(new Option('--timeout <duration>', 'how long a pod waits to be programmed').argParser(pluginTimeout).default('10s'))
    .addOption(new Option('--on-timeout <what>', 'what becomes of it then: fail (kubelet tries again) or allow (it starts)').choices(['fail', 'allow']).default('fail'))
    .addOption(new Option('--wait <duration>', 'how long to wait for a network configuration where there is none yet').argParser(durationArgument).default(300_000, '5m'))
    .action(async (options: InstallOptions) => {
      const steps: string[] = []
      const step = stepsTo(steps, options)
      await putProgram(options.plugin ?? foundProgram() ?? IN_IMAGE, options.binDir, step)
      const { socket, timeout, onTimeout } = options
      await waitForConfig(options, () => putEntry(options.confDir, { socket, timeout, onTimeout }, step))
      if (options.output === 'json') printJson({ steps, ...(await cniState(options)) })
    })
}

async function waitForConfig({ confDir, wait }: InstallOptions, put: () => Promise<boolean>): Promise<void> {
  const began = performance.now()
  let told = -Infinity
  while (!(await put())) {
    const waited = performance.now() - began
    if (waited >= wait) {
      throw new PicketError('NoCniConfig', `${confDir}: no network configuration (*.conflist, *.conf, *.json) came within ${Math.round(wait / 1000)} s; install the cluster's network plugin first, or name another folder with --conf-dir`)
    }
    if (waited - told >= TELL_EVERY_MS) {
      told = waited
      process.stderr.write(`${confDir}: no network configuration yet; waiting for the cluster's network plugin (${Math.round(waited / 1000)} s)\n`)
    }
    await sleep(Math.min(POLL_MS, wait - waited))
  }
}

function removeCommand(): Command {
  return withFolders(new Command('remove').description("take the plugin's entry out of the network configuration, and then the program away; again: nothing to do"))
    .option('--keep-program', 'leave the program: CRI-O ends pods with the configuration that they were started with')
    .action(async (options: CniFolders & Output & { readonly keepProgram?: boolean }) => {
      const steps: string[] = []
      const step = stepsTo(steps, options)
      const taken = await takeEntries(options.confDir, step)
      if (options.keepProgram !== true) {
        if (taken) await sleep(RELOAD_MS)
        await takeProgram(options.binDir, step)
      }
      if (options.output === 'json') return printJson({ steps, ...(await cniState(options)) })
      if (steps.length === 0) print('nothing to remove')
    })
}

function statusCommand(): Command {
  return withFolders(new Command('status').description('show what of the plugin is on this node; exit status 0: installed, 1: not')).action(async (options: CniFolders & Output) => {
    const state = await cniState(options)
    if (!state.installed) process.exitCode = 1
    if (options.output === 'json') return printJson(state)
    printTable(['what', 'where', 'there'], [
      ['program', state.program, state.hasProgram ? 'yes' : 'no'],
      ['entry', state.config ?? `${options.confDir} (no network configuration)`, state.hasEntry ? 'yes' : 'no'],
    ])
  })
}

function stepsTo(steps: string[], { output }: Output): (text: string) => void {
  return (text) => {
    steps.push(text)
    if (output !== 'json') print(text)
  }
}

function foundProgram(): string | null {
  return [IN_IMAGE, path.join(import.meta.dirname, PLUGIN)].find((file) => existsSync(file)) ?? null
}

/** To the static program, with the environment and the streams that the runtime gave us. Does not return. */
function handOver(): never {
  const program = foundProgram()
  if (program === null) {
    throw new PicketError('NoPlugin', `CNI_COMMAND is set, but the plugin is another program, ${PLUGIN}, which was not found in ${IN_IMAGE}; put it into the runtime's folder of plugins with picket cni install`)
  }
  const { status, error } = spawnSync(program, [], { stdio: 'inherit' })
  if (error !== undefined) throw new PicketError('NoPlugin', `${program}: cannot be started (${error.message})`)
  process.exit(status ?? 2)
}
