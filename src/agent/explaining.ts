// `POST /explain`: who may call whom, answered by the plans that this agent holds, and whether the kernel holds them.
//
// What a pod of another node is judged by is that node's agent's to say. **Invariant:** the answer is of one turn, the newest, and
// `programmed` says whether the kernel has come as far.
import type { Answer, Half } from '../explain/answer.ts'
import { explain, explainHalf, type HalfQuestion, type Question } from '../explain/explain.ts'
import { withCounts } from '../explain/halves.ts'
import type { Planned } from '../explain/planned.ts'
import { PicketError } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'
import { show } from '../lib/show.ts'
import { parseAddress, parseCidr } from '../model/ip.ts'
import { PROTOCOLS, type Protocol } from '../model/objects.ts'
import type { AgentConfig } from '../settings.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Total } from './counting.ts'
import type { Turns } from './turn.ts'

/** Puts what was counted beside a half: of the rule that allows, or of all that the pod is denied in that direction. */
export function countsOf({ pods }: Snapshot, totals: readonly Total[]): (half: Half, question: HalfQuestion) => Half {
  const live = totals.filter((total) => total.live)
  return (half, { direction, source, destination }) => {
    const ofRule = ({ counted }: Total): boolean =>
      half.kind === 'allowed' && counted.kind === 'allowed' && counted.rule === half.by.index && counted.policy?.name === half.by.name && counted.namespace === half.by.namespace && counted.direction === direction
    const subjects = new Set([...pods.where('address', direction === 'egress' ? source : destination)].map(({ uid }) => uid))
    const ofPod = ({ counted }: Total): boolean => half.kind === 'denied' && counted.kind === 'dropped' && counted.direction === direction && subjects.has(counted.uid)
    const found = live.find((total) => ofRule(total) || ofPod(total))
    return found === undefined ? half : { ...half, counted: { packets: found.packets, bytes: found.bytes } }
  }
}

/** How far the kernel is. */
export interface KernelState {
  readonly node: string
  /** Whether the kernel holds the plan that the answer is of. */
  readonly programmed: boolean
  readonly revision: number
  readonly wantedRevision: number
  /** RFC 3339, when the kernel came to hold `revision`; null: it holds none yet. */
  readonly programmedAt: string | null
}

export interface ExplainingOptions {
  readonly config: Pick<AgentConfig, 'nodeName' | 'nodeEgress' | 'serviceCIDRs'>
  readonly turns: Turns
  /** What the kernel holds; null: nothing yet. */
  readonly held: () => { readonly revision: number; readonly at: number } | null
  /** Other quarantines are tried: what the plan says meanwhile is not meant. */
  readonly searching: () => boolean
  /** Nothing that the sources said waits for a turn. */
  readonly drained: () => boolean
  readonly problems: () => readonly Problem[]
  /** What the kernel counted. */
  readonly counted: () => Promise<ReadonlyMap<string, Total>>
}

export type NodeAnswer = Answer & { readonly node: KernelState }

/** Of single halves, in the order in which they were asked. */
export interface NodeHalves {
  readonly node: KernelState
  readonly halves: readonly Half[]
}

/** Asked at once. */
export const MOST_HALVES = 100

interface Reply {
  readonly status: number
  readonly body: unknown
}

/** 400: the question cannot be answered, and why; 503: there is no plan yet. */
export function explainOnNode(options: ExplainingOptions): (body: unknown) => Promise<Reply> {
  // Read first: the answer is then of one turn.
  return async (body) => answer(body, options, await options.counted())
}

