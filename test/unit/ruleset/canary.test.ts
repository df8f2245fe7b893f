// The canary's place in the table: its own elements, profiles and counters, and nothing of anybody else.
//
// **Invariant:** a table without the canary knows nothing of it.
import assert from 'node:assert/strict'
import { CANARY_CLIENT, CANARY_SERVER } from '../../../src/model/canary.ts'
import type { TableState } from '../../../src/nft/state.ts'
import { CANARY_COUNTERS } from '../../../src/ruleset/names.ts'
import { skeleton, type SkeletonOptions } from '../../../src/ruleset/skeleton.ts'

const OPTIONS: SkeletonOptions = { newPods: 'deny', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto' }
const [PLAIN, TABLE] = [skeleton(OPTIONS), skeleton({ ...OPTIONS, canary: true })]
const elements = (table: TableState, set: string): readonly string[] => [...(table.sets.get(set)?.elements.values() ?? [])].map(({ key, value }) => (value === undefined ? key : `${key} : ${value}`))

describe("the canary's place in the table", () => {
  it('is like a pod\'s: an interface that is known, an address, a profile each way', () => {
    assert.deepEqual(elements(TABLE, 'pod-interfaces'), [`"${CANARY_CLIENT.link}"`, `"${CANARY_SERVER.link}"`])
    assert.deepEqual(elements(TABLE, 'known-interfaces'), elements(TABLE, 'pod-interfaces'))
    assert.deepEqual(elements(TABLE, 'egress-by-interface'), [`"${CANARY_CLIENT.link}" : goto canary/egress`, `"${CANARY_SERVER.link}" : drop`])
    assert.deepEqual(elements(TABLE, 'ingress-by-interface'), [`"${CANARY_CLIENT.link}" : drop`, `"${CANARY_SERVER.link}" : goto canary/ingress`])
    for (const family of [4, 6] as const) {
      const of = ({ link, addresses }: typeof CANARY_CLIENT): string => `"${link}" . ${addresses[family]}`
      assert.deepEqual(elements(TABLE, `pod-addresses-v${family}`), [of(CANARY_CLIENT), of(CANARY_SERVER)])
    }
  })

  it('keeps what the client sends from everybody who translates, and nothing else', () => {
    const chain = TABLE.chains.get('filter-output-canary')
    assert.deepEqual([chain?.base?.hook, chain?.base?.priority, chain?.rules], ['output', 'raw', [`oifname "${CANARY_CLIENT.end}" notrack`]])
  })

  it('is compiled as profiles are: ports by one map, peers by a set, a drop at the end', () => {
    for (const [direction, ports] of [['egress', [6101, 6103]], ['ingress', [6101, 6102]]] as const) {
      assert.deepEqual(elements(TABLE, `ports/canary/${direction}`), ports.map((port) => `udp . ${port} : jump canary/${direction}/udp-6101`))
      assert.deepEqual(TABLE.chains.get(`canary/${direction}`)?.rules, [`meta l4proto . th dport vmap @ports/canary/${direction}`, `jump count-dropped-${direction}`, `counter name "denied/canary/${direction}" drop`])
      const rules = TABLE.chains.get(`canary/${direction}/udp-6101`)?.rules ?? []
      assert.equal(rules.length, 2)
      for (const rule of rules) {
        const set = /@(pods\/\S+)/.exec(rule)?.[1] ?? ''
        assert.ok(elements(TABLE, set).length > 0, rule)
        assert.match(rule, direction === 'egress' ? /daddr @\S+ accept$/ : /saddr @\S+ counter name "canary-allowed" accept$/)
      }
    }
  })

  it('has counters of its own, so that what pods spoof is not mixed with it', () => {
    for (const name of Object.values(CANARY_COUNTERS)) assert.ok(TABLE.counters.has(name), name)
    const before = PLAIN.chains.get('not-as-itself')?.rules ?? []
    assert.deepEqual(TABLE.chains.get('not-as-itself')?.rules, [`iifname "${CANARY_CLIENT.link}" counter name "canary-spoofed" drop`, ...before])
  })

  it('adds nothing to base chains, and is not there where it is not wanted', () => {
    for (const [name, chain] of PLAIN.chains) if (name !== 'not-as-itself') assert.deepEqual(TABLE.chains.get(name), chain)
    assert.doesNotMatch(JSON.stringify([...PLAIN.chains, ...PLAIN.sets.keys(), ...PLAIN.counters]), /canary/)
    for (const [name, { elements: none }] of PLAIN.sets) assert.equal(none.size, 0, name)
  })
})
