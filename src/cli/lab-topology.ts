// Topology cases, answered by the compiler's own function: which endpoints of a Service a node uses.
//
// TopologyCase -> TopologyAnswer. Here and not in the lab, which knows the agent as a process only.
// **Invariant:** pure; endpoints are compared as sets.
import type { TopologyAnswer, TopologyCase } from '../lab/service-case-types.ts'
import { endpointSets, needsOf } from '../nat/endpoints.ts'

export function answerTopology({ endpoints, node, zone, internal, external, isExternal }: TopologyCase): TopologyAnswer {
  const { cluster, local, all, hasAny } = endpointSets(endpoints, { node, zone }, needsOf(internal, external, isExternal))
  const texts = (some: typeof all): readonly string[] => some.map(({ text }) => text)
  return { cluster: cluster === null ? null : texts(cluster), local: local === null ? null : texts(local), all: texts(all), hasAny }
}

/** In words; empty where everything that is expected is so. */
export function topologyMismatches({ expect }: TopologyCase, answer: TopologyAnswer): readonly string[] {
  return (['cluster', 'local', 'all', 'hasAny'] as const).flatMap((name) => {
    const expected = expect[name]
    return expected === undefined || valueText(expected) === valueText(answer[name]) ? [] : [`${name}: expected ${valueText(expected)}, found ${valueText(answer[name])}`]
  })
}

export function valueText(value: TopologyAnswer[keyof TopologyAnswer]): string {
  if (value === null) return 'not used'
  if (typeof value === 'boolean') return String(value)
  return value.length === 0 ? 'none' : [...value].sort().join(' ')
}
