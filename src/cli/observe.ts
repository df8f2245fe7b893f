// `picket observe`: who talks to whom, what was denied and why, of one node by its agent's socket, of a cluster, or of a file.
//
// Whom it asks: --input-file; --socket, the agent; --kubeconfig, --context or $KUBECONFIG, the cluster; else the agent where there is its
// socket, as on a node and in an agent's pod; else the cluster. **Invariant:** it only asks. Exit status 0: something was shown, or there
// is nothing; 1: nothing matched; 2: not everybody could be asked.
import { existsSync } from 'node:fs'
import { Command, Option } from 'commander'
import { kubeconfigInEnvironment } from '../config.ts'
import { systemClock } from '../lib/clock.ts'
import { PicketError } from '../lib/errors.ts'
import { accessOf } from './access.ts'
import { AGENT_SOCKET } from './agent-exec.ts'
import { styleOf } from './demo-style.ts'
import { addFilterOptions, askedOf, type Asked } from './observe-options.ts'
import { FORMS, Printer, type Form } from './observe-printer.ts'
import { contextOption, durationArgument, kubeconfigOption, outputOption, timeoutOption } from './options.ts'
import { ProgressLine } from './progress-line.ts'

interface ObserveOptions {
  readonly follow?: true
  readonly since?: string
  readonly last?: string
  readonly inputFile?: string
  readonly socket?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly timeout: number
  readonly output: Form
  readonly lease?: number
}

/** What is shown where neither -f, --since nor --last says how much. */
const USUAL_LAST = 1000
/** Milliseconds. */
const QUIET_MS = 2_000
const BEAT_MS = 10_000

const USAGE = `
Values of one filter, repeated or with commas between them, are alternatives; different filters must all match. --not leaves out what the
filter right behind it matches, as Hubble's does. Names may end with *. What was lost, and what agents say of themselves, is held back by
nothing but --node. Without -f, --since and --last: the newest ${USUAL_LAST} of what agents remember. Times are UTC.

  picket observe -f --verdict DROPPED                        all that is denied in the cluster, as it happens
  picket observe --to-pod pay/api-* --port 80/tcp --since 5m
  picket observe -n shop --not --verdict FORWARDED --not --port 53
  picket observe --input-file /var/log/picket/audit.log.1.gz -o hubble | hubble observe --input-file -

From outside it lists pods and asks the agents of the nodes that host those that are named (all agents where none is, --node chooses others),
32 at a time, by pods/exec. Exit status: 0 something was shown, or there was nothing to show; 1 nothing matched; 2 not all could be asked,
which stderr tells by node. -f ends with 0 when it is interrupted.`

export function command(): Command {
  const ofFile = ['follow', 'socket', 'kubeconfig', 'context']
  const built = new Command('observe')
    .description('who talks to whom, what is denied and why: of this node, of a cluster or of a file')
    .addOption(new Option('-f, --follow', 'go on with what comes, until interrupted'))
    .addOption(new Option('--since <time>', 'from then on: a duration such as 5m, or a time such as 2026-11-27T12:00:00Z'))
    .addOption(new Option('--last <number>', 'the newest so many'))
  const given = addFilterOptions(built)
  return built
    .addOption(new Option('--input-file <file>', 'read lines of a file sink, also in gzip; -: of stdin').conflicts(ofFile))
    .addOption(new Option('--socket <path>', `ask the agent of this node (default where there is one: ${AGENT_SOCKET})`).conflicts(['kubeconfig', 'context']))
    .addOption(kubeconfigOption())
    .addOption(contextOption())
    .addOption(timeoutOption(30_000))
    .addOption(outputOption(...FORMS))
    // What the same command asks of agents from outside.
    .addOption(new Option('--lease <duration>').argParser(durationArgument).hideHelp())
    .addHelpText('after', USAGE)
    .action(async (options: ObserveOptions) => {
      const pairs = given()
      const usual = options.follow === undefined && options.since === undefined && options.last === undefined && options.inputFile === undefined
      await observe(options, askedOf(pairs, { ...options, ...(usual ? { last: String(USUAL_LAST) } : {}) }, systemClock.wallTime()), usual)
    })
}

async function observe(options: ObserveOptions, asked: Asked, usual: boolean): Promise<void> {
  const printer = new Printer(options.output, styleOf(process.stdout).ink, process.stdout, asked.follow)
  const ended = new AbortController()
  const end = (): void => ended.abort()
  const signals = ['SIGINT', 'SIGTERM'] as const
  if (asked.follow || options.inputFile === '-') for (const name of signals) process.once(name, end)
  let unreached: readonly string[] = []
  try {
    unreached = await read(options, asked, printer, ended.signal)
  } finally {
    printer.end()
    for (const name of signals) process.removeListener(name, end)
  }
  if (usual && printer.records >= USUAL_LAST) note(`the newest ${USUAL_LAST} are shown; --last or --since shows others`)
  if (ended.signal.aborted) return
  if (unreached.length > 0) process.exitCode = 2
  else if (asked.filter.wanted.length + asked.filter.unwanted.length > 0 && printer.verdicts === 0 && options.lease === undefined) process.exitCode = 1
}

/** Resolves to the nodes that could not be asked. */
async function read(options: ObserveOptions, asked: Asked, printer: Printer, signal: AbortSignal): Promise<readonly string[]> {
  const { inputFile, timeout, lease } = options
  const common = { clock: systemClock, note, onRecord: printer.show.bind(printer), timeout, asked }
  if (inputFile !== undefined) {
    const { observeFile } = await import('./observe-file.ts')
    await observeFile({ ...common, file: inputFile, now: systemClock.wallTime() }, signal)
    return []
  }
  const socket = socketOf(options)
  if (lease !== undefined && (socket === null || !asked.follow)) throw new PicketError('Usage', '--lease is for --socket with --follow')
  if (socket !== null) {
    const { observeNode } = await import('./observe-node.ts')
    const beat = { beat: BEAT_MS, onBeat: () => void process.stdout.write('\n') }
    await observeNode({ ...common, socket, lease: lease === undefined ? null : { length: lease, ...beat } }, signal)
    return []
  }
  const access = accessOf(options, 'on a node, --socket PATH asks its agent, and --input-file FILE reads a file')
  const { observeCluster } = await import('./observe-cluster.ts')
  const progress = new ProgressLine(process.stderr, systemClock, 'picket observe', QUIET_MS)
  try {
    const { unreached } = await observeCluster({ ...common, access, note: (text) => (progress.end(), note(text)), progress: (text) => (asked.follow ? undefined : progress.show(text)) }, signal)
    return unreached
  } finally {
    progress.end()
  }
}

/** Null: the cluster is asked. */
function socketOf({ socket, kubeconfig, context }: ObserveOptions): string | null {
  if (socket !== undefined) return socket
  return kubeconfig === undefined && context === undefined && kubeconfigInEnvironment() === null && existsSync(AGENT_SOCKET) ? AGENT_SOCKET : null
}

function note(text: string): void {
  process.stderr.write(`picket observe: ${text}\n`)
}
