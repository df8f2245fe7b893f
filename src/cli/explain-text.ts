// How `picket explain` shows its answer: the verdict first, then each way a connection may take, with what decides at either end.
//
// **Invariant:** what is the same of both families or of several endpoints is said once; names from outside are made printable.
import { formatProblem } from '../lib/problem.ts'
import { printable } from '../lib/show.ts'
import { targetKey } from '../nat/targets.ts'
import type { Answer, Count, Flow, Half, Programmed, RuleName, Verdict } from '../explain/answer.ts'

/** Of the rules that did not allow it; `-o json` has all. */
const SHOWN = 3
const LONGEST = 400

const WORD: Readonly<Record<Verdict, string>> = { allowed: 'ALLOWED', denied: 'DENIED', some: 'ALLOWED IN PART' }

/** Ways of which the same is said; `words`: what nodes say of each of its halves. */
interface Block {
  readonly titles: string[]
  readonly decisions: readonly (readonly string[])[]
  readonly words: readonly Map<string, Programmed>[]
  /** What was counted, of each of its halves. */
  readonly counts: readonly Set<string>[]
}

/** `now`: without the policies that are asked about; null where none are. */
export function answerText(answer: Answer, port: string, now: Verdict | null): string {
  const before = now === null ? '' : now === answer.verdict ? ' with these policies, and without them' : ` with these policies; without them: ${WORD[now]}`
  const head = safe(`${answer.from} -> ${answer.to} on ${port}: ${WORD[answer.verdict]}${before}`)
  const blocks = new Map<string, Block>()
  for (const flow of answer.flows) for (const { title, halves, decisions } of waysOf(flow)) put(blocks, title, halves, decisions)
  const problems = answer.problems.map((problem) => safe(formatProblem(problem)))
  return [head, ...[...blocks.values()].map(blockText), ...(problems.length === 0 ? [] : [problems.join('\n')])].join('\n\n')
}

function put(blocks: Map<string, Block>, title: string, halves: readonly Half[], decisions: Block['decisions']): void {
  const key = JSON.stringify(decisions)
  const block = blocks.get(key) ?? { titles: [], decisions, words: halves.map(() => new Map<string, Programmed>()), counts: halves.map(() => new Set<string>()) }
  blocks.set(key, block)
  block.titles.push(safe(title))
  halves.forEach(({ programmed }, at) => programmed && block.words[at]?.set(programmed.text, programmed))
  halves.forEach((half, at) => half.counted && block.counts[at]?.add(countText(half, half.counted)))
}

function countText({ kind, programmed }: Half, { packets, bytes }: Count): string {
  const what = kind === 'allowed' ? 'this rule let pass' : 'of this pod were denied'
  const counted = `${packets} packet${packets === 1 ? '' : 's'} (${bytes} bytes)`
  const where = programmed === undefined || programmed.node === '' ? '' : ` on node ${programmed.node}`
  return kind === 'allowed' ? `counted: ${what} ${counted}${where}` : `counted: ${counted} ${what}${where}`
}

function blockText({ titles, decisions, words, counts }: Block): string {
  const lines = decisions.flatMap((decision, at) => [...decision, ...wordLines([...(words[at]?.values() ?? [])]), ...countLines([...(counts[at] ?? [])])])
  return [...titles, ...lines.map((line) => `  ${safe(line)}`)].join('\n')
}

/** What is not as it should be stands first. */
function wordLines(words: readonly Programmed[]): readonly string[] {
  const sorted = words.toSorted((a, b) => Number(a.state === 'programmed') - Number(b.state === 'programmed'))
  return [...sorted.slice(0, SHOWN).map(({ text }) => `  ${text}`), ...more(words.length, 'node', 'nodes')]
}

function countLines(counts: readonly string[]): readonly string[] {
  return [...counts.slice(0, SHOWN).map((text) => `  ${text}`), ...more(counts.length, 'pod', 'pods')]
}

interface Way {
  readonly title: string
  readonly halves: readonly Half[]
  readonly decisions: Block['decisions']
}

function waysOf(flow: Flow): readonly Way[] {
  const { source, called, protocol, ports, service } = flow
  const range = ports.first === ports.last ? String(ports.first) : `${ports.first}-${ports.last}`
  const at = `${called.includes(':') ? `[${called}]` : called}:${range}/${protocol}`
  const through = service === null || service.name === null ? '' : `, Service ${service.namespace}/${service.name}`
  if (flow.legs.length === 0) return [{ title: `${source} -> ${at}${through}: denied`, halves: [], decisions: [[service?.text ?? 'it leads nowhere']] }]
  return flow.legs.map(({ verdict, destination, port, seenAs, egress, ingress }) => {
    const to = destination.address === called && port === ports.first ? '' : ` -> ${targetKey({ address: destination.address, port })}`
    const whose = destination.kind === 'external' ? '' : ` (${destination.name})`
    const seen = seenAs === source ? '' : `, which sees ${seenAs}`
    return { title: `${source} -> ${at}${through}${to}${whose}${seen}: ${verdict}`, halves: [egress, ingress], decisions: [decisionLines('egress', egress), decisionLines('ingress', ingress)] }
  })
}

function decisionLines(direction: string, half: Half): readonly string[] {
  const head = `${direction.padEnd(7)}  ${half.text}`
  if (half.kind === 'allowed') return [head, ...[half.by, ...half.also].slice(0, SHOWN).map((rule) => `  ${ruleLine(rule)}`), ...more(half.also.length + 1, 'rule that allows it', 'rules that allow it')]
  if (half.kind !== 'denied') return [head]
  const isolating = half.isolatedBy.length < 2 ? [] : [`  isolating: ${half.isolatedBy.map(({ namespace, name }) => `${namespace}/${name}`).join(', ')}`]
  const nearest = half.nearest.slice(0, SHOWN).flatMap(({ rule, why }, index) => [`  ${index === 0 ? 'nearest' : 'then'} ${ruleLine(rule)}`, ...why.map(({ text }) => `    ${text}`)])
  return [head, ...isolating, ...nearest, ...more(half.nearest.length, 'rule', 'rules')]
}

function ruleLine({ namespace, name, direction, index, text }: RuleName): string {
  return `${namespace}/${name} ${direction}[${index}]: ${text}`
}

function more(count: number, one: string, many: string): readonly string[] {
  const left = count - SHOWN
  return left <= 0 ? [] : [`  and ${left} more ${left === 1 ? one : many} (-o json)`]
}

function safe(text: string): string {
  return printable(text, LONGEST)
}
