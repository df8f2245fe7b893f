// Puts the command tree together: the commands that are wanted in full, the others by name and summary.
//
// main.ts runs it and turns what it throws into an exit status. **Invariant:** commander never prints an error and
// never ends the process: usage errors leave here as PicketError with exit status 2.
import { Command, CommanderError } from 'commander'
import manifest from '../../package.json' with { type: 'json' }
import { PicketError } from '../lib/errors.ts'
import { COMMANDS } from './commands.ts'

/** The tree for `args`. 'all' builds every command in full: completion and documentation walk it. */
export async function buildProgram(args: readonly string[] | 'all'): Promise<Command> {
  const program = new Command('picket')
    .description('NetworkPolicy enforcement for Kubernetes on nftables')
    .version(manifest.version)
    .addHelpText('after', '\nExit status: 0 yes or done, 1 no, 2 could not ask. Help on a command: picket COMMAND --help')
  for (const entry of COMMANDS) {
    // `picket NAME ...` and `picket help NAME`.
    const wanted = args === 'all' || args.slice(0, 2).includes(entry.name)
    if (wanted) program.addCommand((await entry.load()).command())
    else program.command(entry.name).description(entry.summary)
  }
  tame(program)
  return program
}

/** Makes a command, and those below it, throw instead of printing and ending the process. */
function tame(command: Command): void {
  const path = pathOf(command)
  command.exitOverride((error) => {
    throw error.exitCode === 0 ? error : usageError(error, path)
  })
  command.configureOutput({ outputError: () => {} })
  // Without a subcommand commander would print the help as an error and end with 1.
  if (command.commands.length > 0) {
    command.action(() => {
      const visible = command.createHelp().visibleCommands(command).map((one) => one.name())
      const names = visible.filter((name) => name !== 'help').join(', ')
      const [first] = command.args
      const fault = first === undefined ? 'a command is missing' : `unknown command '${first}'`
      throw new PicketError('Usage', `${fault}; expected ${path} with one of ${names}; see "${path} --help"`)
    })
    command.allowExcessArguments(true).helpCommand(true)
  }
  for (const child of command.commands) tame(child)
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}

function usageError(error: CommanderError, path: string): PicketError {
  const message = error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ')
  return new PicketError('Usage', `${message.replace(/\.$/, '')}; see "${path} --help"`)
}

/** Runs the command line. Throws PicketError for whatever is the user's to mend. */
export async function runProgram(args: readonly string[]): Promise<void> {
  const program = await buildProgram(args)
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    // Help and the like: printed already.
    if (error instanceof CommanderError && error.exitCode === 0) return
    throw error
  }
}
