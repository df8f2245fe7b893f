// The test commands: `npm run check`, `npm test`, `npm run test:kernel`, `npm run test:cluster`.
//
// check: types, lint, and every test that needs no privileges. test: check and a sample of the kernel tests. kernel: all
// of those. cluster: a real cluster is made, tested and ended. Flags: --seed N (which tenth of the kernel cases `npm test` adds), --runs N (property tests), --only TEXT
// (test files whose path holds TEXT). **Invariant:** the last line is `N passed, N failed`, and the status is 0 only
// where nothing failed and every part ran.
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { conclude, failedPart, runPart, runTogether, type Part, type Result } from './support/summary.ts'
import { AFTERWARDS, CLUSTER_TESTS, OTHER_CLUSTER, goIsThere, type ClusterTest } from './cluster/tests.ts'

const root = path.resolve(import.meta.dirname, '..')
const MODULES = path.join(root, 'node_modules')
/** Those with the longest files first, so that none of them runs alone at the end. */
const FREE_FOLDERS = ['transitions', 'property', 'unit', 'golden', 'tidy']
const MINUTE = 60_000

interface Flags {
  readonly seed: number
  readonly runs: number | null
  readonly only: string | null
}

function filesBelow(folder: string, only: string | null): readonly string[] {
  const files = globSync(`test/${folder}/**/*.test.ts`, { cwd: root }).sort()
  return files.filter((file) => only === null || file.includes(only))
}

function tool(title: string, script: string, args: readonly string[]): Part {
  return { title, program: process.execPath, args: [path.join(MODULES, script), ...args], counts: 'tool', limit: 2 * MINUTE }
}

function mocha(title: string, files: readonly string[], args: readonly string[], env: Record<string, string>, limit: number): Part {
  const reporter = path.join(root, 'test/support/summary-reporter.ts')
  const common = ['--reporter', reporter, '--forbid-only', '--forbid-pending', '--full-trace']
  return {
    title,
    program: process.execPath,
    args: [path.join(MODULES, 'mocha/bin/mocha.js'), ...common, ...args, ...files],
    env,
    counts: 'tests',
    limit,
  }
}

async function check({ runs, only }: Flags): Promise<readonly Result[]> {
  const results: Result[] = []
  if (only === null) {
    results.push(await runPart(tool('types', 'typescript/bin/tsc', ['-p', root])))
    results.push(await runPart(tool('lint', 'oxlint/bin/oxlint', ['--type-aware', '--deny-warnings', 'src', 'test'])))
  }
  const files = FREE_FOLDERS.flatMap((folder) => filesBelow(folder, only))
  const env = runs === null ? {} : { PICKET_TEST_RUNS: String(runs) }
  const limit = runs === null ? 5 * MINUTE : 24 * 60 * MINUTE
  if (files.length > 0) results.push(await runPart(mocha(FREE_FOLDERS.join(', '), files, ['--parallel', '--jobs', '4', '--timeout', '20000'], env, limit)))
  return results
}

/**
 * Files that mostly wait for packets and count no time (two cores are half idle): two of them run at once. The others, which
 * flood, kill or count what the kernel does in a time, run alone.
 */
const SIDE_BY_SIDE = ['cases', 'random-cases', 'services', 'services-udp', 'services-policy', 'services-lab', 'services-lab-bridge', 'services-connections', 'services-bad-input', 'lab-services', 'rules-lifecycle', 'rules-lifecycle-more', 'rules-time-wait', 'rules-stale-udp', 'rules-reuse', 'rules-crafted', 'rules-isolation-selectors', 'rules-connections', 'rules-node-host-self', 'rules-packets', 'rules-ports', 'rules-fragments', 'rules-spoofing', 'rules-nat', 'rules-resets', 'check', 'check-services', 'cut-both-ways', 'bridge', 'masquerade']

/** One process a file: one that crashes must not take the others along. */
async function kernel(env: Record<string, string>, only: string | null, leftOut: readonly string[] = []): Promise<readonly Result[]> {
  const files = filesBelow('kernel', only).filter((file) => !leftOut.includes(file))
  if (files.length > 0 && process.getuid?.() !== 0) {
    return [failedPart('kernel', 'these tests make network namespaces and need root: run the command as root')]
  }
  const parts = files.map((file) => mocha(file, [file], ['--exit', '--timeout', '60000'], env, 30 * MINUTE))
  const isCalm = ({ title }: Part): boolean => SIDE_BY_SIDE.includes(path.basename(title, '.test.ts'))
  const results: Result[] = []
  for (const part of parts.filter((one) => !isCalm(one))) results.push(await runPart(part))
  return [...results, ...(await runTogether(parts.filter(isCalm), 2))]
}

/** Where `.ci/run` lets `npm test` say which kernel tests it ran whole, so that they are not run again minutes later; null for nobody else. */
const RAN_WHOLE = process.env['PICKET_RAN_WHOLE'] ?? null

/** Some files do less in a sample without naming what. */
function isWhole({ title, passed, failed, leftOut }: Result): boolean {
  return failed === 0 && passed > 0 && leftOut.length === 0 && title.endsWith('.test.ts') && !readFileSync(path.join(root, title), 'utf8').includes('PICKET_TEST_')
}

function ranWhole(): readonly string[] {
  if (RAN_WHOLE === null) return []
  const files = readFileSync(RAN_WHOLE, 'utf8').split('\n').filter((file) => file !== '')
  if (files.length > 0) process.stdout.write(`npm test has just run these whole: ${files.join(', ')}\n`)
  return files
}

