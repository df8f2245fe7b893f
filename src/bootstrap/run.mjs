// Runs one of the repository's programs, and installs first what it needs:
//   node src/bootstrap/run.mjs FILE [ARGUMENT...]
// The scripts of package.json go through here, so a clone and any Node from 20 on are enough to start with.
//
// The program gets this process's input and output untouched, its signals, and its exit status.
// **Invariant:** nothing is written to stdout here; with everything in place nothing is written at all.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { InstallError } from './errors.mjs'
import { ensurePackages, nodeBinary } from './packages.mjs'
import { ensureSystem, withSystemPath } from './system.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

const IMAGE = ['buildah', 'debootstrap']
const CLUSTER = ['nft', 'ip', 'sysctl', 'containerd', 'runc', 'the CNI plugins']

/** What a program needs of the system, whatever its arguments or by the first of them. Asking for help needs nothing. */
const NEEDS = {
  'src/main.ts': { agent: ['nft'], cleanup: ['nft'], lab: ['nft', 'ip'], demo: ['nft', 'ip'] },
  'test/run.ts': { test: ['nft', 'ip'], kernel: ['nft', 'ip'], cluster: [...CLUSTER, ...IMAGE, 'curl'] },
  'test/bench/main.ts': { packets: ['nft', 'ip'], cut: ['nft', 'ip'], repair: ['nft', 'ip'] },
  'test/soak/main.ts': ['nft', 'ip'],
  'test/cluster/main.ts': { up: CLUSTER, 'load-image': IMAGE, build: IMAGE },
}

async function main() {
  const [file, ...args] = process.argv.slice(2)
  if (file === undefined) throw new InstallError('run.mjs wants a file to run, for example src/main.ts')
  await ensurePackages(root)
  const helpWanted = args.includes('--help') || args.includes('-h')
  const needs = NEEDS[file] ?? []
  if (!helpWanted) await ensureSystem(Array.isArray(needs) ? needs : (needs[args[0]] ?? []))
  await become(nodeBinary(root), [path.join(root, file), ...args])
}

/** As near to exec as Node 20 gets: waits for the child, then ends the way it ended. */
async function become(program, args) {
  // Node keeps what it made of the source: `picket` then starts in half the time.
  const cache = { NODE_COMPILE_CACHE: path.join(root, 'node_modules/.cache/node') }
  const child = spawn(program, args, { stdio: 'inherit', env: { ...cache, ...withSystemPath(process.env) } })
  const forward = (signal) => child.kill(signal)
  // A terminal sends SIGINT to the whole process group, so the child has it already.
  const onInterrupt = process.stdin.isTTY ? () => {} : forward
  process.on('SIGINT', onInterrupt)
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR2']) process.on(signal, forward)
  const { code, signal } = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }))
  })
  process.exit(signal === null ? code : 128 + (constants.signals[signal] ?? 0))
}

main().catch((error) => {
  process.stderr.write(`picket: ${error instanceof InstallError ? error.message : `internal error: ${error.stack}`}\n`)
  process.exit(2)
})
