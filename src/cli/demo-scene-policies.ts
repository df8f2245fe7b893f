// Scenes 1 and 2: who reaches whom without policies, and once the policies of the shop are there.
//
// **Invariant:** both measure every pair over both families; what the policies are meant to do is written down in
// demo-reach.ts, apart from the policies themselves.
import type { Scene } from './demo-scenes.ts'
import { cellFacts, judge, SHOP_INTENT } from './demo-reach.ts'
import { beside } from './demo-style.ts'
import { columnLines, legend, matrixLines } from './demo-tables.ts'

export const OPEN: Scene = {
  id: 'open',
  title: 'Without policies everybody reaches everybody',
  async play(stage, teller) {
    const { style } = teller
    teller.say(
      'The shop: customers come to front, front asks api, api asks db. In another namespace the job nightly reads db, ' +
        'and charts is there for all to see.',
    )
    const rows = stage.pods.map((pod) => [pod.key, pod.node, pod.addresses.join(' '), pod.ports.join(' ')])
    teller.block(columnLines(style, ['pod', 'node', 'addresses', 'serves'], rows))
    const { cells, probes, ms } = await stage.matrix()
    teller.say('Everybody asks everybody, and so does a host outside of the cluster:')
    teller.block(matrixLines(style, cells, null))
    teller.remark(legend(style, false))
    const { pairs, reached, faults } = judge(cells, 'all')
    return {
      facts: { pairs, reached, probes, probeMs: ms, matrix: cellFacts(cells) },
      summary: `${reached} of ${pairs} pairs reach each other (${probes} probes, answered by the right pod, in ${ms} ms).`,
      faults,
    }
  },
}

export const POLICIES: Scene = {
  id: 'policies',
  title: 'Policies leave only the ways that are meant',
  async play(stage, teller) {
    const { style } = teller
    const files = stage.examplePolicies()
    teller.say(`${files.size} policies (deploy/examples/shop/policies) are saved into the folder that the agents follow:`)
    teller.block([...files].flatMap(([name, text]) => beside(name.replace(/^.*\//, ''), 19, firstComment(text), teller.blockWidth)))
    stage.save(files)
    const settleMs = await stage.settle()
    const { cells, probes, ms } = await stage.matrix()
    teller.say(`${settleMs} ms later the kernel of every node holds them, and everybody asks again:`)
    teller.block(matrixLines(style, cells, null))
    teller.remark(legend(style, false))
    const { pairs, reached, faults } = judge(cells, SHOP_INTENT)
    const problems = await stage.problems()
    return {
      facts: { policies: files.size, settleMs, pairs, reached, probes, probeMs: ms, matrix: cellFacts(cells) },
      summary: `${reached} pairs of ${pairs} still reach each other: exactly those that are meant, over IPv4 and over IPv6.`,
      faults: [...faults, ...problems],
    }
  },
}

/** What a manifest says of itself in its first line. */
function firstComment(text: string): string {
  return /^# (.*)/.exec(text)?.[1] ?? ''
}
