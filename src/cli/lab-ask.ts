// `picket lab matrix`, `picket lab probe`, `picket lab exec`: questions to a lab that is up.
//
// Each asks the daemon and shows its answer. **Invariant:** `probe` ends with 0 where the destination is reached, 1 where
// it is denied, 2 where that could not be found out; `exec` with the command's own status.
import { spawn } from 'node:child_process'
import os from 'node:os'
import { Command } from 'commander'
import { PicketError } from '../lib/errors.ts'
import { formatProblem } from '../lib/problem.ts'
import { ask, type ProbeAnswer } from '../lab/daemon-protocol.ts'
import type { MatrixCell } from '../lab/matrix.ts'
import { placesOf } from '../lab/places.ts'
import { parsePort } from '../lab/probe-name.ts'
import { nameOption, progressOnStderr } from './lab-options.ts'
import { fromOption, namespaceOption, outputOption, toOption } from './options.ts'
import { formatTable, print, printJson } from './output.ts'

interface MatrixOptions {
  readonly port?: string
  readonly namespace?: string
  readonly output: string
  readonly name: string
}

export function matrixCommand(): Command {
  return new Command('matrix')
    .description('who reaches whom, measured with packets')
    .option('--port <port>', 'PORT/PROTOCOL of every pod, such as 8080/tcp (default: the first port of each)')
    .addOption(namespaceOption())
    .addOption(outputOption('table', 'json', 'csv'))
    .addOption(nameOption())
    .action(async (options: MatrixOptions) => {
      if (options.port !== undefined) parsePort(options.port)
      const request = { command: 'matrix', port: options.port ?? null, namespace: options.namespace ?? null } as const
      const { cells, problems } = await ask(placesOf(options.name).socket, request, progressOnStderr())
      if (options.output === 'json') return printJson({ cells })
      if (options.output === 'csv') return print(matrixCsv(cells))
      print(matrixTable(cells))
      for (const { problem, nodes } of problems) print(`${formatProblem(problem)} (${nodes.join(', ')})`)
    })
}

/** One line a pair; nothing where it was not asked. */
export function matrixCsv(cells: readonly MatrixCell[]): string {
  const value = (one: boolean | null): string => (one === null ? '' : String(one))
  const lines = cells.map((one) => [one.from, one.to, one.port, value(one.reaches), value(one.v4), value(one.v6)].join(','))
  return ['from,to,port,reaches,v4,v6', ...lines].join('\n')
}

/** Rows are sources, columns destinations, numbered so that the table stays narrow. */
export function matrixTable(cells: readonly MatrixCell[]): string {
  const rows = [...new Set(cells.map((one) => one.from))]
  const columns = [...new Map(cells.map((one) => [one.to, one])).values()]
  const at = new Map(cells.map((one) => [`${one.from} ${one.to}`, one]))
  const body = rows.map((from, index) => [
    columns[index]?.to === from ? `${index + 1} ${from}` : `  ${from}`,
    ...columns.map(({ to }) => cellText(at.get(`${from} ${to}`))),
  ])
  const legend = columns.map((one, index) => `${String(index + 1).padStart(3)}  ${one.to} ${one.port}`)
  return [formatTable(['from \\ to', ...columns.map((_, index) => index + 1).map(String)], body), '', ...legend, '', 'yes: reaches; -: does not; v4, v6: that family only; blank: not asked (no such port or family).'].join('\n')
}

function cellText(cell: MatrixCell | undefined): string {
  if (cell === undefined || cell.reaches === null) return ''
  if (cell.reaches) return 'yes'
  return cell.v4 === true ? 'v4' : cell.v6 === true ? 'v6' : '-'
}

interface ProbeOptions {
  readonly from: string
  readonly to: string
  readonly port: string
  readonly output: string
  readonly name: string
}

export function probeCommand(): Command {
  return new Command('probe')
    .description('does one pod reach another, or an address? exit status 0 reaches, 1 denied, 2 could not ask')
    .addOption(fromOption().makeOptionMandatory())
    .addOption(toOption().makeOptionMandatory())
    .requiredOption('--port <port>', 'PORT/PROTOCOL, such as 80/tcp')
    .addOption(outputOption('table', 'json'))
    .addOption(nameOption())
    .addHelpText('after', '\nBesides pods, --from and --to take "outside" (a host beyond the cluster) and "node:NAME"; --to takes NAMESPACE/svc/NAME and addresses, too, and with "node:NAME" node ports.')
    .action(async ({ from, to, port, output, name }: ProbeOptions) => {
      parsePort(port)
      const answer = await ask(placesOf(name).socket, { command: 'probe', from, to, port }, progressOnStderr())
      if (output === 'json') printJson(answer)
      else print(probeText(answer))
      if (!answer.reaches) process.exitCode = 1
    })
}

function probeText(answer: ProbeAnswer): string {
  const lines = answer.probes.map(({ address, result, by, ms, message }) => {
    const what = result === 'reaches' ? `reached in ${ms} ms${by === answer.to ? '' : `, answered by ${by}`}` : result === 'denied' ? 'denied (no answer)' : `not reached: ${message}`
    return `  ${address} ${answer.port}: ${what}`
  })
  return [`${answer.from} ${answer.reaches ? 'reaches' : 'does not reach'} ${answer.to} on ${answer.port}`, ...lines].join('\n')
}

export function execCommand(): Command {
  return new Command('exec')
    .description('run a command in the network of a pod, of node:NAME or outside')
    .argument('<who>', 'NAMESPACE/POD, node:NAME or outside')
    .argument('<command...>', 'the command, after --')
    .addOption(nameOption())
    .passThroughOptions()
    .action(async (who: string, command: readonly string[], { name }: { name: string }) => {
      const { netns } = await ask(placesOf(name).socket, { command: 'where', who })
      // Commander keeps the -- where options of ours come first.
      process.exitCode = await runIn(netns, command[0] === '--' ? command.slice(1) : command)
    })
}

/** The command's exit status; 128 and more where a signal ended it, as shells say it. */
function runIn(netns: string, command: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    // Ctrl-C is the command's: it gets the signal too, and says how it ended.
    process.on('SIGINT', () => {})
    const child = spawn('nsenter', [`--net=${netns}`, '--', ...command], { stdio: 'inherit' })
    child.on('error', (error) => reject(new PicketError('NoCommand', `nsenter: ${error.message}; it is part of util-linux`)))
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : os.constants.signals[signal])))
  })
}
