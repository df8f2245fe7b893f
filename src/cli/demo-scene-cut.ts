// Scene 4: streams and downloads are cut in mid-flow, because a policy turns to deny.
//
// Their clients only receive, so no packet of theirs meets a policy again: the agent has to find them. Streams beside them,
// one of them from the same server, must not notice. **Invariant:** times are from the moment the agent of the client's
// node called the change committed to the moment the last message arrived.
import { PicketError } from '../lib/errors.ts'
import { flowFacts, flowName, lossFaults, RATE, RunningFlows, timelineLines, type FlowPlan, type MeasuredFlow } from './demo-flows.ts'
import type { Scene } from './demo-scenes.ts'
import { POLICIES_FOLDER, type Stage } from './demo-stage.ts'
import type { Style } from './demo-style.ts'
import { columnLines, grouped } from './demo-tables.ts'

const FILE = `${POLICIES_FOLDER}/nightly.yaml`
/** From here to the end the file says what nightly may reach. */
const ALLOWANCES = '  egress:\n'
const CLIENT = 'reports/nightly'
/** How long streams run before the edit, and how long they are watched after it. */
const PAUSE_MS = 700
/** Replies stop within this time of the commit. */
const MOST_MS = 200
/** A stream from which nothing came for so long does not go on. */
const MOST_QUIET_MS = 400

const both = (plan: Omit<FlowPlan, 'family' | 'direction'>): readonly FlowPlan[] => {
  return ([4, 6] as const).map((family) => ({ ...plan, family, direction: 'download' }))
}
const CUT_FLOWS: readonly FlowPlan[] = [
  ...both({ from: CLIENT, to: 'shop/api', protocol: 'UDP', port: 8125 }),
  ...both({ from: CLIENT, to: 'shop/db', protocol: 'TCP', port: 5432 }),
]
const KEPT_FLOWS: readonly FlowPlan[] = [
  ...both({ from: 'shop/front', to: 'shop/api', protocol: 'UDP', port: 8125 }),
  ...both({ from: 'shop/api', to: 'shop/db', protocol: 'TCP', port: 5432 }),
]

export const CUT: Scene = {
  id: 'cut',
  title: 'Streams and downloads are cut in mid-flow',
  async play(stage, teller) {
    const { style } = teller
    const text = stage.read(FILE)
    const from = text.indexOf(ALLOWANCES)
    if (from < 0) throw new PicketError('OtherShop', `${FILE} does not say "${ALLOWANCES.trim()}", which this scene takes away`)
    teller.say(
      `nightly receives a UDP stream from api and a TCP download from db, front and api the same beside it; ${RATE} messages a second each, ` +
        `and no client says anything more. Then ${FILE} loses its allowances: nightly may reach nobody.`,
    )
    const node = stage.nodeOf(CLIENT)
    const cutBefore = await cutConnections(stage, node)
    const running = await RunningFlows.start(stage, [...CUT_FLOWS, ...KEPT_FLOWS])
    await pause()
    const savedAt = stage.save(new Map([[FILE, text.slice(0, from)]]))
    const settleMs = await stage.settle()
    const committedAt = Date.parse((await stage.status(node)).programmedAt ?? '')
    await pause()
    const newlyCut = (await cutConnections(stage, node)) - cutBefore
    const flows = await running.stop()
    stage.save(new Map([[FILE, text]]))
    await stage.settle()
    const cut = flows.slice(0, CUT_FLOWS.length).map((flow) => measureCut(style, flow, savedAt, committedAt))
    const kept = flows.slice(CUT_FLOWS.length)
    teller.block(timelineLines(flows, [{ at: committedAt, label: 'committed' }], style, teller.blockWidth))
    teller.block(tableLines(style, cut, kept))
    const lost = kept.reduce((sum, one) => sum + one.stats.lost, 0)
    const sent = kept.reduce((sum, one) => sum + one.stats.sent, 0)
    const last = (protocol: 'TCP' | 'UDP'): string => cut.filter(({ flow }) => flow.plan.protocol === protocol).map((one) => String(one.lastAfterMs)).join(' and ')
    return {
      facts: {
        settleMs,
        newlyCut,
        cut: cut.map(({ flow, lastAfterMs }) => ({ ...flowFacts(flow), lastAfterMs })),
        kept: kept.map(flowFacts),
        lost,
      },
      summary:
        `The last packet came ${last('UDP')} ms after the commit (UDP, IPv4 and IPv6), ${last('TCP')} ms (TCP); ` +
        `beside them ${grouped(lost)} of ${grouped(sent)} packets were lost.`,
      faults: [
        ...cut.flatMap((one) => one.faults),
        ...kept.flatMap((one) => [...lossFaults(style, one), ...endFaults(style, one)]),
        // What was asked for the matrices is cut along with it.
        ...(newlyCut >= CUT_FLOWS.length ? [] : [`the agent says that it cut ${newlyCut} connections, expected ${CUT_FLOWS.length} or more`]),
        ...(await stage.problems()),
      ],
    }
  },
}

async function cutConnections(stage: Stage, node: string): Promise<number> {
  return (await stage.status(node)).counts['cutConnections'] ?? 0
}

interface CutFlow {
  readonly flow: MeasuredFlow
  /** From the commit to the last message; below 0 where the kernel's own word came later. Null: there was no message. */
  readonly lastAfterMs: number | null
  readonly faults: readonly string[]
}

/** What became of a stream that was to be cut. */
export function measureCut(style: Style, flow: MeasuredFlow, savedAt: number, committedAt: number): CutFlow {
  const { lastAnswerAt } = flow.stats
  const name = flowName(style, flow.plan)
  if (lastAnswerAt === null) return { flow, lastAfterMs: null, faults: [`${name}: nothing came at all`] }
  const lastAfterMs = Math.round(lastAnswerAt - committedAt)
  const timely = Number.isFinite(lastAfterMs) && lastAfterMs <= MOST_MS
  const faults = [
    ...lossFaults(style, flow),
    ...(lastAnswerAt < savedAt ? [`${name}: nothing came any more before the policy was edited`] : []),
    ...(timely ? [] : [`${name}: the last packet came ${lastAfterMs} ms after the commit, expected at most ${MOST_MS} ms`]),
    ...(flow.endedAt - committedAt > MOST_MS * 2 ? [] : [`${name}: was not watched for long enough after the commit`]),
  ]
  return { flow, lastAfterMs, faults }
}

/** What keeps a stream from having gone on to the end. */
export function endFaults(style: Style, { plan, stats, endedAt }: MeasuredFlow): readonly string[] {
  const quiet = Math.round(endedAt - (stats.lastAnswerAt ?? 0))
  return quiet <= MOST_QUIET_MS ? [] : [`${flowName(style, plan)}: nothing came in the last ${quiet} ms`]
}

function tableLines(style: Style, cut: readonly CutFlow[], kept: readonly MeasuredFlow[]): readonly string[] {
  return columnLines(style, ['flow', 'is then', 'packets', 'lost', 'last after the commit'], [
    ...cut.map(({ flow: { plan, stats }, lastAfterMs }) => {
      return [flowName(style, plan), 'denied', grouped(stats.answered), grouped(stats.lost), lastAfterMs === null ? '' : `${lastAfterMs} ms`]
    }),
    ...kept.map(({ plan, stats }) => [flowName(style, plan), 'allowed', grouped(stats.answered), grouped(stats.lost), '']),
  ])
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
