// `npm run bench -- NAME [--output json] [flags of its own]`: runs one benchmark.
//
// **Invariant:** the last line on stdout is the answer; progress goes to stderr.
import { parseArgs } from 'node:util'
import { report, type Bench } from './bench.ts'

const BENCHES: Readonly<Record<string, () => Promise<{ bench: Bench }>>> = {
  compile: () => import('./compile.ts'),
  packets: () => import('./packets.ts'),
  summary: () => import('./summary.ts'),
  budget: () => import('./budget.ts'),
  cut: () => import('./cut.ts'),
  repair: () => import('./repair.ts'),
  elements: () => import('./elements.ts'),
  audit: () => import('./audit.ts'),
  'audit-aggregate': () => import('./audit-aggregate.ts'),
  reflector: () => import('./reflector.ts'),
  'reflector-cluster': () => import('./reflector-cluster.ts'),
  services: () => {
    // Before anything of test/cluster is loaded: it has a control plane of its own, whatever cluster is up.
    process.env['PICKET_CLUSTER_NAME'] = 'bench'
    return import('./services.ts')
  },
}

const args = process.argv.slice(2)
const name = args.find((arg) => BENCHES[arg] !== undefined)
const load = BENCHES[name ?? '']
if (load === undefined) {
  process.stderr.write(`bench: expected one of ${Object.keys(BENCHES).join(', ')}, got ${args.join(' ') || 'nothing'}\n`)
  process.exitCode = 2
} else {
  const { bench } = await load()
  const { positionals, values } = parseArgs({ args, allowPositionals: true, options: { ...bench.flags, output: { type: 'string', short: 'o', default: 'table' } } })
  if (positionals.length !== 1) throw new Error(`expected the name of one bench, got ${positionals.join(' ')}`)
  process.stderr.write(`${bench.name}: ${bench.about}\n`)
  report(bench.name, await bench.run((text) => process.stderr.write(`  ${text}\n`), values), String(values['output']))
}
