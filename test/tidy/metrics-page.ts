// The tables of metrics in deploy/docs/metrics.md, from the registries themselves.
//
// `npm run generate` writes it; a tidy test compares. **Invariant:** the page lists each metric that an agent, or an operator, exposes, and no other.
import { Metrics, type MetricInfo } from '../../src/telemetry/metrics.ts'
import { OperatorMetrics } from '../../src/telemetry/operator-metrics.ts'

export const METRICS_FILE = 'deploy/docs/metrics.md'
const BEGIN = '<!-- from src/telemetry/, by `npm run generate` -->'
const BEGIN_OPERATOR = '<!-- from src/telemetry/operator-metrics.ts, by `npm run generate` -->'
const END = '<!-- end -->'

const unread = (): never => {
  throw new Error('nobody scrapes')
}

/** As an agent has them; nothing is read for it. */
export function exposedMetrics(): readonly MetricInfo[] {
  return new Metrics(unread, { version: '', node: '', kernel: '' }, ['inet picket', 'bridge picket']).list()
}

export function operatorMetrics(): readonly MetricInfo[] {
  return new OperatorMetrics(unread, { version: '', node: '' }).list()
}

export function metricsText(page: string): string {
  // Node's own are told once.
  return withTable(withTable(page, BEGIN, exposedMetrics()), BEGIN_OPERATOR, operatorMetrics().filter(isOurs))
}

function withTable(page: string, begin: string, metrics: readonly MetricInfo[]): string {
  const [head, ...others] = page.split(begin)
  const rest = others.join(begin)
  const at = rest.indexOf(END)
  if (head === undefined || others.length !== 1 || at < 0) throw new Error(`${METRICS_FILE}: expected ${begin} and ${END}`)
  const sorted = [...metrics].sort((a, b) => Number(isOurs(b)) - Number(isOurs(a)))
  const rows = sorted.map(({ name, type, labelNames, help }) => `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(', ')} | ${help} |`)
  return [`${head}${begin}`, '| name | type | labels | meaning |', '|---|---|---|---|', ...rows, rest.slice(at)].join('\n')
}

export function isOurs({ name }: MetricInfo): boolean {
  return name.startsWith('picket_')
}
