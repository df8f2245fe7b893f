// Opens the way into the kernel: libnftables in process, or spawned nft where that cannot be loaded.
//
// Whether it works at all is tried here, with a listing and a transaction that the kernel judges and does not keep, so
// that a missing right or module is told in one line at the start. **Invariant:** what is returned has worked once.
import { readFileSync } from 'node:fs'
import { PicketError } from '../lib/errors.ts'
import { objectsOf } from '../nft/listing.ts'
import type { Kernel } from './kernel.ts'
import { LibnftablesRunner } from './libnftables.ts'
import { NftProcessRunner, nftVersion } from './nft-process.ts'
import { firstError, type Runner } from './runner.ts'
import { DEADLINES, TextKernel, type Deadlines } from './text-kernel.ts'

export type KernelAccess = 'auto' | 'libnftables' | 'nft'

export interface OpenKernelOptions {
  readonly access: KernelAccess
  /** Path of the network namespace to work in, in place of the process's own. */
  readonly netns?: string
  /** `listing`: whether the kernel takes what is needed is left to the caller to find out. */
  readonly trial?: 'listing' | 'transaction'
  /** Told what was chosen where that is not the first choice; one sentence. */
  readonly onNote?: (text: string) => void
  readonly deadlines?: Deadlines
}

/** Milliseconds for the trial: modules may have to be loaded. */
const TRIAL_DEADLINE = 15_000

const TRIAL = `add table inet picket-trial
add set inet picket-trial addresses { typeof ip saddr; flags interval; }
add chain inet picket-trial forward { type filter hook forward priority filter - 10; policy accept; }
add rule inet picket-trial forward ct state invalid ip saddr @addresses counter drop
`

/** Throws PicketError: NotPermitted, NoNftables (the kernel), NoNft (the program), NoLibnftables. */
export async function openKernel(options: OpenKernelOptions): Promise<Kernel> {
  const { description, runner } = await openRunner(options)
  return new TextKernel(description, runner, options.deadlines ?? DEADLINES, options.netns)
}

export interface OpenedRunner {
  /** `libnftables 1.0.6` */
  readonly description: string
  readonly runner: Runner
}

/** The way in alone, for whoever only looks: as openKernel. */
export async function openRunner(options: Omit<OpenKernelOptions, 'deadlines'>): Promise<OpenedRunner> {
  const { access, netns, onNote, trial = 'transaction' } = options
  // Asked first: libnftables itself writes about it to standard error, past its error buffer.
  if (!mayAdminister()) throw notPermitted('this process lacks CAP_NET_ADMIN')
  if (access !== 'nft') {
    const runner = new LibnftablesRunner(netns)
    const tried = await tryOut(runner, trial)
    if (tried.kind === 'works') return { description: `libnftables ${tried.version}`, runner }
    await runner.close()
    if (tried.kind === 'refused') throw tried.error
    if (access === 'libnftables') {
      throw new PicketError('NoLibnftables', `libnftables cannot be used: ${tried.message}; install libnftables1, or set kernelAccess to nft`)
    }
    onNote?.(`libnftables cannot be used (${tried.message}); nft is spawned for each commit instead, which is slower`)
  }
  if ((await nftVersion()) === null) {
    const missing = access === 'nft' ? 'there is no program nft' : 'there is neither a usable libnftables.so.1 nor the program nft'
    throw new PicketError('NoNft', `${missing} on this machine; install the package nftables`)
  }
  const runner = new NftProcessRunner(netns)
  const tried = await tryOut(runner, trial)
  if (tried.kind === 'works') return { description: `nft ${tried.version}`, runner }
  await runner.close()
  throw tried.kind === 'refused' ? tried.error : new PicketError('NoNft', `the program nft does not answer: ${tried.message}`)
}

type Tried =
  | { readonly kind: 'works'; readonly version: string }
  /** The kernel said no: another way in would hear the same. */
  | { readonly kind: 'refused'; readonly error: PicketError }
  | { readonly kind: 'unusable'; readonly message: string }

async function tryOut(runner: Runner, depth: 'listing' | 'transaction'): Promise<Tried> {
  const listed = await runner.run({ text: 'list tables', mode: 'json', deadline: TRIAL_DEADLINE })
  if (listed.kind === 'lost') return { kind: 'unusable', message: listed.message }
  if (listed.kind === 'failed') return { kind: 'refused', error: refusal(listed.output, 'list tables') }
  if (depth === 'listing') return { kind: 'works', version: versionOf(listed.output) }
  const trial = await runner.run({ text: TRIAL, mode: 'check', deadline: TRIAL_DEADLINE })
  if (trial.kind === 'lost') return { kind: 'unusable', message: trial.message }
  if (trial.kind === 'failed') return { kind: 'refused', error: refusal(trial.output, TRIAL) }
  return { kind: 'works', version: versionOf(listed.output) }
}

/** What nft or the kernel said at the trial -> who can do what about it. */
export function refusal(output: string, text: string): PicketError {
  const reason = firstError(output, text)
  if (/not permitted|Permission denied/.test(output)) return notPermitted(reason)
  if (/cannot be started/.test(output)) return new PicketError('NoNft', `${reason}; install the packages nftables and util-linux`)
  const advice = 'load the modules nf_tables, nft_ct and nf_conntrack, or use a kernel that has them'
  return new PicketError('NoNftables', `this kernel cannot do what is needed (${reason}); ${advice}`)
}

function notPermitted(reason: string): PicketError {
  return new PicketError('NotPermitted', `no right to change nftables (${reason}); run as root, or with CAP_NET_ADMIN`)
}

const CAP_NET_ADMIN = 12n

/** Whether CAP_NET_ADMIN is effective; true where /proc does not say. */
function mayAdminister(): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readStatus())?.[1]
  return mask === undefined || ((BigInt(`0x${mask}`) >> CAP_NET_ADMIN) & 1n) === 1n
}

function readStatus(): string {
  try {
    return readFileSync('/proc/self/status', 'utf8')
  } catch {
    return ''
  }
}

function versionOf(listing: string): string {
  const metainfo = objectsOf(listing).find(([kind]) => kind === 'metainfo')?.[1]
  return String(metainfo?.['version'] ?? 'of unknown version')
}
