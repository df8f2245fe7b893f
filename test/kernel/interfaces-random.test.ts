// Random `ip` commands in a namespace: what the source followed must be what a new look at the kernel gives.
//
// This is how removals without a notification, replacements and groups of hops are known to be mirrored as they are.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ip, newNamespace, Observer, removeNamespaces } from './interfaces-support.ts'

/** Each takes about half a second. */
const RUNS = 10

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

describe('interfaces of a node, whatever happens to them', () => {
  after(removeNamespaces)

  it('property: whatever was done, in steps, the rows are those that a new look gives', async function () {
    this.timeout(120_000)
    const device = fc.constantFrom('a0', 'a1', 'b0', 'b1')
    const v4 = fc.constantFrom('10.1.0.1', '10.1.0.2', '10.1.0.3')
    const v6 = fc.constantFrom('fd00::1', 'fd00::2', 'fd00::3')
    const to4 = fc.constantFrom('10.1.0.1', '10.2.0.1', '10.2.0.0/24', '10.3.0.0/16')
    const to6 = fc.constantFrom('fd00::1', 'fd01::1', 'fd01::/64')
    const verb = fc.constantFrom('add', 'add', 'add', 'append', 'prepend', 'replace', 'replace', 'del')
    const via4 = fc.constantFrom('', '', 'via 10.1.0.2 onlink', 'src 10.1.0.1')
    const via6 = fc.constantFrom('', '', 'via fd00::2 onlink', 'via fd00::3 onlink')
    const hop = (gateway: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.tuple(gateway, device).map(([g, d]) => `nexthop via ${g} dev ${d} onlink`)
    const command = fc.oneof(
      { weight: 3, arbitrary: fc.tuple(device, fc.constantFrom('up', 'up', 'down')).map(([d, state]) => `link set ${d} ${state}`) },
      { weight: 1, arbitrary: fc.constantFrom('a', 'b').map((d) => `link del ${d}0\nlink add ${d}0 type veth peer name ${d}1\nlink set ${d}0 up\nlink set ${d}1 up`) },
      { weight: 4, arbitrary: fc.tuple(fc.constantFrom('add', 'del'), v4, fc.constantFrom(24, 32), device).map(([f, a, n, d]) => `addr ${f} ${a}/${n} dev ${d}`) },
      { weight: 3, arbitrary: fc.tuple(fc.constantFrom('add', 'del'), v6, fc.constantFrom(64, 128), device).map(([f, a, n, d]) => `addr ${f} ${a}/${n} dev ${d} ${f === 'add' ? 'nodad' : ''}`) },
      { weight: 8, arbitrary: fc.tuple(verb, to4, via4, device).map(([f, to, via, d]) => `route ${f} ${to} ${via} dev ${d}`) },
      { weight: 6, arbitrary: fc.tuple(verb, to6, via6, device).map(([f, to, via, d]) => `route ${f} ${to} ${via} dev ${d}`) },
      { weight: 2, arbitrary: fc.tuple(verb, to4, hop(v4), hop(v4)).map((parts) => `route ${parts.join(' ')}`) },
      { weight: 2, arbitrary: fc.tuple(verb, to6, hop(v6), hop(v6)).map((parts) => `route ${parts.join(' ')}`) },
    )
    let run = 0
    const property = fc.asyncProperty(fc.array(fc.array(command, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 3 }), async (steps) => {
      const netns = newNamespace(`random${run++}`)
      ip(netns, ['a', 'b'].map((d) => `link add ${d}0 type veth peer name ${d}1\nlink set ${d}0 up\nlink set ${d}1 up`).join('\n'))
      const observer = await Observer.start(netns)
      try {
        for (const commands of steps) {
          ip(netns, commands.join('\n'), true)
          const rows = (o: Observer): string => JSON.stringify([...o.rows.values()].sort((x, y) => x.index - y.index))
          const anew = await Observer.start(netns)
          await anew.watch?.close()
          if (rows(observer) !== rows(anew)) await sleep(100)
          assert.deepEqual(JSON.parse(rows(observer)), JSON.parse(rows(anew)))
        }
        assert.ok(!observer.resyncs.includes('the receive buffer was full'))
      } finally {
        await observer.watch?.close()
        removeNamespaces()
      }
    })
    await fc.assert(property, { numRuns: RUNS })
  })
})
