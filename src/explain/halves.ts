// The halves of an answer, by the node that judges each; and what those nodes say put beside them.
//
// What comes from outside is compiled from objects; whether a node's kernel does so is its agent's to say, asked for the halves alone,
// as each end sees the packet. **Invariant:** a node's word changes no verdict; a half that policies hold for always gets one.
import type { HalfQuestion } from './explain.ts'
import type { Answer, Flow, Half, Leg, Programmed } from './answer.ts'

/** How far a node's kernel is, and what its agent judges. */
export interface NodeWord {
  readonly programmed: boolean
  readonly revision: number
  readonly wantedRevision: number
  /** RFC 3339; null: its kernel holds nothing yet. */
  readonly programmedAt: string | null
  /** By keyOfHalf() of its question. */
  readonly halves: ReadonlyMap<string, Half>
}

/** A sentence: why it was not asked. */
export type Word = NodeWord | string

export function keyOfHalf({ direction, source, destination, protocol, port }: HalfQuestion): string {
  return `${direction} ${source} ${destination} ${port}/${protocol}`
}

/** Node -> what to ask its agent: each half once. */
export function halvesByNode({ flows }: Answer): ReadonlyMap<string, readonly HalfQuestion[]> {
  const found = new Map<string, Map<string, HalfQuestion>>()
  for (const flow of flows) {
    for (const leg of flow.legs) {
      for (const { half, node, question } of sidesOf(flow, leg)) {
        if (node === null || !isJudged(half)) continue
        const known = found.get(node)
        if (known === undefined) found.set(node, new Map([[keyOfHalf(question), question]]))
        else known.set(keyOfHalf(question), question)
      }
    }
  }
  return new Map([...found].map(([node, questions]) => [node, [...questions.values()]]))
}

/** `words`: by node; one that is missing was not asked. */
export function withWords(answer: Answer, words: ReadonlyMap<string, Word>): Answer {
  const told = ({ half, node, question }: Side): Half => {
    if (!isJudged(half)) return half
    const word = node === null ? undefined : words.get(node)
    const there = typeof word === 'object' ? word.halves.get(keyOfHalf(question)) : undefined
    const counted = there?.counted !== undefined && gist(there) === gist(half) ? { counted: there.counted } : {}
    return { ...half, ...counted, programmed: programmedOf(half, question, node, words) }
  }
  return withEach(answer, told)
}

/** What is counted put beside each half. */
export function withCounts(answer: Answer, count: (half: Half, question: HalfQuestion) => Half): Answer {
  return withEach(answer, ({ half, question }) => count(half, question))
}

function withEach(answer: Answer, told: (side: Side) => Half): Answer {
  const leg = (flow: Flow, one: Leg): Leg => {
    const [egress, ingress] = sidesOf(flow, one)
    return { ...one, egress: told(egress), ingress: told(ingress) }
  }
  return { ...answer, flows: answer.flows.map((flow) => ({ ...flow, legs: flow.legs.map((one) => leg(flow, one)) })) }
}

/** What a node answered by itself: its word on its own halves. */
export function withOwnWord<Said extends Answer>(answer: Said, { node, ...state }: Omit<NodeWord, 'halves'> & { readonly node: string }): Said {
  const halves = new Map(answer.flows.flatMap((flow) => flow.legs.flatMap((leg) => sidesOf(flow, leg).map(({ half, question }) => [keyOfHalf(question), half] as const))))
  return { ...answer, ...withWords(answer, new Map([[node, { ...state, halves }]])) }
}

interface Side {
  readonly half: Half
  readonly node: string | null
  readonly question: HalfQuestion
}

function sidesOf({ source, sourceNode, protocol }: Flow, { egress, ingress, destination, port, seenAs }: Leg): readonly [Side, Side] {
  const packet = { destination: destination.address, protocol, port }
  return [
    { half: egress, node: sourceNode, question: { direction: 'egress', source, ...packet } },
    { half: ingress, node: destination.node, question: { direction: 'ingress', source: seenAs, ...packet } },
  ]
}

/** By a pod's policies, if it has any. */
function isJudged({ kind }: Half): boolean {
  return kind !== 'no-policy' && kind !== 'elsewhere'
}

function programmedOf(half: Half, question: HalfQuestion, node: string | null, words: ReadonlyMap<string, Word>): Programmed {
  if (node === null) return { node: '', state: 'not-asked', text: 'the pod is on no node yet' }
  const word = words.get(node) ?? 'not asked'
  if (typeof word === 'string') return { node, state: 'not-asked', text: `node ${node}: ${word}` }
  const there = word.halves.get(keyOfHalf(question))
  if (there === undefined) return { node, state: 'not-asked', text: `node ${node}: not asked about this one: there are too many` }
  const at = `revision ${word.revision}${word.programmedAt === null ? '' : ` of ${word.programmedAt}`}`
  if (gist(there) !== gist(half)) return { node, state: 'otherwise', text: `node ${node} does OTHERWISE (${at}): ${there.text}; ask again, in case it has not heard of the newest change yet; picket status says what stands in its way` }
  if (!word.programmed) return { node, state: 'not-yet', text: `node ${node} has NOT PROGRAMMED this yet: its kernel holds ${word.programmedAt === null ? 'nothing' : at}, this is of revision ${word.wantedRevision}` }
  return { node, state: 'programmed', text: `programmed on node ${node} (${at})` }
}

/** What has to be the same on the node, the rules' text included; why a rule is missed may be of what the packet was before a Service changed it. */
function gist(half: Half): string {
  const policies = 'isolatedBy' in half ? half.isolatedBy.map(({ namespace, name }) => `${namespace}/${name}`).toSorted() : []
  const rules = half.kind === 'allowed' ? [half.by] : half.kind === 'denied' ? half.nearest.map(({ rule }) => rule) : []
  return JSON.stringify([half.kind, policies, rules.map(({ namespace, name, index, text }) => `${namespace}/${name} ${index} ${text}`).toSorted()])
}
