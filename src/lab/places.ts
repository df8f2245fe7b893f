// Where a lab of some name keeps its files, sockets and namespaces.
//
// **Invariant:** everything of a lab is found from its name alone, so that a lab whose daemon died can be removed.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { PicketError } from '../lib/errors.ts'

export interface LabPlaces {
  readonly name: string
  /** Begins the name of each of its network namespaces; ends with a dash, so that no lab's prefix begins another's. */
  readonly prefix: string
  /** The daemon's socket. */
  readonly socket: string
  /** Everything else: the agents' folder, their sockets and logs. Short, since a socket's path has at most 107 bytes. */
  readonly folder: string
  readonly manifests: string
  readonly daemonLog: string
  readonly agentLog: (node: string) => string
  readonly agentSocket: (node: string) => string
}

export const DEFAULT_LAB = 'default'

/** Throws a PicketError where `name` is not 1-8 of a-z and 0-9, beginning with a letter: it is part of interface names. */
export function placesOf(name: string): LabPlaces {
  if (!/^[a-z][a-z0-9]{0,7}$/.test(name)) {
    throw new PicketError('InvalidFlag', `--name ${name}: expected 1 to 8 of a-z and 0-9, beginning with a letter`)
  }
  const root = runFolder()
  const folder = path.join(root, `lab-${name}`)
  return {
    name,
    prefix: `picket-lab-${name}-`,
    socket: path.join(root, `lab-${name}.sock`),
    folder,
    manifests: path.join(folder, 'manifests'),
    daemonLog: path.join(folder, 'daemon.log'),
    agentLog: (node) => path.join(folder, `agent-${node}.log`),
    agentSocket: (node) => path.join(folder, `agent-${node}.sock`),
  }
}

/** /run/picket, or a folder under the system's one for temporary files where /run cannot be written. */
function runFolder(): string {
  try {
    fs.mkdirSync('/run/picket', { recursive: true })
    fs.accessSync('/run/picket', fs.constants.W_OK)
    return '/run/picket'
  } catch {
    const folder = path.join(os.tmpdir(), 'picket')
    fs.mkdirSync(folder, { recursive: true })
    return folder
  }
}

/** This program's own command line: from source src/main.ts, in the bundle dist/main.js, whatever started us. */
export function ownCommand(): readonly string[] {
  const entry = import.meta.url.endsWith('.ts') ? new URL('../main.ts', import.meta.url) : new URL('./main.js', import.meta.url)
  return [process.execPath, entry.pathname]
}
