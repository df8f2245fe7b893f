// Scene 3: a policy is edited while traffic runs, and edited back.
//
// Flows of numbered packets run all the time; the edit concerns two of them, and the others must not notice.
// **Invariant:** times are from the moment the file was saved to the moment the first packet with another fate was sent.
import { PicketError } from '../lib/errors.ts'
import { flowFacts, flowName, lossFaults, RATE, RunningFlows, timelineLines, type FlowPlan, type MeasuredFlow } from './demo-flows.ts'
import type { Scene } from './demo-scenes.ts'
import { POLICIES_FOLDER } from './demo-stage.ts'
import type { Style } from './demo-style.ts'
import { columnLines, grouped } from './demo-tables.ts'

const FILE = `${POLICIES_FOLDER}/api.yaml`
/** One word, in the rule that lets the namespace of team reports send events to api. */
const EDIT_FROM = 'team: reports'
const EDIT_TO = 'team: nobody'
/** How long traffic runs before, between and after the edits. */
const PAUSE_MS = 900
/** A change that takes longer than this has not taken effect while traffic ran. */
const MOST_MS = 2_000

const EDITED: readonly FlowPlan[] = [
  { from: 'reports/nightly', to: 'shop/api', protocol: 'UDP', port: 8125, family: 4 },
  { from: 'reports/nightly', to: 'shop/api', protocol: 'UDP', port: 8125, family: 6 },
]
const UNTOUCHED: readonly FlowPlan[] = [
  { from: 'shop/front', to: 'shop/api', protocol: 'UDP', port: 8125, family: 4 },
  { from: 'shop/front', to: 'shop/api', protocol: 'UDP', port: 8125, family: 6 },
  { from: 'reports/nightly', to: 'shop/db', protocol: 'TCP', port: 5432, family: 4 },
]

interface EditFacts {
  /** From the first edit to the first packet that was denied; from the second to the first that was allowed again. Null: there was none. */
  readonly deniedAfterMs: number | null
  readonly allowedAfterMs: number | null
  readonly denied: number
  /** Lost outside of that one span. */
  readonly otherwise: number
}

interface EditedFlow {
  readonly flow: MeasuredFlow
  readonly facts: EditFacts
  readonly faults: readonly string[]
}

export const EDIT: Scene = {
  id: 'edit',
  title: 'A policy is edited while traffic runs',
  async play(stage, teller) {
    const { style } = teller
    const text = stage.read(FILE)
    const edited = text.replace(EDIT_FROM, EDIT_TO)
    if (edited === text) throw new PicketError('OtherShop', `${FILE} does not say "${EDIT_FROM}", which this scene edits`)
    teller.say(
      `${EDITED.length + UNTOUCHED.length} flows of numbered packets, ${RATE} a second each. While they run, one word of ${FILE} is edited, ` +
        'so that the namespace reports may not send events to api any more; then it is edited back.',
    )
    const running = await RunningFlows.start(stage, [...EDITED, ...UNTOUCHED])
    await pause()
    const deniedAt = stage.save(new Map([[FILE, edited]]))
    const firstMs = await stage.settle()
    await pause()
    const allowedAt = stage.save(new Map([[FILE, text]]))
    const secondMs = await stage.settle()
    await pause()
    const flows = await running.stop()
    const concerned = flows.slice(0, EDITED.length).map((flow) => measureEdit(style, flow, deniedAt, allowedAt))
    const others = flows.slice(EDITED.length)
    teller.block(timelineLines(flows, [{ at: deniedAt, label: EDIT_TO }, { at: allowedAt, label: EDIT_FROM }], style, teller.blockWidth))
    teller.block(tableLines(style, concerned, others))
    const packets = flows.reduce((sum, one) => sum + one.stats.sent, 0)
    const lost = concerned.reduce((sum, one) => sum + one.facts.otherwise, 0) + others.reduce((sum, one) => sum + one.stats.lost, 0)
    const afterMs = (of: (facts: EditFacts) => number | null): string => concerned.map(({ facts }) => String(of(facts) ?? 'never')).join(' and ')
    return {
      facts: {
        settleMs: [firstMs, secondMs],
        packets,
        lostOtherwise: lost,
        edited: concerned.map((one) => ({ ...flowFacts(one.flow), ...one.facts })),
        untouched: others.map(flowFacts),
      },
      summary:
        `First packet denied ${afterMs((one) => one.deniedAfterMs)} ms after the edit (IPv4 and IPv6), allowed again ` +
        `${afterMs((one) => one.allowedAfterMs)} ms after the second; otherwise ${grouped(lost)} of ${grouped(packets)} packets were lost.`,
      faults: [...concerned.flatMap((one) => one.faults), ...others.flatMap((one) => lossFaults(style, one))],
    }
  },
}

/** What became of a flow that was denied for a while. */
export function measureEdit(style: Style, flow: MeasuredFlow, deniedAt: number, allowedAt: number): EditedFlow {
  const { silences, sent, answered } = flow.stats
  const span = silences.find((one) => one.firstSentAt >= deniedAt && one.firstSentAt < allowedAt) ?? null
  const denied = span === null ? 0 : span.last - span.first + 1
  const otherwise = sent - answered - denied
  const deniedAfterMs = span === null ? null : Math.round(span.firstSentAt - deniedAt)
  const allowedAfterMs = span === null || span.nextSentAt === null ? null : Math.round(span.nextSentAt - allowedAt)
  const name = flowName(style, flow.plan)
  const late = (ms: number | null): boolean => ms === null || ms > MOST_MS || ms < 0
  const faults = [
    ...(late(deniedAfterMs) ? [`${name}: first packet denied after the edit: ${textOf(deniedAfterMs)}`] : []),
    ...(late(allowedAfterMs) ? [`${name}: first packet allowed after the edit was taken back: ${textOf(allowedAfterMs)}`] : []),
    ...(otherwise > 0 ? [`${name}: ${otherwise} of ${sent} packets were lost that nothing denied`] : []),
  ]
  return { flow, facts: { deniedAfterMs, allowedAfterMs, denied, otherwise }, faults }
}

function textOf(ms: number | null): string {
  return ms === null ? 'none' : `${ms} ms, expected 0 to ${MOST_MS} ms`
}

function tableLines(style: Style, concerned: readonly EditedFlow[], others: readonly MeasuredFlow[]): readonly string[] {
  const ms = (value: number | null): string => (value === null ? '' : `${value} ms`)
  return columnLines(style, ['flow', 'packets', 'denied', 'first after', 'again after', 'lost'], [
    ...concerned.map(({ flow: { plan, stats }, facts }) => {
      const times = [ms(facts.deniedAfterMs), ms(facts.allowedAfterMs)]
      return [flowName(style, plan), grouped(stats.sent), grouped(facts.denied), ...times, grouped(facts.otherwise)]
    }),
    ...others.map(({ plan, stats }) => [flowName(style, plan), grouped(stats.sent), '0', '', '', grouped(stats.lost)]),
  ])
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
