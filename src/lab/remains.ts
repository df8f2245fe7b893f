// Ends what a lab left behind whose daemon died: its processes, namespaces, socket and folder.
//
// Used by `lab up`, `lab down` and `lab run`. **Invariant:** a process is ended only if its command line names this
// lab's own folder or the lab by name; nothing else on the machine is looked at twice.
import fs from 'node:fs'
import { labOwner, namespacesOf, removeLeftovers } from './leftovers.ts'
import { placesOf, type LabPlaces } from './places.ts'

/** How long a process may take to end by itself. */
const PATIENCE_MS = 2_000

/** Whether there was anything. */
export async function endLeftovers(places: LabPlaces): Promise<boolean> {
  const processes = processesOf(places)
  for (const pid of processes) signal(pid, 'SIGTERM')
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until && processes.some(isThere); ) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  for (const pid of processes) signal(pid, 'SIGKILL')
  await removeLeftovers(places.prefix)
  const found = processes.length > 0 || fs.existsSync(places.folder) || fs.existsSync(places.socket)
  fs.rmSync(places.folder, { recursive: true, force: true })
  fs.rmSync(places.socket, { force: true })
  return found
}

/**
 * Ends what runs that were killed left behind: labs whose name is `rPID` or `dPID` (`lab run`, the demo) and that no
 * living process carries.
 */
export async function endKilledRuns(): Promise<void> {
  const names = new Set(namespacesOf('picket-lab-').flatMap((name) => /^picket-lab-([rd]\d+)-/.exec(name)?.[1] ?? []))
  for (const name of names) {
    const places = placesOf(name)
    if (labOwner(places.prefix) === null) await endLeftovers(places)
  }
}

/** Agents (their socket is in the lab's folder) and the daemon (`lab daemon --name NAME`). */
function processesOf(places: LabPlaces): readonly number[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      const args = argumentsOf(pid)
      const at = args.indexOf('daemon')
      const daemon = at > 0 && args[at - 1] === 'lab' && args[at + 1] === '--name' && args[at + 2] === places.name
      const agent = args.includes('agent') && args.some((one) => one.startsWith(`${places.folder}/`))
      return daemon || agent
    })
    .map(Number)
}

function argumentsOf(pid: string): readonly string[] {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It is gone.
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
