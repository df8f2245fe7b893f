// `picket lab run CASES.json`: proves cases with real packets, in a lab of their own.
//
// Reads the whole file first, then prints each step as it is done. **Invariant:** exit status 0 only if everything that
// was expected was observed; 1 for a mismatch, 2 for a file that cannot be used or a step that says nothing.
import fs from 'node:fs'
import { Command } from 'commander'
import { messageOf, PicketError } from '../lib/errors.ts'
import { parseCaseFile } from '../lab/case-file.ts'
import type { PolicyCase } from '../lab/case-types.ts'
import { endKilledRuns } from '../lab/remains.ts'
import { placesOf } from '../lab/places.ts'
import { runCases, type CaseRun } from '../lab/run-cases.ts'
import { caseLine, mismatchTables, problemLines, summaryOf } from './lab-case-report.ts'
import type { PodAttachment } from '../lab/testbed.ts'
import { attachmentOption, collect, nodesOption, progressOnStderr } from './lab-options.ts'
import { runServiceCases } from './lab-services.ts'
import { outputOption } from './options.ts'
import { print, printJson } from './output.ts'

interface RunOptions {
  readonly case?: readonly string[]
  readonly nodes: number
  readonly attachment: PodAttachment
  readonly output: string
}

export function casesCommand(): Command {
  return new Command('run')
    .description('run cases of policies or of Services with real packets; exit status 0 as expected, 1 mismatches, 2 unusable')
    .argument('<file>', 'a file of cases, such as test/cases/networkpolicy.json or test/cases/services.json')
    .option('--case <id>', 'only this case (of a file of scenarios: its number); may be given several times', collect)
    .addOption(nodesOption(2))
    .addOption(attachmentOption())
    .addOption(outputOption('table', 'json'))
    .action(run)
}

async function run(file: string, options: RunOptions): Promise<void> {
  const content = parseCaseFile(readCaseFile(file), file, options.case ?? [])
  const packets = content.kind === 'policy' || content.scenarios.length > 0
  if (packets && process.getuid?.() !== 0) throw new PicketError('NotRoot', 'the lab makes network namespaces, which takes root: run it with sudo')
  const interrupt = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt.abort(new PicketError('Interrupted', `interrupted by ${signal}; the lab was removed`)))
  process.exitCode = content.kind === 'policy' ? await runPolicyCases(content.cases, options, interrupt.signal) : await runServiceCases(content, options, interrupt.signal)
}

async function runPolicyCases(cases: readonly PolicyCase[], options: RunOptions, interrupt: AbortSignal): Promise<0 | 1 | 2> {
  // A name of its own, so that it stands beside a lab that is up, and beside other runs.
  const places = placesOf(`r${process.pid}`)
  await endKilledRuns()
  const runs: CaseRun[] = []
  const started = performance.now()
  const table = options.output === 'table'
  const total = cases.length
  const progress = progressOnStderr()
  // Only until the first result: after that the results are the progress.
  const onProgress = (text: string): void => (runs.length === 0 ? progress(text) : undefined)
  for await (const one of runCases(cases, { places, nodes: options.nodes, attachment: options.attachment, onProgress }, interrupt)) {
    runs.push(one)
    if (!table) {
      printJson(one.result, 'line')
      continue
    }
    // A line a case, once its last step is done.
    const own = runs.filter((other) => other.of === one.of)
    if (own.length < one.of.steps.length) continue
    print(caseLine(own, cases.indexOf(one.of) + 1, total))
    for (const other of own) for (const text of [...problemLines(other), ...mismatchTables(other)]) print(text)
  }
  if (table) print(`\n${summaryOf(runs, performance.now() - started)}`)
  const unusable = runs.some(({ result }) => result.unusable !== undefined)
  return unusable ? 2 : runs.some(({ result }) => result.mismatches.length > 0) ? 1 : 0
}

function readCaseFile(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch (error) {
    throw new PicketError('InvalidCaseFile', `${file}: ${messageOf(error)}; expected a file of cases`)
  }
}
