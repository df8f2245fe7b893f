// Scene 6: a rule of `inet picket` is deleted by hand, under traffic, and comes back.
//
// The rule is the one that lets front's events into api. **Invariant:** who deleted it is told by the kernel and compared
// with the process that did; the rule is back only where the whole table lists as it did before.
import { PicketError } from '../lib/errors.ts'
import { flowFacts, flowName, leakFaults, lossFaults, RunningFlows, type FlowPlan, type MeasuredFlow } from './demo-flows.ts'
import type { Scene } from './demo-scenes.ts'
import { wallTime, type Stage } from './demo-stage.ts'
import { beside, type Style } from './demo-style.ts'
import { columnLines, grouped } from './demo-tables.ts'

/** The policies of the chain, as its comment names them. */
const OWNER = 'shop/api'
const PAUSE_MS = 400
/** Put right within this time. */
const MOST_MS = 5_000

const HIT: readonly FlowPlan[] = ([4, 6] as const).map((family) => ({ from: 'shop/front', to: 'shop/api', protocol: 'UDP', port: 8125, family }))
const OTHERS: readonly FlowPlan[] = [
  { from: 'shop/api', to: 'shop/db', protocol: 'TCP', port: 5432, family: 4 },
  { from: 'reports/nightly', to: 'shop/db', protocol: 'TCP', port: 5432, family: 6 },
]
const DENIED: readonly FlowPlan[] = [
  { from: 'outside', to: 'shop/api', protocol: 'UDP', port: 8125, family: 4 },
  { from: 'shop/db', to: 'shop/api', protocol: 'UDP', port: 8125, family: 6 },
]

export const REPAIR: Scene = {
  id: 'repair',
  title: 'A rule that somebody deletes comes back',
  async play(stage, teller) {
    const { style } = teller
    const node = stage.nodeOf(OWNER)
    const before = await listing(stage, node)
    const rule = findRule(before)
    const earlier = (await stage.status(node)).repairs
    const running = await RunningFlows.start(stage, [...HIT, ...OTHERS, ...DENIED])
    await pause()
    const deletedAt = wallTime()
    const { pid } = await stage.nft(node, ['delete', 'rule', 'inet', 'picket', rule.chain, 'handle', rule.handle])
    const told = await untilRepaired(stage, node, earlier, deletedAt + MOST_MS)
    const backMs = told === null ? null : Math.max(0, Math.round(Date.parse(told.at) - deletedAt))
    const same = withoutTraces(await listing(stage, node)) === withoutTraces(before)
    await pause()
    const flows = await running.stop()
    const hit = flows.slice(0, HIT.length).map((flow) => measureHit(style, flow, deletedAt))
    const others = flows.slice(HIT.length, HIT.length + OTHERS.length)
    const denied = flows.slice(HIT.length + OTHERS.length)
    teller.say(`Under traffic, somebody on ${node} deletes the rule of ${OWNER} that leads to its allowances:`)
    teller.block([...beside('nft delete rule', 17, `inet picket ${rule.chain} handle ${rule.handle} (process ${pid})`, teller.blockWidth), ...beside('it said', 17, rule.text, teller.blockWidth)])
    teller.say('What the status of the agent there tells then:')
    teller.block(toldLines(told, teller.blockWidth).map((line) => style.ink('note', line)))
    teller.block(tableLines(style, hit, others, denied))
    const lost = sum(others, 'lost')
    const leaked = sum(denied, 'answered')
    return {
      facts: {
        node,
        chain: rule.chain,
        rule: rule.text,
        backMs,
        deletedBy: pid,
        told,
        hit: hit.map(({ flow, deniedMs, denied: count, otherwise }) => ({ ...flowFacts(flow), deniedMs, denied: count, otherwise })),
        others: others.map(flowFacts),
        lost,
        denied: denied.map(flowFacts),
        leaked,
      },
      summary:
        `The rule was back within ${backMs} ms, and the agent named who deleted it. Of other allowed packets ${grouped(lost)} of ` +
        `${grouped(sum(others, 'sent'))} were lost, of denied ones ${grouped(leaked)} of ${grouped(sum(denied, 'sent'))} leaked.`,
      faults: [
        ...toldFaults(told, rule.chain, pid, backMs),
        ...(same ? [] : [`the table of ${node} is not what it was before`]),
        ...hit.flatMap((one) => one.faults),
        ...others.flatMap((one) => lossFaults(style, one)),
        ...denied.flatMap((one) => leakFaults(style, one)),
        ...(await stage.problems()),
      ],
    }
  },
}

interface Told {
  readonly at: string
  readonly by: string
  readonly what: readonly string[]
}

function toldLines(told: Told | null, width: number): readonly string[] {
  const pairs = told === null ? [['lastRepair', 'nothing']] : [['by', told.by], ['at', told.at], ...told.what.map((one) => ['what', one])]
  return pairs.flatMap(([key = '', value = '']) => beside(key, 17, value, width))
}

