// `picket cleanup`: removes Picket's tables from this node, and nothing else.
//
// **Invariant:** only tables of our names are named to the kernel; running it twice is no error.
import { Command } from 'commander'
import { outputOption } from './options.ts'
import { print, printJson } from './output.ts'
import { PicketError } from '../lib/errors.ts'
import type { Table } from '../nft/objects.ts'

export function command(): Command {
  return new Command('cleanup')
    .description("remove Picket's tables from this node, and nothing else")
    .addOption(outputOption('text', 'json'))
    .action(async (options: { output: string }) => {
      const [{ openKernel }, { TABLE }] = await Promise.all([import('../kernel/open.ts'), import('../ruleset/skeleton.ts')])
      const kernel = await openKernel({ access: 'auto', onNote: () => undefined })
      try {
        const removed: string[] = []
        for (const table of [TABLE, { family: 'bridge', name: TABLE.name } satisfies Table]) {
          const there = await kernel.readBack(table)
          if (there.kind === 'absent') continue
          const outcome = await kernel.deleteTable(table)
          if (outcome.kind !== 'acknowledged') throw new PicketError('CleanupFailed', `table ${table.family} ${table.name}: ${outcome.message}; run it again`)
          removed.push(`${table.family} ${table.name}`)
        }
        if (options.output === 'json') return printJson({ removed })
        print(removed.length === 0 ? 'nothing to remove: no table of Picket is here' : `removed: table ${removed.join(', table ')}`)
      } finally {
        await kernel.close()
      }
    })
}
