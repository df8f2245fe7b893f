// Cuts connections that lost their permission, and lets them go on where they have it again (rules 78, 79, 81).
//
//   turn: who may have lost something, by revision -> the kernel holds that revision -> dump their connections, and ask
//   meanwhile who is answered right now (review.ts) -> judge each -> those no longer allowed into cut-flows; and each
//   change asks again about the connections that are in it.
//
// One round at a time: what comes meanwhile waits for the next. Judging gives way every few milliseconds; it reads the
// newest plan, which at worst is ahead of the kernel by changes that will be held next.
// **Invariant:** after the kernel held a revision, a round that began later has judged every connection of whoever lost
// something up to it. It deletes no entry of conntrack.
import type { Conntrack } from '../kernel/conntrack.ts'
import { flowAt, flowCount, type FlowKey, type Network } from '../kernel/conntrack-flows.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Problem } from '../lib/problem.ts'
import { RetryPause } from '../lib/retry-pause.ts'
import type { Revision } from '../model/changes.ts'
import { FAMILIES } from '../model/ip.ts'
import type { PodUid } from '../model/objects.ts'
import type { TableState } from '../nft/state.ts'
import { lossesOf, type Losses } from '../policy/losses.ts'
import type { PlanDelta } from '../policy/plan.ts'
import { cutFlows, restoredFlows } from '../ruleset/names.ts'
import { AddressTexts, flowOf, reversed } from './cut-flows.ts'
import { CutProblems } from './cut-problems.ts'
import { CutSet, type Outcome } from './cut-set.ts'
import { Judging, type JudgingOptions } from './judging.ts'
import { networksOf } from './networks.ts'
import { Parts } from './parts.ts'
import { Review } from './review.ts'
import { UntilHeld } from './until-held.ts'

export interface CutterOptions extends JudgingOptions {
  readonly kernel: Kernel
  readonly conntrack: Conntrack
  readonly onCut: (report: CutReport) => void
  /** What keeps it from cutting; empty when that is over. */
  readonly onProblems: (problems: readonly Problem[]) => void
}

export interface CutReport {
  /** Connections that stopped, and that may go on. */
  readonly cut: number
  readonly restored: number
  /** Connections that were judged. */
  readonly judged: number
  readonly ms: number
}

/** What is to be looked at: `all` local pods, or these; with `again`, once more after a while. */
interface Scope {
  pods: Set<PodUid> | 'all'
  again: boolean
}

/** Up to so many cut connections are asked about before others are read, which takes some milliseconds. */
const RESTORED_FIRST = 500
/** After so many connections a round that has become due goes first. */
const RESTORED_AT_ONCE = 2_000
const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 30_000
/** A packet that was on its way at the commit may make its entry behind the dump: a second one finds it. */
const SECOND_LOOK_MS = 1_000

export class Cutter {
  readonly #options: CutterOptions
  readonly #set: CutSet
  readonly #judging: Judging
  readonly #planned = new UntilHeld<Losses['pods']>()
  /** What the kernel holds and nobody looked at yet; null: nothing. */
  #due: Scope | null = null
  #running: Promise<void> | null = null
  readonly #timers = new Set<() => void>()
  readonly #retry = new RetryPause(FIRST_RETRY_MS, LAST_RETRY_MS)
  /** The last round did not succeed: the next one waits. */
  #failed = false
  readonly #problems: CutProblems
  /** Where among the cut connections taking out goes on. */
  #restoreFrom = 0
  #clearing: 'idle' | 'timed' | 'due' = 'idle'
  #closed = false

  constructor(options: CutterOptions) {
    this.#options = options
    this.#set = new CutSet(options.kernel)
    this.#judging = new Judging(options)
    this.#problems = new CutProblems(options.onProblems)
  }