function answer(body: unknown, options: ExplainingOptions, totals: ReadonlyMap<string, Total>): Reply {
  const planned = options.searching() ? null : plannedOf(options)
  if (planned === null) return { status: 503, body: { error: 'this agent has not read all objects yet, or looks for one that the kernel refuses; ask again in a moment' } }
  try {
    const node = stateOf(options)
    const halves = halvesOf(body)
    const count = countsOf(planned.snapshot, [...totals.values()])
    if (halves !== null) return { status: 200, body: { node, halves: halves.map((half) => count(explainHalf(planned, half), half)) } satisfies NodeHalves }
    return { status: 200, body: { ...withCounts(explain(planned, questionOf(body)), count), node } satisfies NodeAnswer }
  } catch (error) {
    if (!(error instanceof PicketError)) throw error
    return { status: 400, body: { error: error.message, code: error.code } }
  }
}

/** The plans that this agent holds; null before its first turn. */
export function plannedOf({ turns, config, problems }: Pick<ExplainingOptions, 'turns' | 'config' | 'problems'>): Planned | null {
  const { snapshot, plan, nat } = turns
  if (snapshot === null) return null
  return {
    snapshot,
    entrance: config.nodeName,
    settings: { nodeEgress: config.nodeEgress, serviceCidrs: config.serviceCIDRs.flatMap((text) => parseCidr(text) ?? []) },
    planFor: ({ node }) => (node === config.nodeName ? plan : null),
    servicesOn: (node) => (node === config.nodeName ? nat.services : null),
    problemsOf: (objects) => problems().filter(({ object }) => objects.has(object)),
  }
}

function stateOf({ config, turns, held, drained }: ExplainingOptions): KernelState {
  const now = held()
  return {
    node: config.nodeName,
    programmed: now !== null && now.revision === turns.revision && drained(),
    revision: now?.revision ?? 0,
    wantedRevision: turns.revision,
    programmedAt: now === null ? null : new Date(now.at).toISOString(),
  }
}

/** `{ halves: [{ direction, source, destination, protocol, port }] }`; null: a whole question. */
function halvesOf(body: unknown): readonly HalfQuestion[] | null {
  if (typeof body !== 'object' || body === null || !('halves' in body)) return null
  const { halves } = body
  if (!Array.isArray(halves) || halves.length > MOST_HALVES) throw new PicketError('Usage', `halves ${show(halves)}: expected a list of at most ${MOST_HALVES}`)
  return halves.map(halfOf)
}

function halfOf(half: unknown): HalfQuestion {
  const { direction, source, destination, protocol, port } = (half ?? {}) as Readonly<Record<string, unknown>>
  const [from, to] = [source, destination].map((one) => (typeof one === 'string' ? parseAddress(one) : null))
  if ((direction !== 'egress' && direction !== 'ingress') || !from || !to || !PROTOCOLS.includes(protocol as Protocol) || !isPort(port)) {
    throw new PicketError('Usage', `a half is ${show(half)}: expected direction egress or ingress, source, destination, protocol and port`)
  }
  return { direction, source: from, destination: to, protocol: protocol as Protocol, port }
}

/** `{ from, to, port, protocol, via }` */
function questionOf(body: unknown): Question {
  if (typeof body !== 'object' || body === null) throw new PicketError('Usage', `found ${show(body)}, expected an object with from, to, port or protocol`)
  const { from, to, port = null, protocol = null, via = null } = body as Readonly<Record<string, unknown>>
  if (typeof from !== 'string' || typeof to !== 'string') throw new PicketError('Usage', `from ${show(from)}, to ${show(to)}: expected texts`)
  if (port !== null && !isPort(port)) throw new PicketError('Usage', `port ${show(port)}: expected a number from 1 to 65535, or none`)
  if (protocol !== null && !PROTOCOLS.includes(protocol as Protocol)) throw new PicketError('Usage', `protocol ${show(protocol)}: expected ${PROTOCOLS.join(', ')}, or none`)
  if (via !== null && typeof via !== 'string') throw new PicketError('Usage', `via ${show(via)}: expected the name of a node, or none`)
  return { from, to, ports: { port, protocol: protocol as Protocol | null }, via }
}

function isPort(port: unknown): port is number {
  return typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535
}
