// `npm run bench -- NAME [--output json]`: runs one benchmark.
//
// **Invariant:** the last line on stdout is the answer; progress goes to stderr.
import { parseArgs } from 'node:util'
import { report, type Bench } from './bench.ts'

const BENCHES: Readonly<Record<string, () => Promise<{ bench: Bench }>>> = {
  compile: () => import('./compile.ts'),
  packets: () => import('./packets.ts'),
  cut: () => import('./cut.ts'),
  repair: () => import('./repair.ts'),
  elements: () => import('./elements.ts'),
  reflector: () => import('./reflector.ts'),
  'reflector-cluster': () => import('./reflector-cluster.ts'),
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { output: { type: 'string', short: 'o', default: 'table' } } })
const load = BENCHES[positionals[0] ?? '']
if (load === undefined || positionals.length !== 1) {
  process.stderr.write(`bench: expected one of ${Object.keys(BENCHES).join(', ')}, got ${positionals.join(' ') || 'nothing'}\n`)
  process.exitCode = 2
} else {
  const { bench } = await load()
  process.stderr.write(`${bench.name}: ${bench.about}\n`)
  report(bench.name, await bench.run((text) => process.stderr.write(`  ${text}\n`)), values.output)
}
