// The cluster's programs, from pinned Go modules: built once, kept in the cache by what they are made of.
//
// go.mod, go.sum and programs/ -> one binary that is Kubernetes, etcd and kubectl by its name, CoreDNS, and what runs in pods.
// **Invariant:** a folder in the cache is whole: it gets its name when everything in it is there.
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, utimesSync } from 'node:fs'
import path from 'node:path'
import { PicketError } from '../../src/lib/errors.ts'
import { CACHE } from './layout.ts'
import { onPath } from './processes.ts'
import { stepOf, type Say } from './progress.ts'

const KUBERNETES = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy', 'kubectl'] as const
export type ProgramName = (typeof KUBERNETES)[number] | 'coredns' | 'pod'

export interface Programs {
  /** Path of a program. */
  of(name: ProgramName): string
  /** Of Kubernetes: `v1.37.2`. */
  readonly version: string
}

const here = import.meta.dirname

export function goIsThere(): boolean {
  return onPath('go')
}

/** Builds what is not in the cache: some fifteen minutes on two cores, from nothing. */
export async function ensurePrograms(say: Say): Promise<Programs> {
  const version = versionOf('k8s.io/kubernetes')
  const folder = path.join(CACHE, 'programs', digest())
  const programs: Programs = { version, of: (name) => path.join(folder, name) }
  if (existsSync(folder)) {
    utimesSync(folder, new Date(), new Date())
    return programs
  }
  if (!goIsThere()) throw new PicketError('NoGo', 'the cluster\'s programs are built from Go modules, and there is no "go" here: install Go 1.24 or later (https://go.dev/dl), then run this again')
  const making = `${folder}.${process.pid}`
  mkdirSync(making, { recursive: true })
  try {
    const [, minor = ''] = version.split('.')
    const info = { gitVersion: version, gitMajor: '1', gitMinor: minor, gitTreeState: 'clean' }
    const stamps = Object.entries(info).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    for (const [what, flags] of [['pod', []], ['kubernetes', stamps], ['coredns', []]] as const) {
      await stepOf(say, `building ${what} (once; Go modules are fetched)`, ['go', 'build', '-trimpath', '-ldflags', ['-s -w', ...flags].join(' '), '-o', path.join(making, what), `./programs/${what}`], {
        cwd: here,
        env: { CGO_ENABLED: '0' },
      })
    }
    for (const name of KUBERNETES) symlinkSync('kubernetes', path.join(making, name))
    if (!existsSync(folder)) renameSync(making, folder)
  } finally {
    rmSync(making, { recursive: true, force: true })
  }
  return programs
}

/** The version that go.mod pins of a module. */
export function versionOf(module: string): string {
  const found = new RegExp(`^\\s+${module.replaceAll('.', '\\.')} (v\\S+)`, 'm').exec(readFileSync(path.join(here, 'go.mod'), 'utf8'))?.[1]
  if (found === undefined) throw new Error(`go.mod does not name ${module}`)
  return found
}

function digest(): string {
  const hash = createHash('sha256')
  for (const file of ['go.mod', 'go.sum', ...globSync('programs/**/*.go', { cwd: here }).sort()]) hash.update(`${file}\0`).update(readFileSync(path.join(here, file)))
  return hash.update(process.arch).digest('hex').slice(0, 16)
}
