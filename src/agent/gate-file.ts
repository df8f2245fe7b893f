// What pods were given, kept in a file beside the socket, so that an agent's restart closes no pod that has just begun.
//
// **Invariant:** the file is replaced whole or not at all; one that cannot be read counts as empty, and is told.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { messageOf } from '../lib/errors.ts'
import type { KeptEntry } from './gate-overlay.ts'
import { readGateRequest } from './gate-request.ts'
import { addressOf } from '../decode/addresses.ts'

/** `/run/picket/agent.sock` -> `/run/picket/agent.gate.json` */
export function gateFileOf(socket: string): string {
  return `${socket.replace(/\.sock$/, '')}.gate.json`
}

/** Never throws: what it cannot read, it tells, and pods that just began wait for what the API says of them. */
export async function loadGate(file: string, onNote: (note: string) => void): Promise<readonly KeptEntry[]> {
  try {
    const content: unknown = JSON.parse(await readFile(file, 'utf8'))
    if (!Array.isArray(content)) throw new Error('expected a list')
    return content.map((item: { entry?: unknown; before?: unknown }) => {
      const before = Array.isArray(item.before) ? item.before.flatMap((one) => addressOf(one) ?? []) : []
      return { entry: readGateRequest(item.entry).entry, before }
    })
  } catch (error) {
    // Where its folder is none, the socket beside it says so.
    if (!['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) onNote(`${file}: cannot be read (${messageOf(error)}); pods that began just now wait until the API server tells their addresses`)
    return []
  }
}

/** Writes one state after the other; states that came in between are left out. */
export class GateFile {
  readonly #file: string
  readonly #state: () => readonly KeptEntry[]
  readonly #onNote: (note: string) => void
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null

  constructor(file: string, state: () => readonly KeptEntry[], onNote: (note: string) => void) {
    this.#file = file
    this.#state = state
    this.#onNote = onNote
  }

  /** Resolves when the file holds what is true now. Never rejects: a file that cannot be written costs a restart only. */
  save(): Promise<void> {
    if (this.#running === null) return this.#start()
    this.#next ??= this.#running.then(() => {
      this.#next = null
      return this.#start()
    })
    return this.#next
  }

  #start(): Promise<void> {
    this.#running = this.#write().finally(() => (this.#running = null))
    return this.#running
  }

  async #write(): Promise<void> {
    const draft = `${this.#file}.new`
    try {
      await writeFile(draft, JSON.stringify(this.#state()), { mode: 0o600 })
      await rename(draft, this.#file)
    } catch (error) {
      this.#onNote(`${this.#file}: cannot be written (${messageOf(error)}); a restart of the agent now would close pods that began just before`)
    }
  }
}
