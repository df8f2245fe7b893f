// What status costs the API server and the operator: a large cluster in continuous churn, on a clock that does not wait.
//
// Runs budget-once.ts as a bundle, as the product runs: what turns TypeScript into JavaScript would take 80 MB of the memory that is
// measured. **Invariant:** the bundle goes when the bench ends.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { build } from 'esbuild'
import { countOf, type Bench, type Figure } from './bench.ts'
import { SIZE } from './budget-cluster.ts'

/** Packages that were written for require(). */
const BANNER = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"

export const bench: Bench = {
  name: 'budget',
  about: `${SIZE.pods} pods, ${SIZE.pods / 10} policies, ${SIZE.nodes} nodes in continuous churn: 25 pods replaced and an edit a second`,
  flags: { minutes: { type: 'string', default: '30' } },
  run: async (_note, flags) => {
    const minutes = countOf(flags, 'minutes', 600)
    const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-budget-'))
    try {
      const file = path.join(folder, 'budget-once.mjs')
      await build({ entryPoints: [path.join(import.meta.dirname, 'budget-once.ts')], outfile: file, bundle: true, platform: 'node', format: 'esm', target: 'node24', banner: { js: BANNER }, logLevel: 'warning' })
      return JSON.parse(execFileSync(process.execPath, [file, String(minutes)], { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' })) as readonly Figure[]
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
}
