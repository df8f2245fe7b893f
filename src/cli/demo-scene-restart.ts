// Scene 7: all agents are killed under load, stay away for a while, and are started again.
//
// The rules are the kernel's, so nothing changes for any packet. **Invariant:** allowed flows may not lose a packet and
// denied ones may not pass one, from before the kill until after every agent says again that its kernel is right.
import { flowFacts, flowName, leakFaults, lossFaults, RunningFlows, timelineLines, type FlowPlan, type MeasuredFlow } from './demo-flows.ts'
import { judge, SHOP_INTENT } from './demo-reach.ts'
import type { Scene } from './demo-scenes.ts'
import { wallTime } from './demo-stage.ts'
import type { Style } from './demo-style.ts'
import { columnLines, grouped } from './demo-tables.ts'

const ALLOWED: readonly FlowPlan[] = [
  { from: 'shop/front', to: 'shop/api', protocol: 'UDP', port: 8125, family: 4 },
  { from: 'reports/nightly', to: 'shop/api', protocol: 'UDP', port: 8125, family: 6 },
  { from: 'shop/api', to: 'shop/db', protocol: 'TCP', port: 5432, family: 4 },
  { from: 'outside', to: 'shop/front', protocol: 'TCP', port: 8080, family: 6 },
]
/** Both protocols and both families of what is allowed; UDP only of what is denied, since no connection comes about. */
const DENIED: readonly FlowPlan[] = [
  { from: 'outside', to: 'shop/api', protocol: 'UDP', port: 8125, family: 4 },
  { from: 'shop/db', to: 'shop/api', protocol: 'UDP', port: 8125, family: 6 },
  { from: 'shop/db', to: 'outside', protocol: 'UDP', port: 7061, family: 4 },
]
/** How long traffic runs before the kill and after the agents are back. */
const PAUSE_MS = 500

export const RESTART: Scene = {
  id: 'restart',
  title: 'Every agent is killed and started again, under load',
  async play(stage, teller) {
    const { style } = teller
    const { agents } = stage
    const { nodes } = agents
    teller.say(
      `${ALLOWED.length} flows that are allowed and ${DENIED.length} that are denied run all the time. The agents of ${nodes.join(', ')} ` +
        'get SIGKILL; while none of them runs, everybody asks everybody; then they are started again.',
    )
    const running = await RunningFlows.start(stage, [...ALLOWED, ...DENIED])
    await pause()
    const killedAt = wallTime()
    await Promise.all(nodes.map((node) => agents.kill(node)))
    const { cells } = await stage.matrix()
    const awayMs = Math.round(wallTime() - killedAt)
    const startedAt = wallTime()
    await agents.restartEnded()
    await stage.settle()
    const backMs = Math.round(wallTime() - startedAt)
    await pause()
    const flows = await running.stop()
    const allowed = flows.slice(0, ALLOWED.length)
    const denied = flows.slice(ALLOWED.length)
    const judged = judge(cells, SHOP_INTENT)
    const moments = [{ at: killedAt, label: 'SIGKILL' }, { at: startedAt, label: 'start' }, { at: startedAt + backMs, label: 'all back' }]
    teller.block(timelineLines(flows, moments, style, teller.blockWidth))
    teller.block(tableLines(style, allowed, denied))
    teller.say(
      `No agent ran for ${awayMs} ms, and ${judged.pairs - judged.faults.length} of ${judged.pairs} pairs were as before in that time; ` +
        `${backMs} ms after their start all of them said that the kernel is right.`,
    )
    const lost = total(allowed, 'lost')
    const leaked = total(denied, 'answered')
    return {
      facts: { awayMs, backMs, lost, allowed: allowed.map(flowFacts), leaked, denied: denied.map(flowFacts) },
      summary: `${grouped(lost)} of ${grouped(total(allowed, 'sent'))} packets lost, ${grouped(leaked)} of ${grouped(total(denied, 'sent'))} leaked.`,
      faults: [
        ...judged.faults.map((one) => `while no agent ran: ${one}`),
        ...allowed.flatMap((one) => lossFaults(style, one)),
        ...denied.flatMap((one) => leakFaults(style, one)),
        ...(await stage.problems()),
      ],
    }
  },
}

function total(flows: readonly MeasuredFlow[], what: 'sent' | 'lost' | 'answered'): number {
  return flows.reduce((sum, one) => sum + one.stats[what], 0)
}

function tableLines(style: Style, allowed: readonly MeasuredFlow[], denied: readonly MeasuredFlow[]): readonly string[] {
  const row = ({ plan, stats }: MeasuredFlow, ...last: readonly string[]): readonly string[] => {
    return [flowName(style, plan), last[0] ?? '', grouped(stats.sent), grouped(stats.answered), ...last.slice(1)]
  }
  return columnLines(style, ['flow', 'is', 'packets', 'answered', 'lost', 'leaked'], [
    ...allowed.map((one) => row(one, 'allowed', grouped(one.stats.lost), '')),
    ...denied.map((one) => row(one, 'denied', '', grouped(one.stats.answered))),
  ])
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
