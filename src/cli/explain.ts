// `picket explain`: may one call the other, which policy decides, and what came nearest to allowing it.
//
// From the cluster's objects or a folder of them, with policies that are not there yet if any: explain/ compiles them as agents do.
// It needs no root, no Linux and no native library. **Invariant:** it only asks. Exit status 0: all that was asked for is allowed;
// 1: something is not; 2: it could not be found out.
import { Command, InvalidArgumentError, Option } from 'commander'
import { PicketError } from '../lib/errors.ts'
import { formatProblem } from '../lib/problem.ts'
import type { Question } from '../explain/explain.ts'
import type { WorldSettings } from '../explain/world.ts'
import type { SourceEvent } from '../model/changes.ts'
import { accessOf } from './access.ts'
import { contextOption, formatPort, fromOption, kubeconfigOption, outputOption, portOption, timeoutOption, toOption, type PortFilter } from './options.ts'
import { print, printJson } from './output.ts'

type Source = { readonly kind: 'cluster' } | { readonly kind: 'manifests'; readonly directory: string } | { readonly kind: 'socket'; readonly path: string }

const CLUSTER: Source = { kind: 'cluster' }
const SOCKET = '/run/picket/agent.sock'

interface ExplainOptions {
  readonly from: string
  readonly to: string
  readonly port: PortFilter
  readonly via?: string
  readonly source: Source
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
    .addOption(new Option('--source <source>', 'whom to ask: cluster, manifests:DIR, or socket (socket:PATH): the agent of this node').argParser(sourceOf).default(CLUSTER, 'cluster'))
    .addOption(new Option('--policies <dir>', 'ask what would be with the NetworkPolicies of this folder, too'))
    .addOption(kubeconfigOption())
    .addOption(contextOption())
    .addOption(timeoutOption(30_000))
    .addOption(outputOption('text', 'json'))
    .addHelpText('after', USAGE)
    .action(answer)
}

function sourceOf(text: string): Source {
  if (text === 'cluster') return CLUSTER
  if (text === 'socket') return { kind: 'socket', path: SOCKET }
  const [, kind, rest] = /^(manifests|socket):(.+)$/.exec(text) ?? []
  if (kind === 'manifests' && rest !== undefined) return { kind, directory: rest }
  if (kind === 'socket' && rest !== undefined) return { kind, path: rest }
  throw new InvalidArgumentError('expected cluster, manifests:DIR, socket or socket:PATH')
}

async function answer(options: ExplainOptions): Promise<void> {
  const [{ explain }, { World }, { readPolicies }, { answerText }, { systemClock }] = await Promise.all([
    import('../explain/explain.ts'), import('../explain/world.ts'), import('./explain-source.ts'), import('./explain-text.ts'), import('../lib/clock.ts'),
  ])
  const { from, to, port, via = null, policies, output, source } = options
  const question = { from, to, ports: port, via }
  if (source.kind !== 'cluster' && (options.kubeconfig !== undefined || options.context !== undefined)) throw new PicketError('Usage', '--kubeconfig and --context are for --source cluster: expected one or the other')
  if (source.kind === 'socket') return answerOfNode(source.path, question, options)
  const { events, settings } = await readObjects(options)
  const now = explain(new World(events, settings), question)
  const then = policies === undefined ? null : explain(new World(await readPolicies(policies, systemClock, events), settings), question)
  const asked = then ?? now
  if (asked.verdict !== 'allowed') process.exitCode = 1
  const before = then === null ? null : now.verdict
  if (output === 'json') printJson(before === null ? asked : { ...asked, without_policies: before })
  else print(answerText(asked, formatPort(port), before))
}

/** Its own half, by the plan that it holds. */
async function answerOfNode(socket: string, question: Question, { policies, port, output, timeout }: ExplainOptions): Promise<void> {
  if (policies !== undefined) throw new PicketError('Usage', '--policies with --source socket: an agent answers by what it enforces; ask a cluster or a folder')
  const [{ askNode, programmedText }, { answerText }] = await Promise.all([import('./explain-node.ts'), import('./explain-text.ts')])
  const said = await askNode(socket, question, timeout)
  if (said.verdict !== 'allowed') process.exitCode = 1
  if (output === 'json') printJson(said)
  else print(`${answerText(said, formatPort(port), null)}\n\n${programmedText(said)}`)
}

interface Objects {
  readonly events: readonly SourceEvent[]
  /** Of the agents; absent: the defaults. */
  readonly settings?: WorldSettings
}

async function readObjects(options: ExplainOptions): Promise<Objects> {
  const { systemClock } = await import('../lib/clock.ts')
  if (options.source.kind === 'manifests') {
    const { readCompletedFolder } = await import('./explain-folder.ts')
    const { events, problems, notes } = await readCompletedFolder(options.source.directory, systemClock)
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