/** One cluster for all files, in their order: the first installs Picket, the last takes it away. */
async function clusterTests(only: string | null): Promise<readonly Result[]> {
  if (process.getuid?.() !== 0) return [failedPart('cluster', 'its nodes are namespaces, which only root may make: run the command as root')]
  if (!goIsThere()) {
    process.stdout.write(`there is no "go" here, which builds the cluster's programs; not tested therefore: ${[...CLUSTER_TESTS, ...OTHER_CLUSTER.tests].map((one) => `${one.name} (${one.what})`).join(', ')}\n`)
    return []
  }
  const command = (title: string, limit: number, ...args: readonly string[]): Promise<Result> =>
    runPart({ title, program: process.execPath, args: [path.join(root, 'test/cluster/main.ts'), ...args], counts: 'tool', limit })
  const file = (name: string): Promise<Result> => {
    const test = `test/cluster/${name}.test.ts`
    return runPart(mocha(test, [test], ['--exit', '--timeout', '120000'], {}, 20 * MINUTE))
  }
  const wanted = (tests: readonly ClusterTest[]): readonly ClusterTest[] => tests.filter(({ name, needed }) => only === null || needed || name.includes(only))
  const results = [await command('the programs of the cluster', 40 * MINUTE, 'build')]
  const onCluster = async (title: string, flags: readonly string[], tests: readonly ClusterTest[]): Promise<void> => {
    if (results.some(({ failed, title: of }) => failed > 0 && of.startsWith('the programs'))) return
    const start = await command(title, 5 * MINUTE, 'up', '--replace', ...flags)
    results.push(start)
    if (start.failed > 0) return
    results.push(await command('the image', 15 * MINUTE, 'load-image'))
    for (const { name } of tests) results.push(await file(name))
  }
  const others = wanted(OTHER_CLUSTER.tests)
  await onCluster('a cluster of two nodes', [], wanted(CLUSTER_TESTS))
  if (others.length > 0) await onCluster(`another one: ${OTHER_CLUSTER.flags.join(' ')}`, OTHER_CLUSTER.flags, others)
  results.push(await command('the cluster ends', 2 * MINUTE, 'down'), await file(AFTERWARDS.name))
  return results
}

/** Files of which `npm test` runs each eighth one: they take long, and their rules are tested in others too. */
const ROTATING = ['bridge', 'canary', 'canary-agent', 'demo', 'repair', 'cutting', 'lab', 'rules-crafted', 'lab-bridge', 'rules-fragments', 'rules-reuse', 'gate', 'metrics-agent', 'node-enforcement', 'check', 'repair-agent', 'cleanup-node', 'testbed', 'tracer-calibration', 'masquerade', 'lab-services', 'services-lab', 'services-lab-bridge', 'services', 'services-policy', 'services-connections', 'services-udp', 'services-health', 'services-bad-input', 'check-services', 'rules-stale-udp', 'element-commits', 'affinity', 'client-sweep', 'conntrack-stale', 'log-rules', 'audit-reader']
/** And one of these. */
const SELDOM = ['crash', 'refusals', 'rules-nat', 'rules-resets', 'rules-time-wait', 'foreign-tables', 'cut-both-ways', 'bridge-strays', 'rules-lifecycle-more', 'soak', 'kube-bad-input', 'gate-ends']

function resting(seed: number): readonly string[] {
  const rests = (names: readonly string[], parts: number): readonly string[] => names.filter((_, index) => (index + seed) % parts !== 0)
  return [...rests(ROTATING, 8), ...rests(SELDOM, SELDOM.length)].map((name) => `test/kernel/${name}.test.ts`)
}

function readFlags(args: readonly string[]): Flags {
  const { values } = parseArgs({ args: [...args], options: { seed: { type: 'string' }, runs: { type: 'string' }, only: { type: 'string' } } })
  const number = (name: 'seed' | 'runs'): number | null => {
    const text = values[name]
    if (text !== undefined && !/^\d{1,9}$/.test(text)) throw new TypeError(`--${name}: expected a whole number, got "${text}"`)
    return text === undefined ? null : Number(text)
  }
  return { seed: number('seed') ?? Math.floor(Date.now() / 1000) % 1000, runs: number('runs'), only: values.only ?? null }
}

async function main([command, ...args]: readonly string[]): Promise<number> {
  const flags = readFlags(args)
  if (command === 'check') return conclude(await check(flags), [])
  if (command === 'kernel') return conclude(await kernel({ PICKET_TEST_WHOLE: '1' }, flags.only, ranWhole()), [])
  if (command === 'cluster') return conclude(await clusterTests(flags.only), [])
  if (command !== 'test') throw new TypeError('expected check, test, kernel or cluster')
  process.stdout.write(`seed ${flags.seed} (again: npm test -- --seed ${flags.seed})\n`)
  const leftOut = flags.only === null ? resting(flags.seed) : []
  const checked = await check(flags)
  const sample = await kernel({ PICKET_TEST_SEED: String(flags.seed) }, flags.only, leftOut)
  const results = [...checked, ...sample]
  if (RAN_WHOLE !== null) writeFileSync(RAN_WHOLE, sample.filter(isWhole).map(({ title }) => `${title}\n`).join(''))
  const sampled = results.some((result) => result.leftOut.length > 0)
  return conclude(results, [
    ...(leftOut.length > 0 ? [`${leftOut.join(', ')}, by seed ${flags.seed}`] : []),
    ...(sampled ? [`the kernel cases above, by seed ${flags.seed}; npm run test:kernel runs them all`] : []),
  ])
}

process.chdir(root)
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  // parseArgs throws TypeErrors that say what is wrong.
  if (!(error instanceof TypeError)) throw error
  process.stderr.write(`picket: ${error.message}\n`)
  process.exitCode = 2
}
