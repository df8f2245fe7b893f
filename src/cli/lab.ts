// `picket lab`: a cluster in network namespaces on this machine, to try policies on real packets.
//
// Puts the subcommands together; each is a file lab-*.ts. **Invariant:** nothing of the lab is imported before one of
// its commands runs, and none of them touches anything but what the lab made itself.
import { Command } from 'commander'
import { casesCommand } from './lab-cases.ts'
import { daemonCommand, downCommand, upCommand } from './lab-up.ts'
import { execCommand, matrixCommand, probeCommand } from './lab-ask.ts'

export function command(): Command {
  return new Command('lab')
    .enablePositionalOptions()
    .description('a cluster in network namespaces: try policies on real packets')
    .addHelpText('after', '\nBegin with: picket lab up -f DIR; then picket lab matrix; at the end picket lab down. Needs root.')
    .addCommand(upCommand())
    .addCommand(matrixCommand())
    .addCommand(probeCommand())
    .addCommand(execCommand())
    .addCommand(downCommand())
    .addCommand(casesCommand())
    .addCommand(daemonCommand(), { hidden: true })
}
