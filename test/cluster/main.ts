// `npm run cluster -- up | load-image | kubectl | picket | down | build`: a real cluster on this machine, for tests and for trying things.
//
// **Invariant:** exit status 0 done, 2 could not; of kubectl and picket their own; progress goes to stderr.
import { spawn } from 'node:child_process'
import path from 'node:path'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { messageOf, PicketError } from '../../src/lib/errors.ts'
import { down, openCluster, up } from './cluster.ts'
import { buildImage, buildNginx } from './image.ts'
import { ATTACHMENTS, CONTROL, FILES, MAX_NODES, netnsPath, type Attachment } from './layout.ts'
import { ensurePrograms } from './programs.ts'
import { sayOnStderr as say, step } from './progress.ts'

function nodesArgument(text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (count < 1 || count > MAX_NODES) throw new InvalidArgumentError(`expected 1 to ${MAX_NODES}`)
  return count
}

function command(): Command {
  const program = new Command('cluster').description('a real Kubernetes cluster in network namespaces of this machine; Go builds it, root runs it')
  program
    .command('up')
    .description('start one and wait until its nodes are Ready and DNS answers')
    .addOption(new Option('--nodes <count>', 'how many nodes').argParser(nodesArgument).default(2))
    .addOption(new Option('--attachment <kind>', 'pods behind a veth each (ptp), or on a bridge').choices(ATTACHMENTS).default('veth'))
    .option('--no-kube-proxy', 'nobody translates Services')
    .option('--replace', 'end the one that is there first')
    .action(async (flags: { readonly nodes: number; readonly attachment: Attachment; readonly kubeProxy: boolean; readonly replace?: boolean }) => {
      await up({ nodes: flags.nodes, attachment: flags.attachment, kubeProxy: flags.kubeProxy, replace: flags.replace === true }, say)
      say('ready; try: npm run -s cluster -- kubectl get nodes -o wide')
    })
  program
    .command('load-image')
    .description('build the image of this clone, or take an archive, and give it to every node')
    .argument('[archive]', 'of docker or OCI; none: what the Dockerfile builds')
    .action(async (archive: string | undefined) => {
      const cluster = await openCluster(say)
      const file = archive ?? (await buildImage(say)).archive
      await step(say, 'loading the image into every node', () => cluster.loadImage(file))
    })
  program
    .command('kubectl')
    .description("run the cluster's kubectl")
    .argument('[args...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (args: readonly string[]) => {
      const cluster = await openCluster(say)
      await become(cluster.kubectlCommand(args))
    })
  program
    .command('picket')
    .description("run this clone's picket where it reaches the cluster's API server")
    .argument('[args...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (args: readonly string[]) => {
      await openCluster(say)
      await become([process.execPath, path.resolve(import.meta.dirname, '../../src/main.ts'), ...args])
    })
  program.command('down').description('end the cluster and remove all that was made for it').action(() => down(say))
  program
    .command('build')
    .description('build the programs into the cache, and start nothing')
    .option('--image', 'and the image of this clone, and the one of nginx')
    .action(async ({ image }: { readonly image?: boolean }) => {
      await ensurePrograms(say)
      if (image !== true) return
      await buildImage(say)
      await buildNginx(say)
    })
  for (const one of [program, ...program.commands]) one.exitOverride().configureOutput({ outputError: () => undefined })
  program.enablePositionalOptions()
  for (const one of program.commands) if (['kubectl', 'picket'].includes(one.name())) one.passThroughOptions()
  return program
}

/** Runs it in the control namespace, with this process's input and output, and ends with its status. */
async function become(command: readonly string[]): Promise<void> {
  const child = spawn('nsenter', [`--net=${netnsPath(CONTROL)}`, ...command], { stdio: 'inherit', env: { ...process.env, KUBECONFIG: FILES.kubeconfig } })
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (status) => resolve(status ?? 2))
  })
}

try {
  if (process.getuid?.() !== 0 && !process.argv.includes('build') && !process.argv.includes('--help')) {
    throw new PicketError('NotRoot', 'the cluster is made of namespaces, which only root may make: run the command as root')
  }
  await command().parseAsync(process.argv.slice(2), { from: 'user' })
} catch (error) {
  if (!(error instanceof CommanderError && error.exitCode === 0)) {
    process.stderr.write(`picket: ${messageOf(error).replace(/^error: /, '')}${error instanceof CommanderError ? '; see "npm run cluster -- --help"' : ''}\n`)
    process.exitCode = 2
  }
}
