// `npm run build [-- FOLDER]`: bundles main and each worker into one flat folder of ESM files, dist/ by default.
//
// koffi stays outside, since it loads a native file of its own; pino wants a `require`, hence the banner. dist/main.js
// is what `bin` names. **Invariant:** one entry for each worker of lib/workers.ts, under the name it is started by.
import { build } from 'esbuild'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { WORKERS } from '../lib/workers.ts'

const source = fileURLToPath(new URL('..', import.meta.url))
const outdir = path.resolve(process.argv[2] ?? path.join(source, '../dist'))

const entryPoints = { main: path.join(source, 'main.ts') }
for (const [name, file] of Object.entries(WORKERS)) entryPoints[name] = path.join(source, file)

await build({
  entryPoints,
  outdir,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  external: ['koffi'],
  banner: { js: "import { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)" },
  logLevel: 'warning',
})
process.stderr.write(`picket: built ${Object.keys(entryPoints).map((name) => `${name}.js`).join(', ')} in ${path.relative('.', outdir) || '.'}\n`)