  /** At the end of a turn. */
  planned(revision: Revision, delta: PlanDelta): void {
    const { pods, nothing } = lossesOf(delta, this.#options.turns.plan)
    if (!nothing) this.#planned.planned(revision, pods)
  }

  /** The table was read from the kernel: what is in the sets is known, and everything is to be judged anew. */
  read(applied: TableState | null): void {
    const elements = (name: typeof cutFlows): readonly string[] => FAMILIES.flatMap((family) => [...(applied?.sets.get(name(family))?.elements.keys() ?? [])])
    this.#set.load(elements(cutFlows), elements(restoredFlows))
    this.#want('all', true)
  }

  /** The kernel holds that revision. */
  held(revision: Revision): void {
    for (const pods of this.#planned.held(revision)) if (pods.size > 0 || this.#set.size > 0) this.#want(pods, pods.size > 0)
    this.#wake()
  }

  /** Cuts those of these that are not allowed as the plan is now, whoever lost what; null, or what stood in the way of all or some. */
  async cutDenied(keys: readonly FlowKey[]): Promise<string | null> {
    const { clock, onCut } = this.#options
    const start = clock.now()
    const count = { cut: 0, judged: 0 }
    const trouble = await this.#replied(keys, new AddressTexts(), count)
    if (this.#running === null) {
      this.#judging.forget()
      this.#problems.evicted(this.#set.evicted)
    }
    if (count.cut > 0) onCut({ ...count, restored: 0, ms: clock.now() - start })
    return trouble ?? (count.judged < keys.length ? 'there is nothing to judge them by' : null)
  }

  /** How many connections are cut. */
  get size(): number {
    return this.#set.size
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#judging.close()
    for (const cancel of this.#timers) cancel()
    await this.#running
  }

  #want(pods: Losses['pods'] | 'all', again: boolean): void {
    const due = (this.#due ??= { pods: new Set(), again: false })
    due.again ||= again
    if (pods === 'all') due.pods = 'all'
    else if (due.pods !== 'all') for (const uid of pods) due.pods.add(uid)
  }

  #wake(): void {
    if (this.#closed || this.#running !== null || (this.#due === null && this.#clearing !== 'due')) return
    this.#running = this.#rounds().finally(() => {
      this.#running = null
      if (!this.#failed) this.#wake()
    })
  }

  async #rounds(): Promise<void> {
    while ((this.#due !== null || this.#clearing === 'due') && !this.#closed) {
      const scope = this.#due
      this.#due = null
      const trouble = (scope === null ? null : await this.#round(scope)) ?? (await this.#clear())
      this.#judging.forget()
      if (this.#closed) return
      this.#failed = trouble !== null
      this.#problems.roundEnded(trouble, this.#set.evicted, scope?.again === true)
      if (trouble !== null) {
        if (scope !== null) this.#want(scope.pods, scope.again)
        this.#later(this.#retry.next(), () => this.#wake())
        return
      }
      this.#retry.reset()
      if (scope?.again === true) {
        this.#later(SECOND_LOOK_MS, () => {
          this.#want(scope.pods, false)
          this.#wake()
        })
      }
    }
  }

  /** What was restored goes out of the sets step by step, for as long as that takes. */
  async #clear(): Promise<string | null> {
    const isDue = this.#clearing === 'due'
    const outcome = isDue ? await this.#set.clear(() => this.#due !== null) : null
    if (isDue) this.#clearing = 'idle'
    if (this.#clearing === 'idle' && this.#set.clears) {
      this.#clearing = 'timed'
      this.#later(SECOND_LOOK_MS, () => {
        this.#clearing = 'due'
        this.#wake()
      })
    }
    return outcome?.trouble ?? null
  }

  #later(ms: number, action: () => void): void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(cancel)
      action()
    })
    this.#timers.add(cancel)
  }

  /** Returns what stood in the way; null where everything was judged and the kernel holds the answer. */
  async #round(scope: Scope): Promise<string | null> {
    const { kernel, clock } = this.#options
    const start = clock.now()
    const count = { cut: 0, restored: 0, judged: 0 }
    const before = [...this.#set.keys()]
    const texts = new AddressTexts()
    const networks = networksOf(this.#options.turns.plan, scope.pods)
    const parts = new Parts()
    const addresses = networks.filter(({ bytes, prefix }) => prefix === bytes.length * 8).map(({ bytes }) => bytes)
    const review = new Review({ kernel, clock, addresses, onReplied: async (keys) => void (await this.#replied(keys, texts, count)) })
    const dumped = this.#dump(networks, parts, () => review.begin())
    // Few are judged in no time, and a new connection that has the ports of a cut one waits for it.
    const fewFirst = before.length <= RESTORED_FIRST
    let trouble: string | null = fewFirst ? await this.#restore(before, texts, count) : null
    // While the kernel takes one part, the next is judged.
    let adding: Promise<Outcome> | null = null
    for (let flows = await parts.next(); flows !== null; flows = await parts.next()) {
      const denied = await this.#denied(flows, texts, scope.pods !== 'all', count)
      const added: Outcome | null = await adding
      trouble ??= added?.trouble ?? null
      count.cut += added?.done ?? 0
      adding = this.#set.add(denied)
    }
    const last = await adding
    count.cut += last?.done ?? 0
    trouble ??= last?.trouble ?? (await dumped)
    await review.end()
    if (!fewFirst) trouble ??= await this.#restore(before, texts, count)
    if (count.cut + count.restored > 0) this.#options.onCut({ ...count, ms: clock.now() - start })
    return trouble
  }

  /** Fills `parts` as they come; why it is not complete, null where it is. */
  async #dump(networks: readonly Network[], parts: Parts, onLong: () => void): Promise<string | null> {
    try {
      if (networks.length === 0) return null
      const end = await this.#options.conntrack.dump(networks, (flows) => parts.push(flows), onLong)
      return end.kind === 'failed' ? `the connections could not be read: ${end.message}` : null
    } finally {
      parts.end()
    }
  }

  /** Takes out what is allowed again. Where they are many, cutting comes first: a next round that is due goes on where this one left off. */
  async #restore(before: readonly FlowKey[], texts: AddressTexts, count: { restored: number; judged: number }): Promise<string | null> {
    const first = this.#restoreFrom % Math.max(1, before.length)
    const keys = [...before.slice(first), ...before.slice(0, first)]
    this.#restoreFrom = 0
    for (let at = 0; at < keys.length; at += RESTORED_AT_ONCE) {
      if (this.#due !== null && at > 0) {
        this.#restoreFrom = first + at
        return null
      }
      const again: FlowKey[] = []
      const part = keys.slice(at, at + RESTORED_AT_ONCE)
      await this.#judging.all(part.length, (i, judge) => {
        const key = part[i] as FlowKey
        const flow = flowOf(key, texts)
        count.judged++
        if (flow === null || judge.judge(flow).allowed) again.push(key)
      })
      const { done, trouble } = await this.#set.restore(again)
      count.restored += done
      if (trouble !== null) return trouble
    }
    return null
  }

  /** Null, or what stood in the way: in a round that stands in the way of the dump's connections, too, and is told there. */
  async #replied(keys: readonly FlowKey[], texts: AddressTexts, count: { cut: number; judged: number }): Promise<string | null> {
    const denied: FlowKey[] = []
    await this.#judging.all(keys.length, (i, judge) => {
      const flow = flowOf(keys[i] as FlowKey, texts)
      count.judged++
      if (flow !== null && !judge.judge(flow).allowed) denied.push(keys[i] as FlowKey)
    })
    const { done, trouble } = await this.#set.add(denied)
    count.cut += done
    return trouble
  }

  /**
   * An entry that a server's packet made (decisions/0006) is of its client: it must be allowed as that one sends, too. Of UDP
   * only the ports hint at it, so only where something was just lost.
   */
  async #denied(part: Uint8Array, texts: AddressTexts, somethingWasLost: boolean, count: { judged: number }): Promise<FlowKey[]> {
    const denied: FlowKey[] = []
    const flows = Buffer.from(part.buffer, part.byteOffset, part.length)
    await this.#judging.all(flowCount(flows), (i, judge) => {
      const { key, origin } = flowAt(flows, i)
      const flow = flowOf(key, texts)
      if (flow === null) return
      count.judged++
      if (!judge.judge(flow).allowed) denied.push(key)
      else if (origin === 'picked-up' || (origin === 'untold' && somethingWasLost)) {
        const asItsClient = reversed(key)
        const other = flowOf(asItsClient, texts)
        if (other !== null && !judge.judge(other).allowed) denied.push(asItsClient)
      }
    })
    return denied
  }
}
