// `picket status`: which policies are enforced where, from outside with a kubeconfig; on a node, what its agent enforces.
//
// Whom it asks: --socket, the agent; --kubeconfig, --context, $KUBECONFIG or an option that only a cluster can answer, the API server;
// else the agent where there is its socket, as on a node while the API server is away; else the API server.
// **Invariant:** it only asks. Exit status 0: all that was asked for is enforced; 1: something is not; 2: it could not ask.
import { existsSync } from 'node:fs'
import { Command, Option } from 'commander'
import { kubeconfigInEnvironment } from '../config.ts'
import { ApiFailure } from '../kube/failures.ts'
import { PicketError } from '../lib/errors.ts'
import type { Scope } from '../status/facts.ts'
import type { WaitProgress } from '../status/waiting.ts'
import { accessOf, isInPod } from './access.ts'
import { allNamespacesOption, contextOption, kubeconfigOption, namespaceOption, outputOption, timeoutOption } from './options.ts'
import { print, printJson } from './output.ts'
import { ProgressLine } from './progress-line.ts'
import { nodeStatus } from './status-node.ts'
import { progressText, waitText } from './status-wait.ts'
import { reportText } from './status-report.ts'

interface StatusOptions {
  readonly kubeconfig?: string
  readonly context?: string
  readonly namespace?: string
  readonly allNamespaces?: true
  readonly policy?: string
  readonly wait?: true
  readonly socket?: string
  readonly timeout: number
  readonly output: string
}

const SOCKET = '/run/picket/agent.sock'
const NODE_TIMEOUT_MS = 5_000
const USAGE = `
Exit status: 0 all that was asked for is enforced, 1 something is not, 2 it could not ask.

--wait takes one list of the policies at the call. It ends with 0 when each of them is told programmed, of its UID and of that
generation or a later one, or was deleted or made anew meanwhile; and when each policy that was deleted before the call is gone
from the kernels of all nodes with pods of its namespace. What was deleted is read from the API server's history, which goes back
75 s at least, or to its start. It needs list and watch on networkpolicies, policyenforcements and nodeenforcements, and list on
pods where something was deleted.`

export function command(): Command {
  const ofCluster = ['kubeconfig', 'context', 'namespace', 'allNamespaces', 'policy', 'wait']
  return new Command('status')
    .description('which policies are enforced where, what is not and why; with --wait, wait until all are')
    .addOption(kubeconfigOption())
    .addOption(contextOption())
    .addOption(namespaceOption())
    .addOption(allNamespacesOption())
    .addOption(new Option('--policy <name>', 'look at policies of this name only'))
    .addOption(new Option('--wait', 'wait until the policies of now are enforced, and those deleted before are gone'))
    .addOption(new Option('--socket <path>', `ask the agent of this node (default where there is one: ${SOCKET})`).conflicts(ofCluster))
    .addOption(timeoutOption(60_000))
    .addOption(outputOption('text', 'json'))
    .addHelpText('after', USAGE)
    .action(async (options: StatusOptions) => {
      const { output, timeout } = options
      const socket = socketOf(options)
      if (socket !== null) return nodeStatus(socket, output, Math.min(timeout, NODE_TIMEOUT_MS))
      try {
        await (options.wait === true ? waitInCluster(options) : clusterStatus(options))
      } catch (error) {
        if (!(error instanceof ApiFailure)) throw error
        const hint = existsSync(SOCKET) ? `; the agent of this node answers without it: --socket ${SOCKET}` : error.code === 'PermissionMissing' && isInPod() ? `; in a pod of the agent: it has not opened ${SOCKET} yet` : ''
        throw new PicketError(error.code, `${error.message}${hint}`)
      }
    })
}

/** Null: the API server is asked. */
function socketOf({ socket, kubeconfig, context, namespace, allNamespaces, policy, wait }: StatusOptions): string | null {
  if (socket !== undefined) return socket
  const isForCluster = [kubeconfig, context, namespace, allNamespaces, policy, wait].some((option) => option !== undefined)
  return !isForCluster && kubeconfigInEnvironment() === null && existsSync(SOCKET) ? SOCKET : null
}

function scopeOf({ namespace, policy }: StatusOptions): Scope {
  return { namespace: namespace ?? null, policy: policy ?? null }
}

const OTHERWISE = 'on a node, --socket PATH asks its agent'

async function clusterStatus(options: StatusOptions): Promise<void> {
  const scope = scopeOf(options)
  const access = accessOf(options, OTHERWISE)
  const [{ readFacts }, { statusReport }, { transportFor }, { systemClock }] = await Promise.all([import('../status/ask.ts'), import('../status/report.ts'), import('../kube/source.ts'), import('../lib/clock.ts')])
  const transport = transportFor(access, systemClock)
  const late = AbortSignal.timeout(options.timeout)
  try {
    const facts = await readFacts(transport, scope, late)
    if (scope.policy !== null && facts.policies.length === 0) {
      throw new PicketError('NoSuchPolicy', `no NetworkPolicy ${scope.namespace === null ? '' : `${scope.namespace}/`}${scope.policy} is there; kubectl get networkpolicies -A shows which are`)
    }
    const report = statusReport(scope, facts)
    if (!report.enforced) process.exitCode = 1
    if (options.output === 'json') printJson(report)
    else print(reportText(report, systemClock.wallTime(), process.stdout.isTTY ? { width: process.stdout.columns, height: process.stdout.rows } : null))
  } catch (error) {
    if (late.aborted && error === late.reason) throw new PicketError('Timeout', `no answer from the API server within ${options.timeout / 1000} s; see that it is reachable, or raise --timeout`)
    throw error
  } finally {
    await transport.close()
  }
}

async function waitInCluster(options: StatusOptions): Promise<void> {
  const access = accessOf(options, OTHERWISE)
  const [{ waitUntilEnforced }, { systemClock }] = await Promise.all([import('../status/waiting.ts'), import('../lib/clock.ts')])
  const line = new ProgressLine(process.stderr, systemClock, 'picket status')
  const onProgress = (progress: WaitProgress): void => line.show(progressText(progress))
  try {
    const result = await waitUntilEnforced({ access, scope: scopeOf(options), clock: systemClock, timeoutMs: options.timeout, onProgress })
    line.end()
    if (result.missing.length > 0) process.exitCode = 1
    if (options.output === 'json') printJson({ enforced: result.missing.length === 0, ...result })
    else print(waitText(result, options.timeout))
  } finally {
    line.end()
  }
}
