// Planted bugs of `picket observe`: what would hide records, show some twice, or let hostile text through.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const OBSERVE_MUTANTS: readonly Mutant[] = [
  { title: 'observe: filters hold back what was lost', file: 'flows/filter.ts', search: 'filter.wanted.every((one) => !applies(one) || one.test(record))', replace: 'filter.wanted.every((one) => one.test(record))', caughtBy: 'flowFilter' },
  { title: 'observe: one of several inverted filters is enough', file: 'flows/filter.ts', search: '!filter.unwanted.some((one) => applies(one)', replace: '!filter.unwanted.slice(0, 1).some((one) => applies(one)', caughtBy: 'flowFilter' },
  { title: 'observe: names without a namespace are of any', file: 'flows/filter.ts', search: "const namespaces = wanted.get('namespace') ?? []", replace: 'const namespaces: string[] = []', caughtBy: 'flowFilter' },
  { title: 'observe: JSON goes out as it came', file: 'flows/safe-json.ts', search: 'PLAIN.test(line) || line.search(UNPRINTABLE) < 0 ? line', replace: 'value !== null ? line', caughtBy: 'flowOutputs' },
  { title: 'observe: what stands in lists is not looked at', file: 'flows/read-line.ts', search: 'return first(value, (one, index) => check(one, `${field}[${index}]`))', replace: 'return first(value.slice(0, 0), (one, index) => check(one, `${field}[${index}]`))', caughtBy: 'flowOutputs' },
  { title: 'observe: what was shown is shown again', file: 'cli/observe-stream.ts', search: 'since !== null && this.#seen.has(line)', replace: 'since === null && this.#seen.has(line)', caughtBy: 'observeCluster' },
  { title: 'observe: no gap is told', file: 'cli/observe-stream.ts', search: 'let isKnown = mark === null', replace: 'let isKnown = mark === null || since !== null', caughtBy: 'observeCluster' },
  { title: 'observe: an agent that fails ends as one that has nothing', file: 'cli/observe-exec.ts', search: 'if (status === 0 || status === 1) return', replace: 'if (status !== null) return', caughtBy: 'observeCluster' },
  { title: 'observe: all are asked at once', file: 'cli/observe-slots.ts', search: 'if (this.#free > 0) this.#free -= 1', replace: 'if (this.#free > -1000) this.#free -= 1', caughtBy: 'observeCluster' },
]