/** What keeps the agent from having put it right in time, and told it. */
export function toldFaults(told: Told | null, chain: string, pid: number, backMs: number | null): readonly string[] {
  if (told === null || backMs === null) return [`the agent repaired nothing within ${MOST_MS} ms`]
  return [
    ...(backMs <= MOST_MS ? [] : [`the rule was back after ${backMs} ms, expected at most ${MOST_MS} ms`]),
    ...(told.by === `nft (process ${pid})` ? [] : [`the agent says that ${told.by} changed the table, expected nft (process ${pid})`]),
    ...(told.what.some((one) => one.includes(chain)) ? [] : [`the agent does not name ${chain}, but ${told.what.join(', ')}`]),
  ]
}

interface HitFlow {
  readonly flow: MeasuredFlow
  /** From the first packet that was denied to the first that was allowed again; 0: none was denied. Null: it never was again. */
  readonly deniedMs: number | null
  readonly denied: number
  /** Lost outside of that span. */
  readonly otherwise: number
  readonly faults: readonly string[]
}

/** What became of a flow whose rule was away for a while: one span, which begins after the deletion, and ends. */
export function measureHit(style: Style, flow: MeasuredFlow, deletedAt: number): HitFlow {
  const { silences, sent, answered } = flow.stats
  const span = silences.find((one) => one.lastSentAt >= deletedAt) ?? null
  const denied = span === null ? 0 : span.last - span.first + 1
  const otherwise = sent - answered - denied
  const deniedMs = span === null ? 0 : span.nextSentAt === null ? null : Math.round(span.nextSentAt - span.firstSentAt)
  const name = flowName(style, flow.plan)
  const faults = [
    ...(answered === 0 ? [`${name}: no packet was answered`] : []),
    ...(deniedMs === null ? [`${name}: never flowed again`] : []),
    ...(deniedMs !== null && deniedMs > MOST_MS ? [`${name}: was denied for ${deniedMs} ms, expected at most ${MOST_MS} ms`] : []),
    ...(otherwise > 0 ? [`${name}: ${otherwise} of ${sent} packets were lost while the rule was there`] : []),
  ]
  return { flow, deniedMs, denied, otherwise, faults }
}

async function listing(stage: Stage, node: string): Promise<string> {
  return (await stage.nft(node, ['-a', 'list', 'table', 'inet', 'picket'])).out
}

/** Handles and counts differ from one writing to the next; what packets put into sets differs from moment to moment. */
function withoutTraces(text: string): string {
  return text.replace(/ # handle \d+/g, '').replace(/packets \d+ bytes \d+/g, '').split(/\n\t\}\n/).filter((object) => !object.includes('flags dynamic')).sort().join('\n\t}\n')
}

/** The first rule of the chain that holds what may come in to the policy's pods. */
function findRule(text: string): { readonly chain: string; readonly handle: string; readonly text: string } {
  const found = new RegExp(`chain (ingress/\\S+) \\{[^}]*?comment "[^"]*\\b${OWNER}\\b[^"]*"\\n\\s*(\\S[^}\\n]*?) # handle (\\d+)`).exec(text)
  const [, chain, rule, handle] = found ?? []
  if (chain === undefined || rule === undefined || handle === undefined) throw new PicketError('OtherTable', `the table has no chain of ${OWNER}, whose rule this scene deletes`)
  return { chain, handle, text: rule }
}

/** What the agent tells of the repair; null where it tells none until then. */
async function untilRepaired(stage: Stage, node: string, earlier: number, until: number): Promise<Told | null> {
  for (;;) {
    const { repairs, lastRepair } = await stage.status(node)
    if (repairs > earlier && lastRepair !== null) return lastRepair
    if (wallTime() > until) return null
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function sum(flows: readonly MeasuredFlow[], what: 'sent' | 'lost' | 'answered'): number {
  return flows.reduce((total, one) => total + one.stats[what], 0)
}

function tableLines(style: Style, hit: readonly HitFlow[], others: readonly MeasuredFlow[], denied: readonly MeasuredFlow[]): readonly string[] {
  return columnLines(style, ['flow', 'packets', 'without the rule', 'lost', 'leaked'], [
    ...hit.map(({ flow: { plan, stats }, deniedMs, otherwise }) => [flowName(style, plan), grouped(stats.sent), deniedMs === null ? '' : `${deniedMs} ms`, grouped(otherwise), '']),
    ...others.map(({ plan, stats }) => [flowName(style, plan), grouped(stats.sent), '', grouped(stats.lost), '']),
    ...denied.map(({ plan, stats }) => [flowName(style, plan), grouped(stats.sent), '', '', grouped(stats.answered)]),
  ])
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
