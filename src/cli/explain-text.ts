// How `picket explain` shows its answer: the verdict first, then each way a connection may take, with what decides at either end.
//
// **Invariant:** what is the same of both families or of several endpoints is said once; names from outside are made printable.
import { formatProblem } from '../lib/problem.ts'
import { printable } from '../lib/show.ts'
import { targetKey } from '../nat/targets.ts'
import type { Answer, Flow, Half, Leg, RuleName, Verdict } from '../explain/answer.ts'

/** Of the rules that did not allow it; `-o json` has all. */
const SHOWN = 3
const LONGEST = 400

const WORD: Readonly<Record<Verdict, string>> = { allowed: 'ALLOWED', denied: 'DENIED', some: 'ALLOWED IN PART' }

/** `now`: without the policies that are asked about; null where none are. */
export function answerText(answer: Answer, port: string, now: Verdict | null): string {
  const before = now === null ? '' : now === answer.verdict ? ' with these policies, and without them' : ` with these policies; without them: ${WORD[now]}`
  const head = safe(`${answer.from} -> ${answer.to} on ${port}: ${WORD[answer.verdict]}${before}`)
  const blocks = new Map<string, string[]>()
  for (const flow of answer.flows) {
    for (const { title, body } of parts(flow)) {
      const titles = blocks.get(body)
      if (titles === undefined) blocks.set(body, [safe(title)])
      else titles.push(safe(title))
    }
  }
  const ways = [...blocks].map(([body, titles]) => `${titles.join('\n')}${body === '' ? '' : `\n${body}`}`)
  const problems = answer.problems.map((problem) => safe(formatProblem(problem)))
  return [head, ...ways, ...(problems.length === 0 ? [] : [problems.join('\n')])].join('\n\n')
}

function parts(flow: Flow): readonly { readonly title: string; readonly body: string }[] {
  const { source, called, protocol, ports, service } = flow
  const range = ports.first === ports.last ? String(ports.first) : `${ports.first}-${ports.last}`
  const at = `${called.includes(':') ? `[${called}]` : called}:${range}/${protocol}`
  const through = service === null || service.name === null ? '' : `, Service ${service.namespace}/${service.name}`
  if (flow.legs.length === 0) return [{ title: `${source} -> ${at}${through}: denied`, body: `  ${safe(service?.text ?? 'it leads nowhere')}` }]
  return flow.legs.map((leg) => {
    const to = leg.destination.address === called && leg.port === ports.first ? '' : ` -> ${targetKey({ address: leg.destination.address, port: leg.port })}`
    const whose = leg.destination.kind === 'external' ? '' : ` (${leg.destination.name})`
    const seen = leg.seenAs === source ? '' : `, which sees ${leg.seenAs}`
    return { title: `${source} -> ${at}${through}${to}${whose}${seen}: ${leg.verdict}`, body: halves(leg) }
  })
}

function halves({ egress, ingress }: Leg): string {
  return [...halfLines('egress', egress), ...halfLines('ingress', ingress)].map((line) => `  ${safe(line)}`).join('\n')
}

function halfLines(direction: string, half: Half): readonly string[] {
  return [...decisionLines(direction, half), ...(half.programmed === undefined ? [] : [`  ${half.programmed.text}`])]
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
