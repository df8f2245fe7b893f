// `picket explain`: may one call the other, which policy decides, and what came nearest to allowing it.
//
// From the cluster's objects or a folder of them, with policies that are not there yet if any: explain/ compiles them as agents do.
// It needs no root, no Linux and no native library. **Invariant:** it only asks. Exit status 0: all that was asked for is allowed;
// 1: something is not; 2: it could not be found out.
import { Command, InvalidArgumentError, Option } from 'commander'
import { PicketError } from '../lib/errors.ts'
import { formatProblem } from '../lib/problem.ts'
import type { Question } from '../explain/explain.ts'
import { parseAddress } from '../model/ip.ts'
import { accessOf } from './access.ts'
import type { Told } from './explain-cluster.ts'
import { contextOption, formatPort, fromOption, kubeconfigOption, namespaceOption, outputOption, portOption, timeoutOption, toOption, type PortFilter } from './options.ts'
import { print, printJson } from './output.ts'

type Source = { readonly kind: 'cluster' } | { readonly kind: 'manifests'; readonly directory: string } | { readonly kind: 'socket'; readonly path: string }

const CLUSTER: Source = { kind: 'cluster' }
const SOCKET = '/run/picket/agent.sock'

interface ExplainOptions {
  readonly from: string
  readonly to: string
  readonly port: PortFilter
  readonly namespace?: string
  readonly via?: string
  readonly source: Source
  readonly policies?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly timeout: number
  readonly output: string
  readonly halves?: string
}

const USAGE = `
Of a new connection's first packet, with the settings of the installed agents, else the defaults. Both ends are told: egress at the source,
ingress at the destination, after the Service's translation; and whether their nodes have programmed it, asked of the agents there by pods/exec.
Pods of a folder that have no addresses get made-up ones. Exit status: 0 allowed, 1 denied (or in part), 2 could not ask.

  picket explain --from shop/web --to pay/svc/api --port 80/tcp
  picket explain --from shop/web --to pay/api-0 --port /tcp --source manifests:./cluster --policies ./draft`

export function command(): Command {
  return new Command('explain')
    .description('may one call the other, which policy decides, and what came nearest to allowing it')
    .addOption(fromOption('NAMESPACE/POD or an address').makeOptionMandatory())
    .addOption(toOption().makeOptionMandatory())
    .addOption(portOption().makeOptionMandatory())
    .addOption(namespaceOption('of names without one: --from web, --to svc/api'))
    .addOption(new Option('--via <node>', 'the node where calls from outside the cluster enter'))
    .addOption(new Option('--source <source>', 'whom to ask: cluster, manifests:DIR, or socket (socket:PATH): the agent of this node').argParser(sourceOf).default(CLUSTER, 'cluster'))
    .addOption(new Option('--policies <dir>', 'ask what would be with the NetworkPolicies of this folder, too'))
    .addOption(kubeconfigOption())
    .addOption(contextOption())
    .addOption(timeoutOption(30_000))
    .addOption(outputOption('text', 'json'))
    // What the same command asks of agents from outside.
    .addOption(new Option('--halves <json>').hideHelp())
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
  const { from, to, port, via = null, policies = null, output, source, namespace } = options
  const question = { from: inNamespace(from, namespace), to: inNamespace(to, namespace), ports: port, via }
  if (source.kind !== 'cluster' && (options.kubeconfig !== undefined || options.context !== undefined)) throw new PicketError('Usage', '--kubeconfig and --context are for --source cluster: expected one or the other')
  if (source.kind === 'socket') return answerOfNode(source.path, question, options)
  if (options.halves !== undefined) throw new PicketError('Usage', '--halves is for --source socket')
  const { answer: told, before } = source.kind === 'manifests' ? await ofFolder(source.directory, question, policies) : await ofCluster(options, question, policies)
  if (told.verdict !== 'allowed') process.exitCode = 1
  if (output === 'json') return printJson(before === null ? told : { ...told, withoutPolicies: before })
  const { answerText } = await import('./explain-text.ts')
  print(answerText(told, formatPort(port), before))
}

/** `api`, `svc/api`: of the namespace of -n. What names one itself keeps it. */
function inNamespace(name: string, namespace: string | undefined): string {
  if (namespace === undefined || parseAddress(name) !== null) return name
  return !name.includes('/') || /^svc\/[^/]*$/.test(name) ? `${namespace}/${name}` : name
}

/** Its own half, by the plan that it holds. */
async function answerOfNode(socket: string, question: Question, { policies, port, output, timeout, halves }: ExplainOptions): Promise<void> {
  if (policies !== undefined) throw new PicketError('Usage', '--policies with --source socket: an agent answers by what it enforces; ask a cluster or a folder')
  const [{ askHalves, askNode }, { withOwnWord }, { answerText }] = await Promise.all([import('./explain-node.ts'), import('../explain/halves.ts'), import('./explain-text.ts')])
  if (halves !== undefined) return printJson(await askHalves(socket, halves, timeout), 'line')
  const answered = await askNode(socket, question, timeout)
  const said = withOwnWord(answered, answered.node)
  if (said.verdict !== 'allowed') process.exitCode = 1
  if (output === 'json') printJson(said)
  else print(answerText(said, formatPort(port), null))
}

async function ofCluster(options: ExplainOptions, question: Question, policies: string | null): Promise<Told> {
  const { explainCluster } = await import('./explain-cluster.ts')
  return explainCluster({ access: accessOf(options, '--source manifests:DIR reads a folder instead, and on a node --source socket asks its agent'), question, policies, timeout: options.timeout })
}

async function ofFolder(directory: string, question: Question, policies: string | null): Promise<Told> {
  const [{ explain }, { World }, { readCompletedFolder }, { readPolicies }, { systemClock }] = await Promise.all([
    import('../explain/explain.ts'), import('../explain/world.ts'), import('./explain-folder.ts'), import('./explain-policies.ts'), import('../lib/clock.ts'),
  ])
  const { events, problems, notes } = await readCompletedFolder(directory, systemClock)
  for (const note of notes) process.stderr.write(`picket explain: ${note}\n`)
  for (const problem of problems) if (problem.severity === 'error') process.stderr.write(`picket explain: ${formatProblem(problem)}\n`)
  const now = explain(new World(events), question)
  if (policies === null) return { answer: now, before: null }
  return { answer: explain(new World(await readPolicies(policies, systemClock, events)), question), before: now.verdict }
}
