// `npm run soak -- [--minutes N] [--seed N] [--attachment veth|bridge] [--rate N] [--output json]`: everything at once, for a
// while, with real packets, each of which is judged.
//
// Rounds of at most five minutes, each with a cluster of its own, by turns on both attachments. **Invariant:** the last
// line on stdout is the answer, progress goes to stderr; the status is 0 only where nothing was wrong.
import { parseArgs } from 'node:util'
import { formatTable } from '../../src/cli/output.ts'
import type { PodAttachment } from '../../src/lab/testbed.ts'
import { messageOf } from '../../src/lib/errors.ts'
import { flatness } from './flatness.ts'
import { PACKET_KINDS } from './judge.ts'
import { runRound, type RoundResult } from './round.ts'

const HELP = `npm run soak -- [--minutes N] [--seed N] [--attachment veth|bridge] [--interval MS] [--agent-flag F] [--output table|json]

Random clusters, policies, edits, kills of the agent and changes by others, under real traffic; what becomes of each packet
is held against the states that were possible at its moment. Needs root.

  --minutes N      how long edits and mishaps go on, all rounds together (default 10)
  --seed N         of the first round; the next ones count on (default: the time)
  --attachment A   pods on veth or on a bridge only (default: by turns)
  --interval MS    between two datagrams of a flow (default 100)
  --agent-flag F   a flag of every agent, for example --agent-flag=--kernel-access=nft; may stand several times
  --output FORM    table or json
`
const ROUND_MINUTES = 5

interface Flags {
  readonly minutes: number
  readonly seed: number
  readonly attachments: readonly PodAttachment[]
  readonly intervalMs: number
  readonly agentFlags: readonly string[]
  readonly output: string
}

function readFlags(args: readonly string[]): Flags | null {
  const text = { type: 'string' } as const
  const { values } = parseArgs({ args: [...args], options: { minutes: text, seed: text, attachment: text, interval: text, 'agent-flag': { ...text, multiple: true }, output: { ...text, short: 'o' }, help: { type: 'boolean', short: 'h' } } })
  if (values.help === true) return null
  const number = (name: 'minutes' | 'seed' | 'interval', otherwise: number): number => {
    const given = values[name]
    if (given === undefined) return otherwise
    const value = Number(given)
    const isRight = /^\d+(\.\d+)?$/.test(given) && value > 0 && value <= 1e9 && (name === 'minutes' || Number.isInteger(value))
    if (!isRight) throw new TypeError(`--${name}: expected a number above 0, got "${given}"`)
    return value
  }
  const choice = (name: 'attachment' | 'output', of: readonly string[]): string | undefined => {
    const given = values[name]
    if (given !== undefined && !of.includes(given)) throw new TypeError(`--${name}: expected ${of.join(' or ')}, got "${given}"`)
    return given
  }
  const attachment = choice('attachment', ['veth', 'bridge']) as PodAttachment | undefined
  return {
    minutes: number('minutes', 10),
    seed: number('seed', Math.floor(Date.now() / 1000) % 1_000_000),
    attachments: attachment === undefined ? ['veth', 'bridge'] : [attachment],
    intervalMs: number('interval', 100),
    agentFlags: values['agent-flag'] ?? [],
    output: choice('output', ['table', 'json']) ?? 'table',
  }
}

async function main(flags: Flags): Promise<number> {
  const note = (text: string): void => void process.stderr.write(`  ${text}\n`)
  const rounds = Math.ceil(flags.minutes / ROUND_MINUTES / flags.attachments.length) * flags.attachments.length
  const results: RoundResult[] = []
  for (let i = 0; i < rounds; i++) {
    const attachment = flags.attachments[i % flags.attachments.length] as PodAttachment
    const result = await runRound({ seed: flags.seed + i, attachment, ms: (flags.minutes * 60_000) / rounds, intervalMs: flags.intervalMs, flags: flags.agentFlags, onProgress: note })
    results.push(result)
    const grown = flatness(result.samples)
    const growth = grown.grows ? [`the agent that nobody stopped grows: ${JSON.stringify(grown)}`] : []
    const faults = [...result.faults, ...growth]
    for (const fault of faults) process.stderr.write(`WRONG, seed ${result.seed} on ${attachment}: ${fault}\n`)
    if (faults.length > 0) {
      process.stderr.write(`again: npm run soak -- --seed ${result.seed} --attachment ${attachment} --minutes ${(flags.minutes / rounds).toFixed(1)}\n`)
      tell(flags, results, result.wrong + growth.length)
      return 1
    }
  }
  tell(flags, results, 0)
  return 0
}

function tell({ output }: Flags, results: readonly RoundResult[], faults: number): void {
  const rows = results.map(({ judge, samples, ...result }) => ({ ...result, packets: judge.packets, fates: judge.fates, connections: judge.connections, latestCutMs: judge.latestCutMs, ...flatness(samples) }))
  if (output === 'json') {
    process.stdout.write(`${JSON.stringify({ soak: faults === 0 ? 'clean' : 'wrong', wrong: faults, rounds: rows })}\n`)
    return
  }
  const cells = rows.flatMap((row) => [
    ...PACKET_KINDS.map((kind) => [`${row.seed} ${row.attachment}`, kind, ...(['right', 'open', 'exempt', 'leaked', 'lost'] as const).map((fate) => row.fates[kind][fate])]),
  ])
  process.stdout.write(`${formatTable(['round', 'packets', 'right', 'either', 'exempt', 'leaked', 'lost'], cells)}\n\n`)
  const figures = rows.map((row) => [
    `${row.seed} ${row.attachment}`, row.connections, row.edits, row.replaced, row.kills, row.foreign,
    ...[row.longestHoldMs, row.longestStartMs, row.longestRepairMs, row.latestCutMs].map((ms) => `${ms} ms`),
    row.rssMb === null ? 'too short' : `${row.rssMb.join(' -> ')} MB`,
  ])
  process.stdout.write(`${formatTable(['round', 'connections', 'edits', 'pods replaced', 'kills', 'foreign', 'edit held in', 'start', 'repair', 'cut', 'memory'], figures)}\n\n`)
  const packets = rows.reduce((sum, row) => sum + row.packets, 0)
  process.stdout.write(`${faults === 0 ? 'clean' : `${faults} wrong`}: ${packets} packets judged\n`)
}

try {
  const flags = readFlags(process.argv.slice(2))
  if (flags === null) process.stdout.write(HELP)
  else if (process.getuid?.() !== 0) throw new TypeError('the soak makes network namespaces and needs root: run it as root')
  else process.exit(await main(flags))
} catch (error) {
  // parseArgs throws TypeErrors that say what is wrong.
  process.stderr.write(`picket: ${error instanceof TypeError ? error.message : messageOf(error)}\n`)
  process.exit(2)
}
