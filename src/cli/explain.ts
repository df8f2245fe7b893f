// `picket explain`: may one call the other, which policy decides, and what came nearest to allowing it.
//
// From the cluster's objects or a folder of them, with policies that are not there yet if any: explain/ compiles them as agents do.
// It needs no root, no Linux and no native library. **Invariant:** it only asks. Exit status 0: all that was asked for is allowed;
// 1: something is not; 2: it could not be found out.
import { Command, InvalidArgumentError, Option } from 'commander'
import { PicketError } from '../lib/errors.ts'
import { formatProblem } from '../lib/problem.ts'
import type { WorldSettings } from '../explain/world.ts'
import type { SourceEvent } from '../model/changes.ts'
import { accessOf } from './access.ts'
import { contextOption, formatPort, fromOption, kubeconfigOption, outputOption, portOption, timeoutOption, toOption, type PortFilter } from './options.ts'
import { print, printJson } from './output.ts'

interface ExplainOptions {
  readonly from: string
  readonly to: string
  readonly port: PortFilter
  readonly via?: string
  /** Null: the cluster. */
  readonly source: string | null
  readonly policies?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly timeout: number
  readonly output: string
}

const USAGE = `
Of a new connection's first packet, with the settings of the installed agents, else the defaults. Both ends are told: egress at the source,
ingress at the destination, after the Service's translation. Pods of a folder that have no addresses get made-up ones. Exit status: 0 allowed, 1 denied (or in part), 2 could not ask.

  picket explain --from shop/web --to pay/svc/api --port 80/tcp
  picket explain --from shop/web --to pay/api-0 --port /tcp --source manifests:./cluster --policies ./draft`

export function command(): Command {
  return new Command('explain')
    .description('may one call the other, which policy decides, and what came nearest to allowing it')
    .addOption(fromOption('NAMESPACE/POD or an address').makeOptionMandatory())
    .addOption(toOption().makeOptionMandatory())
    .addOption(portOption().makeOptionMandatory())
    .addOption(new Option('--via <node>', 'the node where calls from outside the cluster enter'))
    .addOption(new Option('--source <source>', 'where the objects are read: cluster, or manifests:DIR').argParser(folderOf).default(null, 'cluster'))
    .addOption(new Option('--policies <dir>', 'ask what would be with the NetworkPolicies of this folder, too'))
    .addOption(kubeconfigOption())
    .addOption(contextOption())
    .addOption(timeoutOption(30_000))
    .addOption(outputOption('text', 'json'))
    .addHelpText('after', USAGE)
    .action(answer)
}

function folderOf(text: string): string | null {
  if (text === 'cluster') return null
  if (/^manifests:./.test(text)) return text.slice('manifests:'.length)
  throw new InvalidArgumentError('expected cluster or manifests:DIR')
}

async function answer(options: ExplainOptions): Promise<void> {
  const [{ explain }, { World }, { readPolicies }, { answerText }, { systemClock }] = await Promise.all([
    import('../explain/explain.ts'), import('../explain/world.ts'), import('./explain-source.ts'), import('./explain-text.ts'), import('../lib/clock.ts'),
  ])
  const { from, to, port, via = null, policies, output } = options
  const question = { from, to, ports: port, via }
  const { events, settings } = await readObjects(options)
  const now = explain(new World(events, settings), question)
  const then = policies === undefined ? null : explain(new World(await readPolicies(policies, systemClock, events), settings), question)
  const asked = then ?? now
  if (asked.verdict !== 'allowed') process.exitCode = 1
  const before = then === null ? null : now.verdict
  if (output === 'json') printJson(before === null ? asked : { ...asked, without_policies: before })
  else print(answerText(asked, formatPort(port), before))
}

interface Objects {
  readonly events: readonly SourceEvent[]
  /** Of the agents; absent: the defaults. */
  readonly settings?: WorldSettings
}

async function readObjects(options: ExplainOptions): Promise<Objects> {
  const { systemClock } = await import('../lib/clock.ts')
  if (options.source !== null) {
    if (options.kubeconfig !== undefined || options.context !== undefined) throw new PicketError('Usage', '--kubeconfig and --context are for --source cluster: expected one or the other')
    const { readCompletedFolder } = await import('./explain-folder.ts')
    const { events, problems, notes } = await readCompletedFolder(options.source, systemClock)
    for (const note of notes) process.stderr.write(`picket explain: ${note}\n`)
    for (const problem of problems) if (problem.severity === 'error') process.stderr.write(`picket explain: ${formatProblem(problem)}\n`)
    return { events }
  }
  const access = accessOf(options, '--source manifests:DIR reads a folder instead')
  const late = AbortSignal.timeout(options.timeout)
  const { readCluster } = await import('./explain-source.ts')
  try {
    const { note, ...objects } = await readCluster(access, systemClock, late)
    if (note !== null) process.stderr.write(`picket explain: ${note}\n`)
    return objects
  } catch (error) {
    if (late.aborted && error === late.reason) throw new PicketError('Timeout', `no answer from the API server within ${options.timeout / 1000} s; see that it is reachable, or raise --timeout`)
    throw error
  }
}
