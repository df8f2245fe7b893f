// `picket check`: whether Picket can enforce here, before and after it is installed, and what policies will start to do.
//
// With --local it looks at this node, as root; else it asks the API server, and looks at nodes by short-lived pods, which it
// announces and removes. **Invariant:** 0 where nothing is an error, 1 where something is, 2 where it could not ask; an
// interruption removes what was made first.
import { Command, Option } from 'commander'
import manifest from '../../package.json' with { type: 'json' }
import type { PlacedFinding } from '../check/finding.ts'
import type { KernelAccess } from '../kernel/open.ts'
import { PicketError } from '../lib/errors.ts'
import { accessOf } from './access.ts'
import { reportText } from './check-report.ts'
import { contextOption, kubeconfigOption, outputOption, timeoutOption } from './options.ts'
import { print, printJson } from './output.ts'

interface CheckOptions {
  readonly local?: true
  readonly kubeconfig?: string
  readonly context?: string
  readonly image?: string
  readonly node?: readonly string[]
  readonly pods: boolean
  readonly socket: string
  readonly kernelAccess: KernelAccess
  readonly timeout: number
  readonly output: string
}

export function command(): Command {
  const outside = ['kubeconfig', 'context', 'image', 'node']
  return new Command('check')
    .description('whether nodes can enforce, what stands in the way, and what policies will start to do')
    .addOption(new Option('--local', 'look at this node, without the API server (root)').conflicts(outside))
    .addOption(kubeconfigOption())
    .addOption(contextOption())
    .addOption(new Option('--node <name...>', 'look at these nodes from inside (default: all)'))
    .addOption(new Option('--no-pods', 'make no pods: ask the API server only'))
    .addOption(new Option('--image <image>', "image of the pods (default: that of the installed DaemonSet, else this version's)"))
    .addOption(new Option('--socket <file>', "the agent's socket, with --local").default('/run/picket/agent.sock'))
    .addOption(new Option('--kernel-access <way>', 'the way to nf_tables, with --local: as the agent').choices(['auto', 'libnftables', 'nft']).default('auto'))
    .addOption(timeoutOption(120_000))
    .addOption(outputOption('text', 'json'))
    .action((options: CheckOptions) => (options.local === true ? checkNode(options) : checkFromOutside(options)))
}

async function checkNode({ socket, kernelAccess, output }: CheckOptions): Promise<void> {
  const [{ readNode }, { nodeReport }] = await Promise.all([import('../check/node-facts.ts'), import('../check/node-report.ts')])
  const report = nodeReport(await readNode(socket, kernelAccess), manifest.version)
  const findings = report.findings.map((one) => ({ node: null, ...one }))
  if (output === 'json') printJson(report, 'line')
  else print(reportText(findings))
  answer(findings)
}

async function checkFromOutside(options: CheckOptions): Promise<void> {
  if (options.node !== undefined && !options.pods) throw new PicketError('Usage', '--node and --no-pods: expected one of them')
  const access = accessOf(options, 'on a node, --local looks at that node alone')
  const [{ checkCluster }, { transportFor }, { systemClock }] = await Promise.all([import('../check/cluster.ts'), import('../kube/source.ts'), import('../lib/clock.ts')])
  const transport = transportFor(access, systemClock)
  const interrupted = new AbortController()
  const interrupt = (): void => interrupted.abort(new PicketError('Interrupted', 'interrupted; what was made is removed'))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt)
  const late = AbortSignal.timeout(options.timeout)
  try {
    const { findings, policies } = await checkCluster({
      transport,
      image: options.image ?? null,
      usualImage: `picket.dev/picket:${manifest.version}`,
      nodes: options.pods ? (options.node ?? 'all') : 'none',
      signal: AbortSignal.any([interrupted.signal, late]),
      announce: (text) => process.stderr.write(`picket check: ${text}\n`),
    })
    interrupted.signal.throwIfAborted()
    if (options.output === 'json') printJson({ findings, policies })
    else print(reportText(findings))
    answer(findings)
  } catch (error) {
    interrupted.signal.throwIfAborted()
    if (late.aborted && error === late.reason) throw new PicketError('Timeout', `no answer from the API server within ${options.timeout / 1000} s; see that it is reachable, or raise --timeout`)
    throw error
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, interrupt)
    await transport.close()
  }
}

function answer(findings: readonly PlacedFinding[]): void {
  if (findings.some(({ level }) => level === 'error')) process.exitCode = 1
}
