// Sees to it that the system has what a command needs of it (nft with libnftables, ip, containerd, ...), by apt-get where it does not.
//
// Debian's nftables package brings both nft and libnftables1; iproute2 brings ip.
// **Invariant:** only packages that are missing are asked for, and only where a command needs them.
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { lastLines, runCommand } from './command.mjs'
import { InstallError, say } from './errors.mjs'

/** Debian leaves these out of the PATH of everybody but root; the last is where Go's own archive goes. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/go/bin']
const LIBRARY_FOLDERS = ['/usr/lib', '/usr/lib64', '/usr/local/lib', '/lib', '/lib64']

const TOOLS = {
  nft: { package: 'nftables', isThere: () => onPath('nft') && hasLibrary('libnftables.so.1') },
  ip: { package: 'iproute2', isThere: () => onPath('ip') },
  // Of the test cluster's nodes, and of the image.
  containerd: { package: 'containerd', isThere: () => onPath('containerd') },
  runc: { package: 'runc', isThere: () => onPath('runc') },
  'the CNI plugins': { package: 'containernetworking-plugins', isThere: () => existsSync('/usr/lib/cni/ptp') },
  sysctl: { package: 'procps', isThere: () => onPath('sysctl') },
  curl: { package: 'curl', isThere: () => onPath('curl') },
  buildah: { package: 'buildah', isThere: () => onPath('buildah') },
  debootstrap: { package: 'debootstrap', isThere: () => onPath('debootstrap') },
}

export function withSystemPath(env) {
  const folders = (env.PATH ?? '').split(':').filter((folder) => folder !== '')
  return { ...env, PATH: [...folders, ...SYSTEM_FOLDERS.filter((folder) => !folders.includes(folder))].join(':') }
}

function onPath(program) {
  return withSystemPath(process.env).PATH.split(':').some((folder) => existsSync(path.join(folder, program)))
}

/** Debian keeps libraries in /usr/lib/TRIPLET, others directly in /usr/lib or /usr/lib64. */
function hasLibrary(name) {
  return LIBRARY_FOLDERS.some((folder) => {
    if (existsSync(path.join(folder, name))) return true
    const below = existsSync(folder) ? readdirSync(folder).filter((entry) => entry.includes('linux')) : []
    return below.some((entry) => existsSync(path.join(folder, entry, name)))
  })
}

/** `tools`: names of TOOLS. Throws an InstallError that says what to do where apt-get cannot help. */
export async function ensureSystem(tools) {
  const missing = tools.filter((tool) => !TOOLS[tool].isThere())
  if (missing.length === 0) return
  const packages = missing.map((tool) => TOOLS[tool].package)
  const what = `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing`
  if (!onPath('apt-get')) throw new InstallError(`${what} and there is no apt-get here: install ${packages.join(' and ')}, then run this again`)
  if (process.getuid() !== 0) {
    throw new InstallError(`${what} and only root can install: run "sudo apt-get install ${packages.join(' ')}", then this again`)
  }
  say(`installing Debian's ${packages.join(' and ')} (${what})`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const options = { env, label: `installing ${packages.join(' and ')}` }
  const install = ['-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120', 'install', ...packages]
  let result = await runCommand('apt-get', install, options)
  if (result.status !== 0) {
    // A fresh image has no package lists, and old ones name versions that are gone.
    await runCommand('apt-get', ['update'], { env, label: "reading Debian's package lists" })
    result = await runCommand('apt-get', install, options)
  }
  const still = missing.filter((tool) => !TOOLS[tool].isThere())
  if (result.status !== 0 || still.length > 0) {
    throw new InstallError(`apt-get install ${packages.join(' ')} failed; its last lines:\n${lastLines(result.output, 8)}`)
  }
  say(`installed ${packages.join(' and ')} in ${result.seconds} s`)
}
