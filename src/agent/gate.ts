// The pod-start gate: a pod's network plugin tells what it gave the pod, and is answered when the kernel judges that pod's packets.
//
//   socket -> request -> overlay -> inbox ... turn -> is the pod in the plan? -> commit -> answer
//
// **Invariant:** "programmed" is answered only after a commit was acknowledged that holds the plan in which the pod was found.
import type { AgentConfig } from '../settings.ts'
import { PicketError } from '../lib/errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { Revision, SourceEvent } from '../model/changes.ts'
import { GateFile, gateFileOf, loadGate } from './gate-file.ts'
import { hopeless, missingOf, titleOf } from './gate-missing.ts'
import { GateOverlay } from './gate-overlay.ts'
import { readGateRequest, readSandbox, type GateEntry, type GateRequest, type Sandbox } from './gate-request.ts'
import type { Turns } from './turn.ts'

export interface GateOptions {
  readonly clock: Clock
  readonly config: Pick<AgentConfig, 'nodeName' | 'socket'>
  readonly turns: Turns
  /** Puts events into the inbox, and plans a turn in any case. */
  readonly push: (events: readonly SourceEvent[]) => void
  /** The revision up to which the kernel holds every table; 0 before the first. */
  readonly held: () => Revision
  /** Why the kernel does not hold what is wanted, or what is waited for before anything is written. */
  readonly trouble: () => string
  readonly onNote: (note: string) => void
}

/** Status of HTTP and what is said with it. */
export interface GateReply {
  readonly status: 200 | 400 | 409 | 503 | 504
  readonly body: unknown
}

interface Waiting {
  readonly entry: GateEntry
  /** The revision since which the plan has it; null while it has not. */
  since: Revision | null
  readonly answer: (reply: GateReply) => void
}

export class PodGate {
  readonly #options: GateOptions
  readonly #overlay: GateOverlay
  readonly #file: GateFile
  readonly #waiting = new Set<Waiting>()
  #saved = 0
  #saving: Promise<void> = Promise.resolve()

  private constructor(options: GateOptions, overlay: GateOverlay) {
    this.#options = options
    this.#overlay = overlay
    this.#file = new GateFile(gateFileOf(options.config.socket), () => overlay.kept, options.onNote)
  }

  /** To be opened before any source is. */
  static async open(options: GateOptions): Promise<PodGate> {
    const kept = await loadGate(gateFileOf(options.config.socket), options.onNote)
    return new PodGate(options, new GateOverlay((pod) => pod.node === options.config.nodeName, kept))
  }

  /** By method and path. */
  get asked(): Readonly<Record<string, (body: unknown, signal: AbortSignal) => Promise<GateReply>>> {
    return {
      'POST /gate/pods': (body, signal) => this.add(body, signal),
      'DELETE /gate/pods': (body) => this.remove(body),
      'POST /gate/check': (body, signal) => this.check(body, signal),
    }
  }

  /** Every event of a source passes here on its way to the inbox. */
  take(event: SourceEvent): readonly SourceEvent[] {
    return this.#overlay.take(event)
  }

  /** A sandbox was made: answers 200 when the pod is programmed, 504 with what is missing when the time is over. */
  add(body: unknown, signal: AbortSignal): Promise<GateReply> {
    return this.#guard(async () => {
      const request = readGateRequest(body)
      const { entry } = request
      for (const other of this.#waiting) {
        if (sameSandbox(other.entry, entry)) other.answer(refused(409, `${titleOf(entry)}: its plugin asked once more`))
      }
      this.#options.push(this.#overlay.add(entry))
      const reply = await this.#programmed(request, signal)
      if (!signal.aborted) this.#options.push(this.#overlay.settle(entry))
      await this.#save()
      return reply
    })
  }

  /** Whether it is programmed: as add(), without giving it anything. */
  check(body: unknown, signal: AbortSignal): Promise<GateReply> {
    return this.#guard(() => {
      this.#options.push([])
      return this.#programmed(readGateRequest(body), signal)
    })
  }

  /** The sandbox is taken back. Twice is no error, nor what was never told. */
  remove(body: unknown): Promise<GateReply> {
    return this.#guard(async () => {
      const sandbox = readSandbox(body)
      for (const other of this.#waiting) {
        if (sameSandbox(other.entry, sandbox)) other.answer(refused(409, `${titleOf(other.entry)}: its sandbox was taken back while its plugin waited`))
      }
      const events = this.#overlay.remove(sandbox)
      if (events !== null) this.#options.push(events)
      await this.#save()
      return { status: 200, body: { removed: events !== null } }
    })
  }

  /** A turn has ended. */
  turned(): void {
    for (const { entry, answer } of this.#waiting) {
      const never = hopeless(entry, this.#overlay.podOf(entry))
      if (never !== null) answer(refused(409, never))
    }
    this.held()
    void this.#save()
  }

  /** The kernel may hold more than before, and the plan may be another: a search for what the kernel refuses changes it, too. */
  held(): void {
    const held = this.#options.held()
    for (const waiting of this.#waiting) {
      waiting.since = this.#missing(waiting.entry) === null ? (waiting.since ?? this.#options.turns.revision) : null
      if (waiting.since !== null && held >= waiting.since) waiting.answer({ status: 200, body: { programmed: true, revision: held } })
    }
  }

  async close(): Promise<void> {
    for (const { entry, answer } of this.#waiting) answer(refused(503, `${titleOf(entry)}: the agent stops; ask the next one`))
    await this.#save()
  }

  #programmed({ entry, timeoutMs }: GateRequest, signal: AbortSignal): Promise<GateReply> {
    const { clock } = this.#options
    const began = clock.now()
    return new Promise((resolve) => {
      const end = (reply: GateReply): void => {
        cancel()
        signal.removeEventListener('abort', gone)
        this.#waiting.delete(waiting)
        resolve(reply)
      }
      const waiting: Waiting = { entry, since: null, answer: (reply) => end(reply.status === 200 ? { ...reply, body: { ...(reply.body as object), ms: Math.round(clock.now() - began) } } : reply) }
      const gone = (): void => end(refused(503, 'the plugin is gone'))
      const cancel = clock.after(timeoutMs, () => end(refused(504, `${titleOf(entry)} is not programmed after ${Math.round(timeoutMs / 100) / 10} s: ${this.#missing(entry) ?? `the kernel does not hold it yet: ${this.#options.trouble()}`}`)))
      signal.addEventListener('abort', gone)
      this.#waiting.add(waiting)
    })
  }

  #missing(entry: GateEntry): string | null {
    const { config, turns, trouble } = this.#options
    const { snapshot } = turns
    if (snapshot === null) return trouble()
    return missingOf(entry, { nodeName: config.nodeName, plan: turns.plan, snapshot, row: this.#overlay.podOf(entry) })
  }

  /** Resolves when the file holds at least what is true now. */
  #save(): Promise<void> {
    if (this.#saved !== this.#overlay.version) {
      this.#saved = this.#overlay.version
      this.#saving = this.#file.save()
    }
    return this.#saving
  }

  async #guard(ask: () => Promise<GateReply>): Promise<GateReply> {
    try {
      return await ask()
    } catch (error) {
      if (error instanceof PicketError) return refused(400, error.message)
      throw error
    }
  }
}

function refused(status: GateReply['status'], error: string): GateReply {
  return { status, body: { error } }
}

function sameSandbox(a: Sandbox, b: Sandbox): boolean {
  return a.containerId === b.containerId && a.ifname === b.ifname
}
