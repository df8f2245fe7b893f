// Builds the CNI plugin with the Go toolchain and calls it as a container runtime does: environment, stdin, stdout.
//
// **Invariant:** nothing is left out of a call but what a test takes out; one call is one process.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { named, type RealPod } from '../support/real-objects.ts'
import { containerOf } from '../support/gate-client.ts'

export const VERSIONS = ['0.4.0', '1.0.0', '1.1.0'] as const
const SOURCE = path.resolve(import.meta.dirname, '../../src/cni')

/** Path of the program. Throws where there is no Go. */
export function buildPlugin(): string {
  const target = path.join(mkdtempSync(path.join(os.tmpdir(), 'picket-cni-')), 'picket-cni')
  const go = (...args: readonly string[]) => spawnSync('go', args, { cwd: SOURCE, encoding: 'utf8', env: { ...process.env, CGO_ENABLED: '0' } })
  for (const args of [['vet', './...'], ['build', '-trimpath', '-ldflags', '-s -w', '-o', target, '.']]) {
    const { error, status, stdout, stderr } = go(...args)
    if (error !== undefined) throw new Error(`go: ${error.message}: the CNI plugin cannot be built here, and is not tested therefore`)
    if (status !== 0) throw new Error(`go ${args[0]}: ${stdout}${stderr}`)
  }
  return target
}

export interface Called {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  /** Milliseconds. */
  readonly ms: number
}

/** What is printed on stdout where a command fails. */
export interface Failure {
  readonly cniVersion: string
  readonly code: number
  readonly msg: string
  readonly details?: string
}

export interface Call {
  /** Laid over what a runtime sets; undefined takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Laid over the network configuration. */
  readonly config?: Readonly<Record<string, unknown>>
  /** In place of the configuration. */
  readonly stdin?: string
}

/** What the plugins before ours say of the pod. */
export function resultOf(pod: RealPod, hostInterfaces: readonly string[], version: string): object {
  const interfaces = [...hostInterfaces.map((name) => ({ name, mac: '02:00:00:00:00:01' })), { name: 'eth0', mac: '02:00:00:00:00:02', sandbox: '/run/netns/x' }]
  const ips = pod.addresses.map((address) => {
    const six = address.includes(':')
    return { ...(version === '0.4.0' ? { version: six ? '6' : '4' } : {}), address: `${address}/${six ? 64 : 24}`, gateway: six ? 'fd00:88::' : '10.88.0.254', interface: hostInterfaces.length }
  })
  return { cniVersion: version, interfaces, ips, routes: [{ dst: '0.0.0.0/0' }], dns: { nameservers: ['10.96.0.10'] } }
}

export function configOf(pod: RealPod, hostInterfaces: readonly string[], socket: string, version: string): object {
  return { cniVersion: version, name: 'pods', type: 'picket-cni', socket, timeout: '8s', prevResult: resultOf(pod, hostInterfaces, version) }
}

export function environmentOf(pod: RealPod): Readonly<Record<string, string>> {
  const { namespace, name } = named(pod.key)
  const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=${containerOf(pod)};K8S_POD_UID=${pod.uid}`
  return { CNI_CONTAINERID: containerOf(pod), CNI_NETNS: '/run/netns/x', CNI_IFNAME: 'eth0', CNI_ARGS: args, CNI_PATH: '/opt/cni/bin' }
}

/** A call that runs. */
export interface Running {
  readonly done: Promise<Called>
  /** The largest memory that it has had so far, in bytes; 0 where it has ended. */
  peak(): number
}

export function start(program: string, env: Readonly<Record<string, string | undefined>>, stdin: string): Running {
  const began = performance.now()
  const child = spawn(program, [], { env: Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined)) })
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (part: Buffer) => stdout.push(part))
  child.stderr.on('data', (part: Buffer) => stderr.push(part))
  // A program that does not read its input is no reason to end.
  child.stdin.on('error', () => undefined)
  child.stdin.end(stdin)
  const done = new Promise<Called>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString(), ms: performance.now() - began }))
  })
  return { done, peak: () => peakOf(child.pid) }
}

function peakOf(pid: number | undefined): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
