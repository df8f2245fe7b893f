// `picket check --local` as a process in a namespace, held to leaving it as it is.
//
// **Invariant:** the namespace's tables, with their handles and without what packets count, and its interfaces are the same before and after every check.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import type { Finding } from '../../src/check/finding.ts'
import type { NodeReport } from '../../src/check/node-report.ts'
import { getOver } from '../../src/lab/agent-status.ts'
import { ownCommand } from '../../src/lab/places.ts'

export interface Ran {
  readonly status: number | null
  readonly report: NodeReport
}

export function enter(netns: string): readonly string[] {
  return [`--net=/run/netns/${netns}`, '--']
}

export function inside(netns: string, command: readonly string[], input = ''): string {
  return execFileSync('nsenter', [...enter(netns), ...command], { input, encoding: 'utf8', stdio: 'pipe' })
}

/** `prefix` is put before the command. */
export function checkIn(netns: string, socket: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}, prefix: readonly string[] = []): Ran {
  const state = (): string => `${inside(netns, ['nft', '-a', '-s', 'list', 'ruleset'])}${inside(netns, ['ip', '-d', 'addr'])}`
  const before = state()
  const ran = spawnSync('nsenter', [...enter(netns), ...prefix, ...ownCommand(), 'check', '--local', '-o', 'json', '--socket', socket, ...args], { encoding: 'utf8', env: { ...process.env, ...env } })
  const after = state()
  if (after !== before) assert.fail(`the check changed something: ${after.length} and not ${before.length} characters`)
  assert.equal(ran.stderr, '')
  return { status: ran.status, report: JSON.parse(ran.stdout) as NodeReport }
}

/** Ready, and the canary's interfaces are there: it makes them right after that. */
export async function agentReady(socket: string): Promise<void> {
  const told = async (what: string): Promise<string | null> => {
    const answer = await getOver(socket, what, 1_000).catch(() => null)
    return answer?.status === 200 ? answer.body : null
  }
  for (const until = Date.now() + 20_000; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
    assert.ok(Date.now() < until, 'the agent is not ready')
    const status = (await told('/readyz')) === null ? null : await told('/status')
    if (status !== null && (JSON.parse(status) as { readonly canary?: { readonly result: string } }).canary?.result !== 'pending') return
  }
}

/** `level: found`, a line each. */
export function told({ report }: Ran, check: Finding['check']): string {
  return report.findings.filter((one) => one.check === check).map(({ level, found }) => `${level}: ${found}`).join('\n')
}
