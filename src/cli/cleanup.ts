// `picket cleanup`: removes what Picket has on this node, once, or (deploy/uninstall) stays and keeps the node clean.
//
// **Invariant:** only tables of our names are named to the kernel; running it twice is no error; no table goes while an agent runs.
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { AGENT_RUNS, agentRuns, removeCanary, removeFiles, removeGate, removeTables } from './cleanup-node.ts'
import type { CniFolders, Step } from './cni-node.ts'
import { outputOption } from './options.ts'
import { print, printJson } from './output.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import type { Table } from '../nft/objects.ts'

interface Options {
  readonly output: string
  readonly socket: string
  readonly cniBinDir?: string
  readonly cniConfDir?: string
  readonly stay?: string
}

/** How often a node that stays clean is looked at again. */
const AGAIN_MS = 2_000

export function command(): Command {
  return new Command('cleanup')
    .description("remove Picket's tables, interfaces and files from this node, and nothing else")
    .option('--socket <path>', "the agent's socket", '/run/picket/agent.sock')
    .option('--cni-bin-dir <dir>', "the runtime's folder of CNI plugins: takes the pod-start gate away too, before the tables")
    .option('--cni-conf-dir <dir>', "the runtime's folder of network configurations; both or neither")
    .addOption(new Option('--stay <host:port>', 'wait until no agent runs, clean, answer GET /readyz there with 200 while the node is clean, until stopped').argParser(address))
    .addOption(outputOption('text', 'json'))
    .action(async (options: Options) => {
      const [{ openKernel }, { TABLE }] = await Promise.all([import('../kernel/open.ts'), import('../ruleset/skeleton.ts')])
      const cni = foldersOf(options)
      const tables = [TABLE, { family: 'bridge', name: TABLE.name } satisfies Table]
      const kernel = await openKernel({ access: 'auto', onNote: () => undefined })
      try {
        await (options.stay === undefined ? cleanOnce(kernel, tables, cni, options) : stayClean(kernel, tables, cni, options.socket, options.stay))
      } finally {
        await kernel.close()
      }
    })
}

function address(text: string): string {
  const port = Number(/^\[?[^\s\]]+\]?:(\d{1,5})$/.exec(text)?.[1] ?? 0)
  if (port >= 1 && port <= 65535) return text
  throw new InvalidArgumentError('expected HOST:PORT, such as 127.0.0.1:9656')
}

function foldersOf({ cniBinDir, cniConfDir }: Options): CniFolders | null {
  if (cniBinDir !== undefined && cniConfDir !== undefined) return { binDir: cniBinDir, confDir: cniConfDir }
  if (cniBinDir === undefined && cniConfDir === undefined) return null
  throw new PicketError('InvalidArguments', 'expected --cni-bin-dir and --cni-conf-dir together; got one of them alone; nothing was removed')
}

async function cleanOnce(kernel: Kernel, tables: readonly Table[], cni: CniFolders | null, { socket, output }: Options): Promise<void> {
  const steps: string[] = []
  const step: Step = (text) => {
    steps.push(text)
    if (output !== 'json') print(text)
  }
  if (await agentRuns(socket)) throw new PicketError('AgentRuns', `socket ${socket}: an agent runs on this node and would put everything back; ${AGENT_RUNS}; nothing was removed`)
  if (cni !== null) await removeGate(cni, step)
  const removed = await removeTables(kernel, tables)
  if (output !== 'json') print(removed.length === 0 ? 'nothing to remove: no table of Picket is here' : `removed: table ${removed.join(', table ')}`)
  removeCanary(step)
  await removeFiles(socket, step)
  if (output === 'json') printJson(steps.length === 0 ? { removed } : { removed, steps })
}

/** Until SIGTERM or SIGINT. What fails is told and tried again: kubelet would only wait longer each time. */
async function stayClean(kernel: Kernel, tables: readonly Table[], cni: CniFolders | null, socket: string, where: string): Promise<void> {
  const { json, listen } = await import('../serve/http.ts')
  const stopped = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopped.abort())
  let state = 'has just begun'
  const tell = (next: string): void => {
    if (next !== state) print(next)
    state = next
  }
  const server = await listen('--stay', where, { '/readyz': () => json(state === CLEAN ? 200 : 503, { clean: state === CLEAN, state }) })
  try {
    while (!stopped.signal.aborted) {
      try {
        tell(await clean(kernel, tables, cni, socket, state))
      } catch (error) {
        tell(`failed, and is tried again: ${messageOf(error)}`)
      }
      // Looked at again: an agent, or the gate's installer, may come back as long as its DaemonSet is there.
      await sleep(AGAIN_MS, undefined, { signal: stopped.signal }).catch(() => undefined)
    }
  } finally {
    await server.close()
  }
}

const CLEAN = 'this node is clean'

async function clean(kernel: Kernel, tables: readonly Table[], cni: CniFolders | null, socket: string, before: string): Promise<string> {
  const found: string[] = []
  const step: Step = (text) => {
    found.push(text)
    print(text)
  }
  if (cni !== null) await removeGate(cni, step)
  if (await agentRuns(socket)) return `waiting: an agent runs on this node; ${AGENT_RUNS}`
  for (const table of await removeTables(kernel, tables)) step(`table ${table}: removed`)
  removeCanary(step)
  await removeFiles(socket, step)
  if (found.length === 0 && before !== CLEAN) print('nothing of Picket is here')
  return CLEAN
}
