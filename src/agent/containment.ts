// What the kernel refuses: whose it is, kept apart from everything else, and tried again.
//
//   refused -> close all owners of it: taken? -> open the first half, or close half of what was opened ... -> one owner
//   -> open all others: refused? -> the next one is behind it, in the same way
//
// Tries are whole rulesets, compiled with another quarantine and judged by the kernel without being kept, so that what
// is in force meanwhile stays; only at the start, where nothing is in force yet, the closed ruleset is committed first.
// Among n owners one culprit is found within log2(n) + 2 tries after the refusal, two within 2 log2(n) + 2.
// **Invariant:** what is in quarantine is a problem that names it; it leaves by an edit, or when the kernel takes it.
import type { CommitOutcome } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { readOwner, type Owner } from '../model/owner.ts'

/** What the search can do; nothing else may change the wanted table meanwhile. */
export interface Trial {
  /** Compiles everything anew with that quarantine, and takes in nothing new. */
  compile(quarantine: ReadonlySet<Owner>): void
  /** What the kernel would answer to what is wanted now. */
  judge(): Promise<CommitOutcome>
  /** Commits what is wanted now, because nothing is in force yet; null where something is. */
  readonly commit: (() => Promise<CommitOutcome>) | null
}

export type Search =
  /** One or two; there may be more. */
  | { readonly kind: 'contained'; readonly culprits: readonly Culprit[] }
  /** Refused whoever is closed: it is nobody's object. */
  | { readonly kind: 'nobody' }
  | { readonly kind: 'unknown'; readonly message: string }

export interface Culprit {
  readonly owner: Owner
  /** What the kernel said. */
  readonly said: string
}

interface Entry {
  said: string
  pauseMs: number
  due: boolean
  cancel: () => void
}

export const FIRST_PAUSE_MS = 1_000
export const LAST_PAUSE_MS = 60_000

export class Containment {
  readonly #clock: Clock
  readonly #onDue: () => void
  readonly #entries = new Map<Owner, Entry>()

  /** `onDue`: something in quarantine is to be tried again, by retry(). */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock
    this.#onDue = onDue
  }

  get owners(): ReadonlySet<Owner> {
    return new Set(this.#entries.keys())
  }

  get problems(): readonly Problem[] {
    return [...this.#entries].map(([owner, { said }]) => problemOf(owner, said))
  }

  /** An edit ended their quarantine already. */
  forget(owners: readonly Owner[]): void {
    for (const owner of owners) {
      this.#entries.get(owner)?.cancel()
      this.#entries.delete(owner)
    }
  }

  close(): void {
    this.forget([...this.#entries.keys()])
  }

  /**
   * Finds those of `suspects` by whom the kernel refuses what is wanted now, and puts them into quarantine. Afterwards
   * the wanted table is compiled with the quarantine as it then is.
   */
  async search(suspects: readonly Owner[], said: string, trial: Trial): Promise<Search> {
    const open = suspects.filter((owner) => !this.#entries.has(owner))
    const found = await this.#search(open, said, trial)
    if (found.kind === 'contained') for (const culprit of found.culprits) this.#enter(culprit)
    trial.compile(this.owners)
    return found
  }

  async #search(suspects: readonly Owner[], said: string, trial: Trial): Promise<Search> {
    const culprits: Culprit[] = []
    /** With the first `count` suspects open, but for those that were found. */
    const judged = (count: number): Promise<CommitOutcome> => {
      trial.compile(new Set([...this.owners, ...culprits.map(({ owner }) => owner), ...suspects.slice(count)]))
      return trial.judge()
    }
    if (suspects.length === 0) return { kind: 'nobody' }
    const closed = await judged(0)
    if (closed.kind === 'unknown') return closed
    if (closed.kind === 'refused') return { kind: 'nobody' }
    const first = await trial.commit?.()
    if (first !== undefined && first.kind !== 'acknowledged') return first.kind === 'unknown' ? first : { kind: 'nobody' }
    let taken = 0
    // The refusal itself does not count: its cause may have been none of them, and be over.
    let wasJudged = false
    for (;;) {
      let refused = suspects.length
      while (refused - taken > 1 || !wasJudged) {
        const count = refused - taken > 1 ? (taken + refused) >> 1 : refused
        const outcome = await judged(count)
        if (outcome.kind === 'unknown') return outcome
        if (outcome.kind === 'acknowledged') {
          // Taken with everybody open, after all: what was refused was not this.
          if (count === suspects.length) return { kind: 'nobody' }
          taken = count
        } else {
          refused = count
          wasJudged = true
          said = outcome.message
        }
      }
      culprits.push({ owner: suspects[refused - 1] as Owner, said })
      // All before it were taken together; is anybody behind it at fault, too? Of more than two, the commit tells.
      const isLast = refused === suspects.length || culprits.length === 2
      const rest: CommitOutcome = isLast ? { kind: 'acknowledged' } : await judged(suspects.length)
      if (rest.kind === 'unknown') return rest
      if (rest.kind === 'acknowledged') return { kind: 'contained', culprits }
      taken = refused
      said = rest.message
    }
  }

  /** Tries what is due, each by itself; null, or why nobody knows what the kernel holds. */
  async retry(trial: Trial): Promise<string | null> {
    const due = [...this.#entries].filter(([, entry]) => entry.due)
    let trouble: string | null = null
    for (const [owner, entry] of due) {
      entry.due = false
      trial.compile(new Set([...this.owners].filter((other) => other !== owner)))
      const outcome = await trial.judge()
      if (outcome.kind === 'acknowledged') {
        this.forget([owner])
        continue
      }
      if (outcome.kind === 'refused') entry.said = outcome.message
      else trouble = outcome.message
      entry.pauseMs = Math.min(entry.pauseMs * 2, LAST_PAUSE_MS)
      this.#plan(entry)
    }
    if (due.length > 0) trial.compile(this.owners)
    return trouble
  }

  #enter({ owner, said }: Culprit): void {
    const entry: Entry = { said, pauseMs: FIRST_PAUSE_MS, due: false, cancel: () => undefined }
    this.#entries.set(owner, entry)
    this.#plan(entry)
  }

  #plan(entry: Entry): void {
    entry.cancel = this.#clock.after(entry.pauseMs, () => {
      entry.due = true
      this.#onDue()
    })
  }
}

function problemOf(owner: Owner, said: string): Problem {
  const owned = readOwner(owner)
  const again = `everything else is applied; it is tried again after growing pauses (${LAST_PAUSE_MS / 1000} s at most) and at once when it is edited`
  const base = { code: 'Quarantined', severity: 'error' } as const
  if (owned?.kind === 'service') return { ...base, object: owner, message: `the kernel refused it: ${said}; none of its addresses is translated on this node; ${again}` }
  if (owned?.kind !== 'policy') {
    return { ...base, object: owner, message: `the kernel refused it: ${said}; its interface now counts as an unknown pod's (setting newPods), and on a bridge nothing passes to or from its addresses; ${again}` }
  }
  const { namespace, name, direction } = owned
  const now = `now it allows nothing for ${direction} to the pods that it selects`
  return { ...base, object: `NetworkPolicy ${namespace}/${name}`, field: `spec.${direction}`, message: `the kernel refused it: ${said}; ${now}; ${again}` }
}
