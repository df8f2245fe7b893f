// Running traffic for the demo: flows of numbered packets, what became of each, and their timeline.
//
// Plans -> running flows -> what was measured; lines for people. **Invariant:** what is called lost, denied or leaked
// was counted packet by packet, and nothing of it is inferred from another flow.
import type { Flow, FlowDirection, FlowStats } from '../lab/testbed.ts'
import type { Family } from '../model/ip.ts'
import { wallTime, type Stage } from './demo-stage.ts'
import type { Style } from './demo-style.ts'

/** Packets a second of each flow: a change is timed to 2 ms. */
export const RATE = 500

export interface FlowPlan {
  readonly from: string
  readonly to: string
  readonly protocol: 'TCP' | 'UDP'
  readonly port: number
  readonly family: Family
  /** `echo` unless told. */
  readonly direction?: FlowDirection
}

export interface MeasuredFlow {
  readonly plan: FlowPlan
  readonly stats: FlowStats
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly endedAt: number
}

interface RunningFlow {
  readonly plan: FlowPlan
  readonly flow: Flow
  readonly startedAt: number
}

export class RunningFlows {
  readonly #flows: readonly RunningFlow[]

  private constructor(flows: readonly RunningFlow[]) {
    this.#flows = flows
  }

  static async start(stage: Stage, plans: readonly FlowPlan[]): Promise<RunningFlows> {
    const flows = await Promise.all(
      plans.map(async (plan) => {
        const flow = await stage.openFlow(plan, RATE)
        return { plan, flow, startedAt: wallTime() }
      }),
    )
    return new RunningFlows(flows)
  }

  /** Ends them all; in the order of the plans. */
  stop(): Promise<readonly MeasuredFlow[]> {
    return Promise.all(
      this.#flows.map(async ({ plan, flow, startedAt }) => {
        const endedAt = wallTime()
        return { plan, stats: await flow.stop(), startedAt, endedAt }
      }),
    )
  }
}

/** `front -> api 8125/udp v4`; a download is `front <- api ...`. */
export function flowName({ marks }: Style, { from, to, protocol, port, family, direction = 'echo' }: FlowPlan): string {
  const short = (key: string): string => key.replace(/^.*\//, '')
  return `${short(from)} ${direction === 'echo' ? marks.arrow : marks.arrowBack} ${short(to)} ${port}/${protocol.toLowerCase()} v${family}`
}

/** What keeps a flow that should lose nothing from having lost nothing. */
export function lossFaults(style: Style, { plan, stats }: MeasuredFlow): readonly string[] {
  const name = flowName(style, plan)
  const strangers = Object.keys(stats.by).filter((key) => key !== plan.to)
  return [
    ...(stats.answered === 0 ? [`${name}: no packet was answered`] : []),
    ...(stats.lost > 0 ? [`${name}: ${stats.lost} of ${stats.sent} packets were lost`] : []),
    ...(stats.broken === null ? [] : [`${name}: the connection broke (${stats.broken})`]),
    ...(strangers.length > 0 ? [`${name}: answered by ${strangers.join(', ')}`] : []),
  ]
}

/** What keeps a flow that should be denied from having been so. */
export function leakFaults(style: Style, { plan, stats }: MeasuredFlow): readonly string[] {
  if (stats.sent === 0) return [`${flowName(style, plan)}: no packet was sent`]
  return stats.answered > 0 ? [`${flowName(style, plan)}: ${stats.answered} of ${stats.sent} packets came through`] : []
}

export function flowFacts({ plan, stats }: MeasuredFlow): Readonly<Record<string, unknown>> {
  const { sent, answered, lost, duplicated, broken } = stats
  return { ...plan, sent, answered, lost, duplicated, broken }
}

export interface Moment {
  readonly at: number
  readonly label: string
}

/** One line a flow, on the same axis of time, and the moments that mattered below it. */
export function timelineLines(flows: readonly MeasuredFlow[], moments: readonly Moment[], style: Style, columns: number): readonly string[] {
  const { ink, marks } = style
  const names = flows.map(({ plan }) => flowName(style, plan))
  const left = Math.max(...names.map((name) => name.length)) + 2
  const width = Math.max(20, columns - left)
  const begin = Math.min(...flows.map((one) => one.startedAt))
  const end = Math.max(...flows.map((one) => one.endedAt))
  const slice = (end - begin) / width
  const lines = flows.map((flow, index) => {
    const silent = Array.from({ length: width }, (_, at) => silentShare(flow.stats, begin + at * slice, begin + (at + 1) * slice) > 0.5)
    const bar = runs(silent).map(([denied, length]) => ink(denied ? 'bad' : 'good', (denied ? marks.silent : marks.answered).repeat(length)))
    return (names[index] ?? '').padEnd(left) + bar.join('')
  })
  const legend = `${marks.answered} answered, ${marks.silent} denied; one mark is ${Math.round(slice)} ms`
  const below = moments.map(({ at, label }) => ({ label, column: Math.floor((at - begin) / slice) }))
  return [...lines, ...momentLines(style, below, left, width), '', ink('faint', legend)]
}

/** Equal values that follow each other, and how many. */
function runs(values: readonly boolean[]): readonly (readonly [boolean, number])[] {
  const found: [boolean, number][] = []
  for (const value of values) {
    const last = found.at(-1)
    if (last?.[0] === value) last[1]++
    else found.push([value, 1])
  }
  return found
}

/** Which part of a span of time a flow was silent. */
function silentShare({ silences }: FlowStats, from: number, to: number): number {
  let silent = 0
  for (const { firstSentAt, lastSentAt } of silences) silent += Math.max(0, Math.min(to, lastSentAt) - Math.max(from, firstSentAt))
  return silent / (to - from)
}

interface Pointer {
  readonly label: string
  readonly column: number
}

function momentLines({ ink, marks }: Style, moments: readonly Pointer[], left: number, width: number): readonly string[] {
  const pointers = Array.from({ length: width }, (_, at) => (moments.some((one) => one.column === at) ? marks.edit : ' ')).join('')
  let labels = ''
  for (const { label, column } of moments) {
    const begin = Math.max(labels === '' ? 0 : labels.length + 1, Math.min(width - label.length, column - Math.floor(label.length / 2)))
    labels = labels.padEnd(begin) + label
  }
  return [' '.repeat(left) + ink('note', pointers), ' '.repeat(left) + ink('note', labels)]
}
