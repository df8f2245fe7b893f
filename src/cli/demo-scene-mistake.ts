// Scene 5: two policies with a slip in them and a good one are saved at once, under traffic.
//
// A slip in a policy that was good before leaves its last good version in force; one in a new policy closes the pods that
// it selects; the good one takes effect. **Invariant:** what is shown of a problem is what the agents report, word by word.
import { PicketError } from '../lib/errors.ts'
import { flowFacts, lossFaults, RunningFlows, type FlowPlan } from './demo-flows.ts'
import { cellFacts, judge, SHOP_INTENT, type Intent } from './demo-reach.ts'
import type { Scene } from './demo-scenes.ts'
import { POLICIES_FOLDER, type Stage } from './demo-stage.ts'
import { beside, wrap } from './demo-style.ts'
import { grouped, legend, matrixLines } from './demo-tables.ts'

const KNOWN = `${POLICIES_FOLDER}/api.yaml`
const NEW = `${POLICIES_FOLDER}/charts.yaml`
const GOOD = `${POLICIES_FOLDER}/front-pays.yaml`
/** A slip that YAML and every editor let pass. */
const SLIP_FROM = '192.168.61.200/32'
const SLIP_TO = '192.168.61.200/33'

const NEW_TEXT = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: charts, namespace: reports}
spec:
  podSelector: {matchLabels: {app: charts}}
  policyTypes: [Ingress]
  ingress:
    - from: [{ipBlock: {cidr: 10.244.0.0.0/16}}]
`

const GOOD_TEXT = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: front-pays, namespace: shop}
spec:
  podSelector: {matchLabels: {app: front}}
  policyTypes: [Egress]
  egress:
    - to: [{ipBlock: {cidr: 192.168.61.200/32}}, {ipBlock: {cidr: 'fd00:61::200/128'}}]
`

/** charts can be reached by nobody; front reaches the outside host; all else is as before. */
const INTENT: Intent = {
  ...Object.fromEntries(Object.entries(SHOP_INTENT).map(([from, to]) => [from, to.filter((one) => one !== 'reports/charts')])),
  'shop/front': [...(SHOP_INTENT['shop/front'] ?? []), 'outside'],
}

const FLOWS: readonly FlowPlan[] = [
  { from: 'shop/front', to: 'shop/api', protocol: 'UDP', port: 8125, family: 4 },
  { from: 'reports/nightly', to: 'shop/api', protocol: 'UDP', port: 8125, family: 6 },
  { from: 'shop/api', to: 'shop/db', protocol: 'TCP', port: 5432, family: 4 },
]

export const MISTAKE: Scene = {
  id: 'mistake',
  title: 'Two bad policies are contained and named',
  async play(stage, teller) {
    const { style } = teller
    const text = stage.read(KNOWN)
    const slipped = text.replace(SLIP_FROM, SLIP_TO)
    if (slipped === text) throw new PicketError('OtherShop', `${KNOWN} does not say "${SLIP_FROM}", which this scene edits`)
    const before = await stage.matrix()
    const running = await RunningFlows.start(stage, FLOWS)
    teller.say('Saved at once, under traffic:')
    teller.block([
      ...beside('api.yaml', 17, `edited, with a slip: ${SLIP_FROM} became ${SLIP_TO}`, teller.blockWidth),
      ...beside('charts.yaml', 17, 'new, with a slip: an address of five numbers', teller.blockWidth),
      ...beside('front-pays.yaml', 17, 'new and good: front may reach the outside host', teller.blockWidth),
    ])
    stage.save(new Map([[KNOWN, slipped], [NEW, NEW_TEXT], [GOOD, GOOD_TEXT]]))
    const settleMs = await stage.settle()
    const problems = await stage.problems()
    const { cells } = await stage.matrix()
    teller.say(`${settleMs} ms later the agents say what is wrong, where, and what happens now:`)
    const lines = problems.flatMap((problem) => wrap(problem, teller.blockWidth - 2).map((line, index) => (index === 0 ? line : `  ${line}`)))
    teller.block(lines.map((line) => style.ink('note', line)))
    teller.say(
      'Who reaches whom: of api the version before the slip holds; charts, whose policy was never good, can be reached by nobody; ' +
        'front-pays is in force; nobody else notices.',
    )
    teller.block(matrixLines(style, cells, before.cells))
    teller.remark(legend(style, true))
    const mended = await mend(stage, text)
    const flows = await running.stop()
    const packets = flows.reduce((sum, one) => sum + one.stats.sent, 0)
    const lost = flows.reduce((sum, one) => sum + one.stats.lost, 0)
    const judged = judge(cells, INTENT)
    return {
      facts: { settleMs, problems, matrix: cellFacts(cells), mendMs: mended.ms, packets, lost, flows: flows.map(flowFacts) },
      summary:
        `${problems.length} problems named, with file and field; ${judged.pairs - judged.faults.length} of ${judged.pairs} pairs as they should be; ` +
        `${grouped(lost)} of ${grouped(packets)} packets lost on ways that stay allowed. Mended within ${mended.ms} ms.`,
      faults: [...namedFaults(problems), ...judged.faults, ...mended.faults, ...flows.flatMap((one) => lossFaults(style, one))],
    }
  },
}

/** Each file at fault is named once, with the field, and nothing else is. */
function namedFaults(problems: readonly string[]): readonly string[] {
  const named = (file: string): number => problems.filter((one) => one.includes(file) && one.includes('cidr')).length
  return [
    ...[KNOWN, NEW].filter((file) => named(file) !== 1).map((file) => `the agents name ${file} and its cidr ${named(file)} times, expected once`),
    ...problems.filter((one) => ![KNOWN, NEW].some((file) => one.includes(file))),
  ]
}

/** Takes everything back; faults where it is not as it was before. */
async function mend(stage: Stage, text: string): Promise<{ readonly ms: number; readonly faults: readonly string[] }> {
  stage.save(new Map([[KNOWN, text], [NEW, null], [GOOD, null]]))
  const ms = await stage.settle()
  const { cells } = await stage.matrix()
  const problems = await stage.problems()
  return { ms, faults: [...judge(cells, SHOP_INTENT).faults, ...problems].map((one) => `after mending: ${one}`) }
}
