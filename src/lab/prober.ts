// Rounds of probes, one per host -> their outcomes: everything goes out at once, again while it is pending, until the deadline.
//
// The hosts of one worker send one after the other, with a turn of the event loop between them, so that its servers
// answer meanwhile. **Invariant:** a probe is silent only after the deadline, counted from the last first sending, and
// after everything that had arrived by then was read.
import { randomBytes } from 'node:crypto'
import { messageOf } from '../lib/errors.ts'
import type { LabHost } from './host.ts'
import type { Probe, ProbeOutcome } from './messages.ts'
import { canReach, type ProbeKind, type RoundContext, SctpProbes, TcpProbes, UdpProbes } from './probe-kinds.ts'
import type { Reply } from './wire.ts'

/** Milliseconds after the first sending; those at or after the deadline are left out. */
const AGAIN = [100, 250, 500, 1000, 2000]
/** A packet that is sent so close before the deadline has no chance. Milliseconds. */
const TOO_LATE = 30

/** Runs `action` with the thread in a namespace; resolves when all that it started is bound to it. */
export type InNamespace = (netns: string, action: () => void) => Promise<void>

/** Outcomes in the order of `probes`. `deadlineMs` above 0. */
export async function runRounds(
  rounds: readonly { readonly host: LabHost; readonly probes: readonly Probe[] }[],
  deadlineMs: number,
  inNamespace: InNamespace,
): Promise<readonly (readonly ProbeOutcome[])[]> {
  if (rounds.length === 0) return []
  const done = Promise.withResolvers<void>()
  let open = rounds.length
  const running = rounds.map(({ host, probes }) => new Round(host, probes, () => {
    if (--open === 0) done.resolve()
  }))
  for (const round of running) {
    await round.sendIn(inNamespace)
    await nextTurn()
  }
  const again = AGAIN.filter((ms) => ms + TOO_LATE < deadlineMs)
  const timers = again.map((ms) => setTimeout(() => void sendAgain(running, inNamespace), ms))
  timers.push(setTimeout(() => void readOut(running).then(done.resolve), deadlineMs))
  await done.promise
  for (const timer of timers) clearTimeout(timer)
  return running.map((round) => round.finish())
}

async function sendAgain(rounds: readonly Round[], inNamespace: InNamespace): Promise<void> {
  for (const round of rounds) {
    if (round.pending > 0) await round.sendIn(inNamespace)
  }
}

/** Lets what has arrived be read: turns of the event loop for as long as they settle something, and two more. */
async function readOut(rounds: readonly Round[]): Promise<void> {
  const pending = (): number => rounds.reduce((sum, round) => sum + round.pending, 0)
  for (let idle = 0, turns = 0; idle < 2 && turns < 100; turns++) {
    const before = pending()
    await nextTurn()
    idle = pending() === before ? idle + 1 : 0
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

class Round implements RoundContext {
  readonly host: LabHost
  readonly probes: readonly Probe[]
  readonly #onDone: () => void
  readonly #outcomes: (ProbeOutcome | undefined)[]
  readonly #sentAt: number[]
  readonly #kinds: Readonly<Record<Probe['protocol'], ProbeKind>>
  readonly #prefix = `p${randomBytes(6).toString('hex')}-`
  #pending: number
  #stopped = false

  constructor(host: LabHost, probes: readonly Probe[], onDone: () => void) {
    this.host = host
    this.probes = probes
    this.#onDone = onDone
    this.#outcomes = probes.map(() => undefined)
    this.#sentAt = probes.map(() => 0)
    this.#pending = probes.length
    this.#kinds = { TCP: new TcpProbes(this), UDP: new UdpProbes(this), SCTP: new SctpProbes(this) }
    if (probes.length === 0) queueMicrotask(onDone)
  }

  get pending(): number {
    return this.#pending
  }

  /** Sends whatever is pending. Where that cannot be done (the namespace is gone, no socket), it has failed. */
  async sendIn(inNamespace: InNamespace): Promise<void> {
    try {
      await inNamespace(this.host.spec.netns, () => this.#send())
    } catch (error) {
      const message = messageOf(error)
      this.probes.forEach((_, index) => this.settle(index, { kind: 'failed', message }))
    }
  }

  #send(): void {
    if (this.#stopped) return
    const byKind: Record<Probe['protocol'], number[]> = { TCP: [], UDP: [], SCTP: [] }
    this.probes.forEach((probe, index) => {
      if (!this.isPending(index)) return
      if (!canReach(this.host, probe.address)) return this.settle(index, { kind: 'failed', message: 'the source has no address of this family' })
      this.#sentAt[index] ||= performance.now()
      byKind[probe.protocol].push(index)
    })
    for (const protocol of ['TCP', 'UDP', 'SCTP'] as const) this.#kinds[protocol].send(byKind[protocol])
  }

  finish(): readonly ProbeOutcome[] {
    this.#stopped = true
    for (const kind of Object.values(this.#kinds)) kind.stop()
    return this.#outcomes.map((outcome) => outcome ?? { kind: 'silent' })
  }

  token(index: number): string {
    return this.#prefix + index
  }

  indexOf(token: string): number | undefined {
    return token.startsWith(this.#prefix) ? Number(token.slice(this.#prefix.length)) : undefined
  }

  isPending(index: number): boolean {
    return this.#outcomes[index] === undefined
  }

  settle(index: number, outcome: ProbeOutcome): void {
    if (this.#stopped || !this.isPending(index)) return
    this.#outcomes[index] = outcome
    if (--this.#pending === 0) this.#onDone()
  }

  answered(index: number, { by, source, at }: Reply): void {
    this.settle(index, { kind: 'answered', by, source, at, ms: performance.now() - (this.#sentAt[index] as number) })
  }
}
