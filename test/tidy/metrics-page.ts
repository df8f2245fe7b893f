// The table of metrics in deploy/docs/metrics.md, from the registry itself.
//
// `npm run generate` writes it; a tidy test compares. **Invariant:** the page lists each metric that an agent exposes, and no other.
import { Metrics, type MetricInfo } from '../../src/telemetry/metrics.ts'

export const METRICS_FILE = 'deploy/docs/metrics.md'
const BEGIN = '<!-- from src/telemetry/, by `npm run generate` -->'
const END = '<!-- end -->'

/** As an agent has them; nothing is read for it. */
export function exposedMetrics(): readonly MetricInfo[] {
  const unread = (): never => {
    throw new Error('nobody scrapes')
  }
  return new Metrics(unread, { version: '', node: '', kernel: '' }, ['inet picket', 'bridge picket']).list()
}

export function metricsText(page: string): string {
  const [head, rest] = page.split(BEGIN)
  const tail = rest?.split(END)[1]
  if (head === undefined || tail === undefined) throw new Error(`${METRICS_FILE}: expected ${BEGIN} and ${END}`)
  const sorted = [...exposedMetrics()].sort((a, b) => Number(isOurs(b)) - Number(isOurs(a)))
  const rows = sorted.map(({ name, type, labelNames, help }) => `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(', ')} | ${help} |`)
  return [`${head}${BEGIN}`, '| name | type | labels | meaning |', '|---|---|---|---|', ...rows, `${END}${tail}`].join('\n')
}

export function isOurs({ name }: MetricInfo): boolean {
  return name.startsWith('picket_')
}
