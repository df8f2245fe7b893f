// `picket version`: which Picket, which Node runs it, which nft it would find.
//
// Says what a bug report needs. **Invariant:** it needs no privileges and changes nothing; a missing nft is an
// answer, not an error.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { Command } from 'commander'
import manifest from '../../package.json' with { type: 'json' }
import { programFolders } from '../config.ts'
import { outputOption } from './options.ts'
import { print, printJson } from './output.ts'

export interface Versions {
  readonly picket: string
  readonly node: string
  /** `1.0.6`; null where there is no nft, or none that runs. */
  readonly nft: string | null
}

export function versions(): Versions {
  return { picket: manifest.version, node: process.versions.node, nft: nftVersion() }
}

/** `nftables v1.0.6 (Lester Gooch #5)` -> `1.0.6`. */
function nftVersion(): string | null {
  const program = programFolders().map((folder) => path.join(folder, 'nft')).find((file) => existsSync(file))
  if (program === undefined) return null
  try {
    const text = execFileSync(program, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 5000 })
    return /v(\d[\w.]*)/.exec(text)?.[1] ?? null
  } catch {
    return null
  }
}

export function command(): Command {
  return new Command('version')
    .description('show the versions of picket, Node and nft')
    .addOption(outputOption('text', 'json'))
    .action((options: { output: string }) => {
      const found = versions()
      if (options.output === 'json') return printJson(found)
      print(`picket  ${found.picket}\nnode    ${found.node}\nnft     ${found.nft ?? 'not found (Debian: apt-get install nftables)'}`)
    })
}
