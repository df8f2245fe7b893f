// The command line: arguments -> a command of cli/ -> exit status 0 yes, 1 no, 2 could not ask.
//
// Each command is a file of cli/, listed in cli/commands.ts; a command that has asked and got "no" for an answer sets
// process.exitCode = 1 itself. **Invariant:** a PicketError is one line on stderr, never a stack; anything else that
// reaches this file is a bug of ours, and says so.
import { runProgram } from './cli/program.ts'
import { commandLine, isDebug } from './config.ts'
import { messageOf, PicketError } from './lib/errors.ts'

/** Prints the error and ends the process with the status that it stands for. */
function fail(error: unknown): never {
  if (error instanceof PicketError) {
    process.stderr.write(`picket: ${error.message}\n`)
    process.exit(error.exit)
  }
  process.stderr.write(`picket: internal error: ${messageOf(error)}\n`)
  if (isDebug()) process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`)
  else process.stderr.write('picket: this is a bug; PICKET_DEBUG=1 shows where\n')
  process.exit(2)
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
// `picket ... | head`: the reader has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? process.exit(0) : fail(error)))

await runProgram(commandLine()).catch(fail)
